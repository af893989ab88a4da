// Lets actions with the same key run one after the other, and those with different keys side by side.
export class KeyedQueue {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs the action once all earlier ones of this key have ended, well or badly. */
  async run<T>(key: string, action: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const result = before.then(action);
    const tail = result.then(nothing, nothing);
    this.#tails.set(key, tail);
    try {
      return await result;
    } finally {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    }
  }
}

function nothing(): void {
  // The caller of the action hears of its failure; the next in the queue does not care.
}
