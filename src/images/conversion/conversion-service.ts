// The queue of conversions: one at a time, in the order in which they were asked for, and again from its start after a crash.
// What a conversion does is the converter's matter.
import type { Clock } from '../../clock.ts';
import type { EventRecorder } from '../../events/event-recorder.ts';
import type { Conversion, ConversionProgress, ConversionState } from './conversion.ts';
import type { ConversionStore } from './conversion-store.ts';
import type { Digest } from '../digest.ts';
import type { ImageConverter } from './image-converter.ts';
import type { StoredManifest } from '../registry/registry-outcome.ts';
import type { ManifestRecord } from '../registry/registry-store.ts';

/** A conversion that ends the whole process each time must not do so for ever. */
const ATTEMPT_LIMIT = 3;

export interface ConversionServiceParts {
  readonly store: ConversionStore;
  readonly converter: Pick<ImageConverter, 'identify' | 'isStored' | 'convert' | 'reuse'>;
  readonly events: Pick<EventRecorder, 'recordNow'>;
  readonly clock: Clock;
  /** Told of what no conversion should meet: a full disk, a defect. */
  readonly onFailure: (error: unknown, conversion: Conversion) => void;
}

interface Running {
  readonly conversion: Conversion;
  progress?: ConversionProgress;
}

export class ConversionService {
  readonly #parts: ConversionServiceParts;
  #running: Running | undefined;
  #work: Promise<void> = Promise.resolve();
  #isStarted = false;
  readonly #stop = new AbortController();

  constructor(parts: ConversionServiceParts) {
    this.#parts = parts;
  }

  /** Goes on with what an earlier process left. */
  start(): void {
    this.#isStarted = true;
    this.#wake();
  }

  /** Breaks off what is being converted; it is begun again at the next start. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#work;
  }

  /** Resolves when nothing is queued any more. */
  async idle(): Promise<void> {
    await this.#work;
  }

  find(repository: string, digest: Digest): Promise<Conversion | undefined> {
    return this.#parts.store.find(repository, digest);
  }

  list(repository?: string): Promise<readonly Conversion[]> {
    return this.#parts.store.list(repository);
  }

  progress({ repository, digest }: Pick<Conversion, 'repository' | 'digest'>): ConversionProgress | undefined {
    const running = this.#running;
    const isThis = running?.conversion.repository === repository && running.conversion.digest === digest;
    return isThis ? running.progress : undefined;
  }

  /** For RegistryService.onManifestStored: what got a tag is meant to be booted; a refused image gets another chance. */
  async manifestStored({ record, tags }: StoredManifest): Promise<void> {
    if (tags.length === 0) return;
    const target = await this.#parts.converter.identify(record);
    if (target.kind === 'other') return;
    const image = `${record.repository}:${tags[0] ?? ''}`;
    await this.#parts.events.recordNow({ kind: 'image-stored', details: { image, digest: record.digest } });
    if (target.kind !== 'no-platform') await this.#queue(target.record, true);
  }

  /** The conversion of this manifest, begun now where there was none; undefined where it is no OS image. */
  async request(record: ManifestRecord): Promise<Conversion | undefined> {
    const known = await this.#parts.store.find(record.repository, record.digest);
    if (known !== undefined) return known;
    const target = await this.#parts.converter.identify(record);
    return target.kind === 'image' ? this.#queue(target.record, false) : undefined;
  }

  async #queue(record: ManifestRecord, isAgain: boolean): Promise<Conversion> {
    const { store, clock } = this.#parts;
    const known = await store.find(record.repository, record.digest);
    if (known !== undefined && !(isAgain && (await this.#isLost(known)))) return known;
    const now = clock.now();
    const { repository, digest } = record;
    const queued: Conversion = { repository, digest, state: 'queued', queuedAt: now, changedAt: now, attempts: 0 };
    await store.put(queued);
    this.#wake();
    return queued;
  }

  /** Nothing to keep: it was refused, or what was made of it has been collected since. */
  async #isLost(known: Conversion): Promise<boolean> {
    if (known.state === 'refused') return true;
    return known.state === 'ready' && !(await this.#parts.converter.isStored(known));
  }

  #wake(): void {
    if (this.#isStarted && !this.#stop.signal.aborted) this.#work = this.#work.then(() => this.#drain());
  }

  async #drain(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const next = await this.#parts.store.next();
      if (next === undefined) return;
      await this.#convert(next);
    }
  }

  async #convert(before: Conversion): Promise<void> {
    const { converter, store, onFailure } = this.#parts;
    if (before.attempts >= ATTEMPT_LIMIT) {
      const detail = `Muster ended ${ATTEMPT_LIMIT} times while it converted this image. Its log may say why; push the image again to try once more.`;
      await this.#end(before, { state: 'refused', refusal: { code: 'interrupted-too-often', detail } });
      return;
    }
    const conversion: Conversion = { ...this.#row(before), state: 'converting', attempts: before.attempts + 1 };
    await store.put(conversion);
    const running: Running = { conversion };
    this.#running = running;
    try {
      const twin = await store.findReady(conversion.digest);
      const reused = twin?.state === 'ready' ? await converter.reuse(conversion, twin) : undefined;
      const onProgress = (progress: ConversionProgress): void => {
        running.progress = progress;
      };
      const outcome = reused ?? (await converter.convert(conversion, { signal: this.#stop.signal, onProgress }));
      await this.#end(
        conversion,
        outcome.kind === 'ready' ? { ...outcome, state: 'ready' } : { ...outcome, state: 'refused' },
      );
    } catch (error) {
      if (this.#stop.signal.aborted) {
        // Told to end is no failed attempt.
        await store.put({ ...this.#row(conversion), state: 'queued', attempts: before.attempts });
        return;
      }
      onFailure(error, conversion);
      const reason = error instanceof Error ? error.message : String(error);
      await this.#end(conversion, { state: 'refused', refusal: { code: 'conversion-failed', detail: reason } });
    } finally {
      this.#running = undefined;
    }
  }

  async #end(conversion: Conversion, outcome: Extract<ConversionState, { state: 'ready' | 'refused' }>): Promise<void> {
    const { store, events } = this.#parts;
    const row = this.#row(conversion);
    const image = `${row.repository}@${row.digest}`;
    if (outcome.state === 'ready') {
      await store.put({ ...row, state: 'ready', image: outcome.image, manifest: outcome.manifest });
      const { family, squashfs } = outcome.image;
      const details = {
        image,
        family,
        sizeBytes: squashfs.sizeBytes,
        durationMs: row.changedAt - conversion.changedAt,
      };
      await events.recordNow({ kind: 'image-ready', details });
    } else {
      await store.put({ ...row, state: 'refused', refusal: outcome.refusal });
      await events.recordNow({ kind: 'image-refused', details: { image, ...outcome.refusal } });
    }
  }

  /** What stays from state to state, changed now. */
  #row({ repository, digest, queuedAt, attempts }: Conversion): Omit<Conversion, 'state'> {
    return { repository, digest, queuedAt, attempts, changedAt: this.#parts.clock.now() };
  }
}
