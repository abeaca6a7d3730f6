import { writeU32 } from "./row-bytes.ts";
import type { RowDigest } from "./row-digest.ts";

const TWO_POW_32 = 2 ** 32;

/**
 * The sums of one unit: a leaf for each slice of its partition, which is the sum mod 2^128 of the digests of the rows in it,
 * and the root, which is the sum of the leaves. Adding a row and taking it away again is exact and costs the same whatever
 * the tree holds. (Bellare and Micciancio 1997: sums of keyed hashes, unlike exclusive ors, cannot be made to collide by
 * linear algebra.)
 */
export class UnitTree {
  /** Four words for each leaf, the highest first, and four for the root behind them. */
  readonly #words: Int32Array;
  readonly #rootAt: number;

  constructor(leaves: number) {
    this.#rootAt = leaves * 4;
    this.#words = new Int32Array(this.#rootAt + 4);
  }

  get bytes(): number {
    return this.#words.byteLength;
  }

  add(leaf: number, digest: RowDigest): void {
    addAt(this.#words, leaf * 4, digest);
    addAt(this.#words, this.#rootAt, digest);
  }

  subtract(leaf: number, digest: RowDigest): void {
    const opposite = negative(digest);
    addAt(this.#words, leaf * 4, opposite);
    addAt(this.#words, this.#rootAt, opposite);
  }

  root(): RowDigest {
    return digestAt(this.#words, this.#rootAt);
  }

  /** Of the leaves from .. to - 1. */
  sum(from: number, to: number): RowDigest {
    if (to === from + 1) return digestAt(this.#words, from * 4);
    const sum = new Int32Array(4);
    for (let leaf = from; leaf < to; leaf++) addAt(sum, 0, digestAt(this.#words, leaf * 4));
    return digestAt(sum, 0);
  }

  /**
   * The low halves (8 bytes each, big-endian) of the sums of `count` neighbouring ranges of leaves, each `width` wide: what is
   * compared with another node, a million of them when much differs.
   */
  lowSums(from: number, count: number, width: number): Uint8Array {
    const bytes = new Uint8Array(count * LOW_BYTES);
    let at = (from + 1) * 4 - 1;
    for (let child = 0; child < count; child++) {
      let low = 0;
      let high = 0;
      for (let leaf = 0; leaf < width; leaf++, at += 4) {
        low += (this.#words[at] as number) >>> 0;
        high += (this.#words[at - 1] as number) >>> 0;
      }
      // Of at most 1,024 words each: exact.
      writeU32(bytes, child * LOW_BYTES, high + Math.floor(low / TWO_POW_32));
      writeU32(bytes, child * LOW_BYTES + 4, low);
    }
    return bytes;
  }

  equals(other: UnitTree): boolean {
    for (let i = 0; i < this.#words.length; i++) {
      if (this.#words[i] !== other.#words[i]) return false;
    }
    return true;
  }

  /** True when no row is in it, or the sums of those that are cannot be told from that. */
  get isZero(): boolean {
    return this.#words.every((word) => word === 0);
  }
}

/** Of the 16 bytes of a sum. */
export const LOW_BYTES = 8;

export const ZERO_DIGEST: RowDigest = { w0: 0, w1: 0, w2: 0, w3: 0 };

/** Mod 2^128. */
export function addDigests(a: RowDigest, b: RowDigest): RowDigest {
  const sum = new Int32Array([a.w0, a.w1, a.w2, a.w3]);
  addAt(sum, 0, b);
  return digestAt(sum, 0);
}

function digestAt(words: Int32Array, at: number): RowDigest {
  return {
    w0: words[at] as number,
    w1: words[at + 1] as number,
    w2: words[at + 2] as number,
    w3: words[at + 3] as number,
  };
}

function addAt(words: Int32Array, at: number, digest: RowDigest): void {
  let sum = ((words[at + 3] as number) >>> 0) + (digest.w3 >>> 0);
  words[at + 3] = sum;
  sum = ((words[at + 2] as number) >>> 0) + (digest.w2 >>> 0) + (sum >= TWO_POW_32 ? 1 : 0);
  words[at + 2] = sum;
  sum = ((words[at + 1] as number) >>> 0) + (digest.w1 >>> 0) + (sum >= TWO_POW_32 ? 1 : 0);
  words[at + 1] = sum;
  sum = ((words[at] as number) >>> 0) + (digest.w0 >>> 0) + (sum >= TWO_POW_32 ? 1 : 0);
  words[at] = sum;
}

/** Two's complement: what added to the digest gives 0. */
function negative({ w0, w1, w2, w3 }: RowDigest): RowDigest {
  const n3 = -w3 | 0;
  let carry = w3 === 0;
  const n2 = (carry ? -w2 : ~w2) | 0;
  carry = carry && w2 === 0;
  const n1 = (carry ? -w1 : ~w1) | 0;
  carry = carry && w1 === 0;
  return { w0: (carry ? -w0 : ~w0) | 0, w1: n1, w2: n2, w3: n3 };
}
