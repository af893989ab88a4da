// Chance from a seed: the same choices in every run. Not for secrets.

/** xorshift32: fast, and the same everywhere. */
export class SeededRandom {
  private state: number;

  /** Any number but 0, of 32 bits. */
  constructor(seed: number) {
    this.state = seed;
  }

  below(limit: number): number {
    this.state ^= this.state << 13;
    this.state ^= this.state >>> 17;
    this.state ^= this.state << 5;
    return (this.state >>> 0) % limit;
  }

  /** A source of its own for work that goes on at the same time: who comes first there changes nothing elsewhere. */
  fork(): SeededRandom {
    return new SeededRandom(Math.imul(1 + this.below(2 ** 32 - 2), 0x9e37_79b1));
  }
}
