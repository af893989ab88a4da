// A registry as a client sees it (OCI distribution-spec 1.1): manifests, blobs, tags and referrers of one registry. Whatever
// comes under a digest has been checked against it.
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { digestParts, parseDigest, type Digest } from '../images/digest.ts';
import { pullBlob, refusal, type PulledBlob } from './pull-blob.ts';
import { describeErrors, pushBlob, type BlobPush, type BlobPushOutcome } from './push-blob.ts';
import { RegistryError } from './registry-error.ts';
import { drop, readBytes, RegistryTransport, type RegistryAnswer, type RegistryOptions } from './registry-transport.ts';

export interface PulledManifest {
  readonly digest: Digest;
  readonly mediaType: string;
  /** Byte for byte. */
  readonly content: Buffer;
}

const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: z.string().transform((text, context) => {
    const digest = parseDigest(text);
    if (digest !== undefined) return digest;
    context.addIssue('not a digest');
    return z.NEVER;
  }),
  size: z.int().min(0),
  artifactType: z.string().optional(),
});

export type ReferrerDescriptor = z.output<typeof descriptorSchema>;

/** The spec asks registries to take manifests of 4 MB at least. */
const MANIFEST_LIMIT_BYTES = 8 * 1024 * 1024;
const LIST_LIMIT_BYTES = 8 * 1024 * 1024;
const MAX_PAGES = 1000;
const BLOB_LIMIT_BYTES = 1024 ** 4;
const ACCEPT = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
].join(', ');

export class RegistryClient {
  readonly #transport: RegistryTransport;

  /** Does not connect yet. Throws RegistryError('refused') for a URL that is none. */
  constructor(options: RegistryOptions) {
    this.#transport = new RegistryTransport(options);
  }

  /** Undefined where there is no such manifest. Old registries do not say its digest without its bytes. */
  async headManifest(repository: string, reference: string): Promise<{ digest: Digest | undefined } | undefined> {
    const answer = await this.#manifest('HEAD', repository, reference);
    await drop(answer);
    if (answer.status === 404) return undefined;
    if (answer.status !== 200) throw refusal(answer.status, this.#url(repository), `${repository} ${reference}`);
    return { digest: parseDigest(answer.header('docker-content-digest') ?? '') };
  }

  /** By tag or digest; undefined where there is none. */
  async pullManifest(repository: string, reference: string): Promise<PulledManifest | undefined> {
    const answer = await this.#manifest('GET', repository, reference);
    const content = await readBytes(answer, MANIFEST_LIMIT_BYTES);
    const what = `${repository} ${reference}`;
    if (answer.status === 404) return undefined;
    if (answer.status !== 200)
      throw refusal(answer.status, this.#url(repository), what, describeErrors(content.toString('utf8')));
    const promised = parseDigest(reference) ?? parseDigest(answer.header('docker-content-digest') ?? '');
    const digest = digestOf(content, promised);
    if (promised !== undefined && digest !== promised)
      throw new RegistryError('digest-mismatch', `The registry sent other bytes than ${promised} for ${what}.`);
    return { digest, mediaType: mediaTypeOf(answer, content), content };
  }

  /** Undefined where there is no such blob. Of a blob read from its start the stream ends only when the digest is right. */
  pullBlob(
    repository: string,
    digest: Digest,
    options: { readonly offset?: number; readonly limitBytes?: number; readonly isVerified?: boolean } = {},
  ): Promise<PulledBlob | undefined> {
    return pullBlob(this.#transport, {
      url: this.#url(repository, `blobs/${digest}`),
      digest,
      scopes: [scope(repository, 'pull')],
      offset: options.offset ?? 0,
      limitBytes: options.limitBytes ?? BLOB_LIMIT_BYTES,
      isVerified: options.isVerified ?? true,
    });
  }

  pushBlob(repository: string, blob: Omit<BlobPush, 'repositoryUrl' | 'scopes'>): Promise<BlobPushOutcome> {
    const scopes = [scope(repository, 'pull,push')];
    return pushBlob(this.#transport, { ...blob, repositoryUrl: this.#url(repository), scopes });
  }

  /** `reference` is a tag or the manifest's digest. All that it refers to must be there. */
  async pushManifest(
    repository: string,
    reference: string,
    manifest: { readonly mediaType: string; readonly content: Uint8Array },
  ): Promise<void> {
    const url = this.#url(repository, `manifests/${reference}`);
    const answer = await this.#transport.send({
      method: 'PUT',
      url,
      headers: { 'content-type': manifest.mediaType },
      body: manifest.content,
      scopes: [scope(repository, 'pull,push')],
    });
    const text = (await readBytes(answer, LIST_LIMIT_BYTES)).toString('utf8');
    if (answer.status !== 201 && answer.status !== 200)
      throw refusal(answer.status, url, `${repository} ${reference}`, describeErrors(text));
  }

  /** All tags in the registry's order; undefined where there is no such repository. */
  async listTags(repository: string): Promise<readonly string[] | undefined> {
    const schema = z.object({ tags: z.array(z.string()).nullish() });
    const pages = await this.#pages(repository, 'tags/list', schema);
    return pages?.flatMap(({ content }) => content.tags ?? []);
  }

  /** What refers to this manifest; by the referrers tag where the registry is of before 1.1 ("Referrers Tag Schema"). */
  async listReferrers(
    repository: string,
    subject: Digest,
    artifactType?: string,
  ): Promise<readonly ReferrerDescriptor[]> {
    const schema = z.object({ manifests: z.array(descriptorSchema) });
    const query = artifactType === undefined ? '' : `?artifactType=${encodeURIComponent(artifactType)}`;
    const pages = await this.#pages(repository, `referrers/${subject}${query}`, schema);
    const found =
      pages?.flatMap(({ content }) => content.manifests) ?? (await this.#referrersByTag(repository, subject, schema));
    return found.filter((one) => artifactType === undefined || one.artifactType === artifactType);
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #referrersByTag<Content extends { manifests: readonly ReferrerDescriptor[] }>(
    repository: string,
    subject: Digest,
    schema: z.ZodType<Content>,
  ): Promise<readonly ReferrerDescriptor[]> {
    const index = await this.pullManifest(repository, subject.replace(':', '-').slice(0, 128));
    return index === undefined ? [] : parseJson(index.content.toString('utf8'), schema).manifests;
  }

  #manifest(method: 'GET' | 'HEAD', repository: string, reference: string): Promise<RegistryAnswer> {
    const url = this.#url(repository, `manifests/${reference}`);
    return this.#transport.send({ method, url, headers: { accept: ACCEPT }, scopes: [scope(repository, 'pull')] });
  }

  /** Follows `Link: <…>; rel="next"` (RFC 8288) within this registry. */
  async #pages<Content>(
    repository: string,
    path: string,
    schema: z.ZodType<Content>,
  ): Promise<readonly { readonly content: Content }[] | undefined> {
    const pages: { content: Content }[] = [];
    let next: URL | null = this.#url(repository, path);
    while (next !== null && pages.length < MAX_PAGES) {
      const url: URL = next;
      const answer = await this.#transport.send({ method: 'GET', url, scopes: [scope(repository, 'pull')] });
      const text = (await readBytes(answer, LIST_LIMIT_BYTES)).toString('utf8');
      if (answer.status === 404 && pages.length === 0) return undefined;
      if (answer.status !== 200) throw refusal(answer.status, url, `${repository} ${path}`, describeErrors(text));
      pages.push({ content: parseJson(text, schema) });
      const [, link] = /<([^>]*)>\s*;[^,]*\brel="?next\b/i.exec(answer.header('link') ?? '') ?? [];
      next = link === undefined ? null : URL.parse(link, url.href);
      if (next !== null && next.origin !== url.origin) next = null;
    }
    return pages;
  }

  /** `<base>/v2/<repository>/<path>`; the registry's folder, if it has one, comes before the repository's name. */
  #url(repository: string, path = ''): URL {
    const { base } = this.#transport;
    const names = [base.pathname, repository].flatMap((name) => name.split('/')).filter((name) => name !== '');
    return new URL(`/v2/${names.map((name) => `${name}/`).join('')}${path}`, base);
  }
}

function scope(repository: string, actions: string): string {
  return `repository:${repository}:${actions}`;
}

function digestOf(content: Uint8Array, like: Digest | undefined): Digest {
  const algorithm = like === undefined ? 'sha256' : digestParts(like).algorithm;
  const digest = parseDigest(`${algorithm}:${createHash(algorithm).update(content).digest('hex')}`);
  if (digest === undefined) throw new RegistryError('invalid-answer', 'A manifest has no digest.');
  return digest;
}

/** The manifest's own word counts where it has one (image-spec, manifest.md "mediaType"). */
function mediaTypeOf(answer: RegistryAnswer, content: Buffer): string {
  const own = z.object({ mediaType: z.string() }).safeParse(tryJson(content.toString('utf8')));
  if (own.success) return own.data.mediaType;
  return (answer.header('content-type') ?? '').split(';')[0]?.trim() ?? '';
}

function parseJson<Content>(text: string, schema: z.ZodType<Content>): Content {
  const parsed = schema.safeParse(tryJson(text));
  if (parsed.success) return parsed.data;
  throw new RegistryError('invalid-answer', 'The registry answered with something that is not as specified.');
}

function tryJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
