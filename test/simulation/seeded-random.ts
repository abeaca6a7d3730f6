import type { Random } from "../../src/env/random.ts";

/** A number for each purpose: two with the same number would draw the same. */
const SALTS = {
  options: 0x9e3779b1,
  "options of a small world": 0x85ebca6b,
  "options of forgetting": 0xc2b2ae35,
  "how many races": 0x165667b1,
  "further faults": 0x27d4eb2f,
  races: 0xd6e8feb9,
  "pages of lists": 0xa0761d65,
  "homes out of reach": 0x5bd1e995,
};

/** A stream of its own for this purpose: what is drawn from it changes nothing else in the world of this seed. */
export function streamOf(seed: number, purpose: keyof typeof SALTS): SeededRandom {
  const random = new SeededRandom(Math.imul(seed + 1, SALTS[purpose]));
  // Neighbouring seeds must not begin with similar numbers.
  random.next();
  return random;
}

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
