/** Sequence numbers that may arrive out of order: more than a peer can have under way at once. */
const WINDOW = 1_024;
const BITS = 32;

/** Takes each sequence number once (RFC 4303, section 3.4.3): what is older than the window counts as taken. */
export class ReplayWindow {
  /** Ring of bits: number n is bit n mod WINDOW. */
  readonly #taken = new Uint32Array(WINDOW / BITS);
  #highest = 0;

  /** False when the number was taken before or is too old. REQUIRES: an integer of 1 or more. */
  take(sequence: number): boolean {
    if (sequence > this.#highest) {
      this.#advanceTo(sequence);
    } else if (this.#highest - sequence >= WINDOW) {
      return false;
    }
    const bit = sequence % WINDOW;
    const mask = (1 << (bit % BITS)) >>> 0;
    const slot = Math.floor(bit / BITS);
    const word = this.#taken[slot] as number;
    if ((word & mask) !== 0) return false;
    this.#taken[slot] = word | mask;
    return true;
  }

  /** True when `take` would take it now. REQUIRES: an integer of 1 or more. */
  isFree(sequence: number): boolean {
    if (sequence > this.#highest) return true;
    if (this.#highest - sequence >= WINDOW) return false;
    const bit = sequence % WINDOW;
    const word = this.#taken[Math.floor(bit / BITS)] as number;
    return (word & ((1 << (bit % BITS)) >>> 0)) === 0;
  }

  /** Frees the bits of the numbers that leave the window, which those that come in share. */
  #advanceTo(sequence: number): void {
    if (sequence - this.#highest >= WINDOW) {
      this.#taken.fill(0);
    } else {
      for (let n = this.#highest + 1; n <= sequence; n++) {
        const bit = n % WINDOW;
        const slot = Math.floor(bit / BITS);
        this.#taken[slot] = (this.#taken[slot] as number) & ~((1 << (bit % BITS)) >>> 0);
      }
    }
    this.#highest = sequence;
  }
}
