// What clients of a registry were promised: the images behind its tags, single blobs, parts of uploads. After the server was killed
// the ledger is held against what it still has; what was asked for and not answered may be there or not, but never by half.
import type { LoadClient } from './registry-load-client.ts';
import { blobsOf, type LoadImage } from './registry-load-images.ts';
import type { Content } from './oci-layout.ts';

interface TaggedImage {
  readonly repository: string;
  readonly tag: string;
  readonly image: LoadImage;
}

interface TagState {
  readonly repository: string;
  readonly tag: string;
  /** Undefined where it was deleted, or never pushed. */
  acknowledged: LoadImage | undefined;
  /** Asked for and not answered yet. */
  pending: { readonly image: LoadImage | undefined } | undefined;
}

interface BlobState {
  readonly repository: string;
  readonly content: Content;
  /** When it was asked for, if it was acknowledged. */
  acknowledgedAt: number | undefined;
}

interface UploadState {
  readonly repository: string;
  readonly content: Content;
  readonly offset: number;
}

export class Ledger {
  readonly #tags = new Map<string, TagState>();
  readonly #blobs = new Map<string, BlobState>();
  readonly #uploads = new Map<string, UploadState>();
  readonly #unanswered: TaggedImage[] = [];
  readonly counts = { tags: 0, blobs: 0, uploads: 0 };

  /** Runs a change of a tag: `image` is what it names afterwards. */
  async changeTag(
    repository: string,
    tag: string,
    image: LoadImage | undefined,
    change: () => Promise<void>,
  ): Promise<void> {
    const key = `${repository}:${tag}`;
    const state = this.#tags.get(key) ?? { repository, tag, acknowledged: undefined, pending: undefined };
    this.#tags.set(key, state);
    state.pending = { image };
    await change();
    state.acknowledged = image;
    state.pending = undefined;
    this.counts.tags += 1;
  }

  /** Runs the push of a blob, or the question whether it is there: `push` answers whether it is now. */
  async pushBlob(repository: string, content: Content, push: () => Promise<boolean>): Promise<boolean> {
    const askedAt = Date.now();
    const key = `${repository} ${content.digest}`;
    if (!this.#blobs.has(key)) this.#blobs.set(key, { repository, content, acknowledgedAt: undefined });
    const isThere = await push();
    if (isThere) this.#blobs.set(key, { repository, content, acknowledgedAt: askedAt });
    this.counts.blobs += 1;
    return isThere;
  }

  /** So many bytes of an upload were acknowledged; all of them once it is about to be closed. */
  chunkReceived(location: string, upload: UploadState): void {
    this.counts.uploads += 1;
    if (upload.offset < upload.content.bytes.length) this.#uploads.set(location, upload);
    else this.#uploads.delete(location);
  }

  /** How many promises were made so far. */
  get total(): number {
    return this.counts.tags + this.counts.blobs + this.counts.uploads;
  }

  /** The image that the tag is known to name. */
  imageOf(repository: string, tag: string): LoadImage | undefined {
    return this.#tags.get(`${repository}:${tag}`)?.acknowledged;
  }

  get images(): readonly TaggedImage[] {
    return [...this.#tags.values()].flatMap(({ repository, tag, acknowledged: image }) =>
      image === undefined ? [] : [{ repository, tag, image }],
    );
  }

  /** Runs `push` for each tag whose push was done but not answered before the last audit: its client would try again. */
  async pushAgain(push: (repository: string, tag: string, image: LoadImage) => Promise<void>): Promise<void> {
    for (const { repository, tag, image } of this.#unanswered.splice(0)) await push(repository, tag, image);
  }

  /**
   * What is not as it was promised, one sentence each. `keptSince`: blobs that no tag leads to must be there if they were
   * acknowledged later than that. Afterwards the ledger says what was found, and single blobs and uploads are forgotten.
   */
  async audit(client: LoadClient, keptSince: number): Promise<readonly string[]> {
    const broken: string[] = [];
    for (const state of this.#tags.values()) {
      const before = state.acknowledged;
      broken.push(...(await auditTag(client, state)));
      const { repository, tag, acknowledged: image } = state;
      if (image !== undefined && image !== before) this.#unanswered.push({ repository, tag, image });
    }
    for (const state of this.#blobs.values()) broken.push(...(await auditBlob(client, state, keptSince)));
    for (const [location, upload] of this.#uploads) broken.push(...(await resumeUpload(client, location, upload)));
    this.#blobs.clear();
    this.#uploads.clear();
    return broken;
  }
}

async function auditTag(client: LoadClient, state: TagState): Promise<readonly string[]> {
  const { repository, tag, acknowledged, pending } = state;
  const name = `${repository}:${tag}`;
  const candidates = [acknowledged, ...(pending === undefined ? [] : [pending.image])];
  const bytes = await client.pullManifest(repository, tag);
  const image = candidates.find((each) =>
    bytes === undefined ? each === undefined : each?.manifest.bytes.equals(bytes),
  );
  if (bytes === undefined && !candidates.includes(undefined)) return [`the tag ${name} is gone`];
  if (bytes !== undefined && image === undefined) return [`the tag ${name} names what nobody pushed to it`];
  state.acknowledged = image;
  state.pending = undefined;
  return image === undefined ? [] : auditImage(client, repository, image);
}

/** All of an image, byte for byte. */
export async function auditImage(client: LoadClient, repository: string, image: LoadImage): Promise<readonly string[]> {
  const broken: string[] = [];
  const manifest = await client.pullManifest(repository, image.manifest.digest);
  if (manifest?.equals(image.manifest.bytes) !== true) broken.push(`manifest ${image.manifest.digest} is not whole`);
  for (const { digest, bytes } of blobsOf(image)) {
    const found = await client.pullBlob(repository, digest);
    if (found === undefined) broken.push(`${repository} lost ${digest}, which a tag needs`);
    else if (!found.equals(bytes)) broken.push(`${repository} has other bytes for ${digest}`);
  }
  return broken;
}

async function auditBlob(client: LoadClient, state: BlobState, keptSince: number): Promise<readonly string[]> {
  const { repository, content, acknowledgedAt } = state;
  const found = await client.pullBlob(repository, content.digest);
  if (found !== undefined && !found.equals(content.bytes))
    return [`${repository} has other bytes for ${content.digest}`];
  const isPromised = acknowledgedAt !== undefined && acknowledgedAt > keptSince;
  return found === undefined && isPromised ? [`${repository} lost ${content.digest}, which was acknowledged`] : [];
}

/** Whatever was acknowledged is there, and the upload can be brought to its end. */
async function resumeUpload(
  client: LoadClient,
  location: string,
  { repository, content, offset }: UploadState,
): Promise<readonly string[]> {
  const found = await client.uploadOffset(location);
  if (found === undefined) return [`the upload ${location} is gone, with ${offset} acknowledged bytes`];
  if (found < offset) return [`the upload ${location} has ${found} bytes, ${offset} were acknowledged`];
  // The last part may be there without its answer.
  const rest = content.bytes.subarray(found);
  if (rest.length > 0) await client.patchUpload(location, rest, found);
  await client.finishUpload(location, content.digest);
  const bytes = await client.pullBlob(repository, content.digest);
  return bytes?.equals(content.bytes) === true ? [] : [`${content.digest} is not whole after its upload was resumed`];
}
