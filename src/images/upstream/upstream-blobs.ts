// Fetches blobs of an upstream into the registry: each once, however many ask, in pieces that survive a broken connection, and
// visible only once its digest has been found right.
import { ByteReader } from '../../byte-reader.ts';
import { KeyedQueue } from '../../keyed-queue.ts';
import type { Digest } from '../digest.ts';
import type { RegistryService } from '../registry/registry-service.ts';
import type { UpstreamBlob, UpstreamFailure, UpstreamRegistry } from './upstream-registry.ts';
import { SingleFlight } from './upstream-state.ts';

type Uploads = Pick<RegistryService, 'startUpload' | 'uploadStatus' | 'appendUpload' | 'finishUpload' | 'cancelUpload'>;

export type FetchedBlob =
  | { readonly kind: 'fetched'; readonly sizeBytes: number }
  /** Another repository had it already; the upstream says that this one has it too. */
  | { readonly kind: 'linked' }
  | { readonly kind: 'not-found' }
  | UpstreamFailure;

const PIECE_BYTES = 32 * 1024 * 1024;
const MAX_PARTIALS = 100;

export class UpstreamBlobs {
  readonly #uploads: Uploads;
  readonly #pieceBytes: number;
  readonly #flights = new SingleFlight<FetchedBlob>();
  /** One at a time for each digest: the second repository that wants it finds it there. */
  readonly #queue = new KeyedQueue();
  /** Uploads that broke off, by repository and digest: the next try goes on with them. */
  readonly #partials = new Map<string, string>();

  constructor(uploads: Uploads, pieceBytes = PIECE_BYTES) {
    this.#uploads = uploads;
    this.#pieceBytes = pieceBytes;
  }

  /** Nothing of a blob is visible before all of it is there and right. Fails as the store fails. */
  fetch(
    source: { readonly registry: UpstreamRegistry; readonly name: string },
    repository: string,
    digest: Digest,
  ): Promise<FetchedBlob> {
    return this.#flights.run(`${repository} ${digest}`, () =>
      this.#queue.run(digest, () => this.#fetch(source, repository, digest)),
    );
  }

  async #fetch(
    { registry, name }: { readonly registry: UpstreamRegistry; readonly name: string },
    repository: string,
    digest: Digest,
  ): Promise<FetchedBlob> {
    const key = `${repository} ${digest}`;
    const partial = await this.#partial(key, repository);
    const answer = await registry.blob(name, digest, partial?.offset ?? 0);
    if (answer.kind !== 'found') return answer;
    try {
      if (partial !== undefined) return await this.#receive(answer, { repository, digest, ...partial });
      const started = await this.#uploads.startUpload({ repository, mount: digest });
      if (started.kind === 'mounted') return { kind: 'linked' };
      if (started.kind === 'refused') return { kind: 'failed', reason: 'refused', text: started.message };
      this.#remember(key, started.id);
      return await this.#receive(answer, { repository, digest, id: started.id, offset: 0 });
    } finally {
      answer.content.destroy();
    }
  }

  async #receive(
    { content, sizeBytes }: UpstreamBlob,
    upload: { readonly repository: string; readonly digest: Digest; readonly id: string; readonly offset: number },
  ): Promise<FetchedBlob> {
    const { repository, digest, id } = upload;
    const reader = new ByteReader(content);
    let { offset } = upload;
    try {
      while (sizeBytes === undefined || offset < sizeBytes) {
        const length = Math.min(this.#pieceBytes, (sizeBytes ?? Infinity) - offset);
        const piece = sizeBytes === undefined ? reader.rest() : reader.take(length);
        const appended = await this.#uploads.appendUpload({ repository, id, content: piece });
        if (appended.kind === 'refused') return await this.#giveUp(upload, appended.message);
        offset = appended.offset;
        if (sizeBytes === undefined) break;
      }
    } catch (error) {
      if (reader.failure === undefined) throw error;
      return { kind: 'failed', reason: 'broken-off', text: reader.failure.message };
    }
    this.#partials.delete(`${repository} ${digest}`);
    const stored = await this.#uploads.finishUpload({ repository, id, digest });
    if (stored.kind === 'stored') return { kind: 'fetched', sizeBytes: stored.sizeBytes };
    const reason = stored.kind === 'refused' && stored.code === 'DIGEST_INVALID' ? 'digest-mismatch' : 'refused';
    return { kind: 'failed', reason, text: stored.kind === 'refused' ? stored.message : 'The upload lost count.' };
  }

  async #giveUp(
    upload: { readonly repository: string; readonly digest: Digest; readonly id: string },
    text: string,
  ): Promise<FetchedBlob> {
    this.#partials.delete(`${upload.repository} ${upload.digest}`);
    await this.#uploads.cancelUpload(upload.repository, upload.id);
    return { kind: 'failed', reason: 'refused', text };
  }

  async #partial(
    key: string,
    repository: string,
  ): Promise<{ readonly id: string; readonly offset: number } | undefined> {
    const id = this.#partials.get(key);
    const status = id === undefined ? undefined : await this.#uploads.uploadStatus(repository, id);
    if (id !== undefined && status?.kind === 'found') return { id, offset: status.offset };
    this.#partials.delete(key);
    return undefined;
  }

  #remember(key: string, id: string): void {
    const [oldest] = this.#partials.keys();
    if (this.#partials.size >= MAX_PARTIALS && oldest !== undefined) this.#partials.delete(oldest);
    this.#partials.set(key, id);
  }
}
