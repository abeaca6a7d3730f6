/**
 * Small arrays of bytes cut out of larger ones. V8 gives each array above 64 bytes, and each smaller one that native code
 * looks into, an allocation of its own outside of its heap, which the collector has to find and free: with some twenty of
 * them for each put that was a fifth of all processor time (perf: malloc, free, sweeping of array buffers). An array that
 * is cut out costs a small object. What is kept keeps its whole slab alive, so what lives long and what does not are cut
 * from different ones.
 */
export class Slab {
  readonly #slabBytes: number;
  readonly #largestBytes: number;
  #buffer: ArrayBuffer;
  #at = 0;

  /** Requests above `largestBytes` get an array of their own. */
  constructor(slabBytes: number, largestBytes: number) {
    this.#slabBytes = slabBytes;
    this.#largestBytes = largestBytes;
    this.#buffer = new ArrayBuffer(slabBytes);
  }

  /** All zero. Never look at its `buffer`: it is shared. */
  take(length: number): Uint8Array {
    if (length > this.#largestBytes) return new Uint8Array(length);
    if (this.#at + length > this.#slabBytes) {
      this.#buffer = new ArrayBuffer(this.#slabBytes);
      this.#at = 0;
    }
    const bytes = new Uint8Array(this.#buffer, this.#at, length);
    this.#at += length;
    return bytes;
  }

  copy(bytes: Uint8Array): Uint8Array {
    const copied = this.take(bytes.length);
    copied.set(bytes);
    return copied;
  }
}

/** For what is of no use when the request has ended: heads, texts, rows on their way to the disk. */
export const passingBytes = new Slab(4096, 512);

/** For values and keys, which stay in the cache or in lists: a slab is no larger than what the cache counts for two records. */
export const keptBytes = new Slab(2048, 256);

/** For bodies of peer requests and answers. */
export const bodyBytes = new Slab(65_536, 16_384);
