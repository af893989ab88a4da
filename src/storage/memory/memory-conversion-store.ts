// Conversions in memory: for tests and for trying things out.
import type { Conversion } from '../../images/conversion/conversion.ts';
import type { ConversionStore } from '../../images/conversion/conversion-store.ts';
import type { Digest } from '../../images/digest.ts';

export class MemoryConversionStore implements ConversionStore {
  readonly #conversions = new Map<string, Conversion>();

  find(repository: string, digest: Digest): Promise<Conversion | undefined> {
    return Promise.resolve(this.#conversions.get(keyOf(repository, digest)));
  }

  put(conversion: Conversion): Promise<void> {
    this.#conversions.set(keyOf(conversion.repository, conversion.digest), conversion);
    return Promise.resolve();
  }

  next(): Promise<Conversion | undefined> {
    const open = [...this.#conversions.values()].filter(({ state }) => state === 'queued' || state === 'converting');
    return Promise.resolve(open.sort((a, b) => a.queuedAt - b.queuedAt || order(a, b))[0]);
  }

  findReady(digest: Digest): Promise<Conversion | undefined> {
    const ready = [...this.#conversions.values()].filter((one) => one.digest === digest && one.state === 'ready');
    return Promise.resolve(ready.sort(order)[0]);
  }

  list(repository?: string): Promise<readonly Conversion[]> {
    const found = [...this.#conversions.values()].filter(
      (one) => repository === undefined || one.repository === repository,
    );
    return Promise.resolve(found.sort((a, b) => byName(a, b) || b.queuedAt - a.queuedAt || order(a, b)));
  }
}

function keyOf(repository: string, digest: Digest): string {
  return `${repository}@${digest}`;
}

function byName(a: Conversion, b: Conversion): number {
  if (a.repository === b.repository) return 0;
  return a.repository < b.repository ? -1 : 1;
}

function order(a: Conversion, b: Conversion): number {
  return byName(a, b) || (a.digest < b.digest ? -1 : 1);
}
