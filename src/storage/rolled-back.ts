/** Stretches of sequences whose turn was rolled back; they were given out and never came to be. */
interface Range {
  readonly first: number;
  last: number;
}

/**
 * Old stretches are forgotten: whoever waits for a sequence asks within its request's few seconds, and a thousand full
 * disks with successful commits between them do not fit in that.
 */
const RANGES_MAX = 1024;

/** Remembers which sequences must never be called durable though later ones are. */
export class RolledBack {
  readonly #ranges: Range[] = [];

  /** The highest sequence that was ever rolled back, or 0. */
  get newest(): number {
    return this.#ranges.at(-1)?.last ?? 0;
  }

  /** REQUIRES: first is above all that was added before. Neighbours join, so a disk that stays full costs one entry. */
  add(first: number, last: number): void {
    const newest = this.#ranges.at(-1);
    if (newest !== undefined && newest.last + 1 === first) newest.last = last;
    else this.#ranges.push({ first, last });
    if (this.#ranges.length > RANGES_MAX) this.#ranges.shift();
  }

  has(sequence: number): boolean {
    for (let i = this.#ranges.length - 1; i >= 0; i--) {
      const range = this.#ranges[i] as Range;
      if (sequence > range.last) return false;
      if (sequence >= range.first) return true;
    }
    return false;
  }
}
