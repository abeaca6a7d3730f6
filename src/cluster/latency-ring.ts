const SAMPLES = 256;
/** Sorting costs some microseconds: it is done once for so many samples, and only if somebody asks. */
const SAMPLES_PER_SORT = 32;

/** The 99th percentile (nearest rank) of the newest 256 samples, up to 31 samples late. */
export class LatencyRing {
  readonly #samples = new Float64Array(SAMPLES);
  #added = 0;
  #sortedAt = -SAMPLES_PER_SORT;
  #p99 = 0;

  add(milliseconds: number): void {
    this.#samples[this.#added % SAMPLES] = milliseconds;
    this.#added++;
  }

  /** 0 before the first sample. */
  p99(): number {
    if (this.#added - this.#sortedAt >= SAMPLES_PER_SORT || this.#added <= SAMPLES_PER_SORT) {
      const held = Math.min(this.#added, SAMPLES);
      if (held === 0) return 0;
      const sorted = this.#samples.slice(0, held).sort();
      this.#p99 = sorted[Math.ceil(held * 0.99) - 1] as number;
      this.#sortedAt = this.#added;
    }
    return this.#p99;
  }
}
