/**
 * The quiet rule of reaping (design 7): "unchanged for 4 x D" without a time beside each row. Times are monotonic; whoever
 * began at `startMs` knows nothing of before, so the start of a process counts as a change of everything.
 */
import { assert } from "./assert.ts";

/** Samples in a quiet period: rows count as changed for up to an eighth of it too long. */
const SAMPLES = 8;
/** In a quiet period: keys count as touched for up to a 64th of it too long. Four bytes of them last for centuries. */
const TICKS = 64;
/** Slots whose memory is taken together, when the first of them is touched: most nodes need few. */
const PAGE_SLOTS = 4_096;

interface Sample {
  readonly atMs: number;
  readonly sequence: number;
}

/**
 * Since when has a row not changed? Sequences rise with each change of any row, so a few samples of the newest one answer for
 * all rows: what is at or below a sample was not changed after it.
 */
export class QuietRows {
  readonly #quietMs: number;
  /** Oldest first. The first is the newest that is old enough, but for the time since the last call. */
  #samples: Sample[] = [];

  constructor(quietMs: number) {
    assert(quietMs > 0, "a quiet period must have a length");
    this.#quietMs = quietMs;
  }

  /** To be called now and then: rows are found quiet only up to the samples that were taken. */
  sample(nowMs: number, sequence: number): void {
    const newest = this.#samples.at(-1);
    if (newest !== undefined && nowMs - newest.atMs < this.#quietMs / SAMPLES) return;
    this.#samples.push({ atMs: nowMs, sequence });
    // One that is old enough must stay, and the others will be.
    const old = this.#samples.findLastIndex(({ atMs }) => nowMs - atMs >= this.#quietMs);
    if (old > 0) this.#samples = this.#samples.slice(old);
  }

  /** The newest sequence of which it is certain that its row has not changed for the quiet period; -1 for none. */
  quietUpTo(nowMs: number): number {
    let sequence = -1;
    for (const sample of this.#samples) {
      if (nowMs - sample.atMs >= this.#quietMs) sequence = sample.sequence;
    }
    return sequence;
  }
}

/**
 * When something of a key was taken in, replaced or dropped last. Memory is bounded: keys whose hashes share a slot share its
 * time, and times are rounded up, so a key may look touched that was not, never the other way round.
 */
export class TouchedKeys {
  readonly #quietMs: number;
  readonly #startMs: number;
  readonly #tickMs: number;
  readonly #slots: number;
  /** By hash, in ticks since the start, rounded up; 0, or no page: at the start. */
  readonly #touchedTicks: (Uint32Array | undefined)[] = [];

  /** REQUIRES: `slots` is a power of two. */
  constructor(quietMs: number, slots: number, startMs: number) {
    assert((slots & (slots - 1)) === 0, "slots are a power of two");
    this.#quietMs = quietMs;
    this.#startMs = startMs;
    this.#tickMs = quietMs / TICKS;
    this.#slots = slots;
  }

  touch(hash: number, nowMs: number): void {
    const slot = hash & (this.#slots - 1);
    const number = Math.floor(slot / PAGE_SLOTS);
    let page = this.#touchedTicks[number];
    if (page === undefined) {
      page = new Uint32Array(Math.min(this.#slots, PAGE_SLOTS));
      this.#touchedTicks[number] = page;
    }
    page[slot % PAGE_SLOTS] = Math.floor((nowMs - this.#startMs) / this.#tickMs) + 1;
  }

  isQuiet(hash: number, nowMs: number): boolean {
    const slot = hash & (this.#slots - 1);
    const ticks = this.#touchedTicks[Math.floor(slot / PAGE_SLOTS)]?.[slot % PAGE_SLOTS] ?? 0;
    return nowMs - this.#startMs - ticks * this.#tickMs >= this.#quietMs;
  }
}
