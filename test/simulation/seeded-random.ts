import type { Random } from "../../src/env/random.ts";

/** Mulberry32: small, fast and the same on every runtime. One stream for each purpose, so that drawing more in one place
 * does not change what happens in another. */
export class SeededRandom implements Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0;
  }

  /** 0 .. 2^32-1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  }

  below(limit: number): number {
    return limit <= 1 ? 0 : this.next() % limit;
  }

  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count);
    let word = 0;
    for (let i = 0; i < count; i++) {
      if (i % 4 === 0) word = this.next();
      bytes[i] = word & 0xff;
      word >>>= 8;
    }
    return bytes;
  }

  /** 0 inclusive to 1 exclusive. */
  fraction(): number {
    return this.next() / 4_294_967_296;
  }

  chance(probability: number): boolean {
    return this.fraction() < probability;
  }

  /** A fraction between the two. */
  between(low: number, high: number): number {
    return low + (high - low) * this.fraction();
  }

  /** An integer from low to high, both inclusive. */
  integer(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  /** REQUIRES: at least one. */
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  /** The index of a weight, in proportion to it. */
  weighted(weights: readonly number[]): number {
    let total = 0;
    for (const weight of weights) total += weight;
    let at = this.fraction() * total;
    for (let i = 0; i < weights.length; i++) {
      at -= weights[i] as number;
      if (at < 0) return i;
    }
    return weights.length - 1;
  }

  /** A stream of its own, for another purpose. */
  fork(): SeededRandom {
    return new SeededRandom(this.next());
  }
}
