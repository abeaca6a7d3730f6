/**
 * The quiet rule of reaping (design 7): "unchanged for 4 x D" without a time beside each row. Times are monotonic; whoever
 * began at `startMs` knows nothing of before, so the start of a process counts as a change of everything.
 */
import { assert } from "./assert.ts";

/** Samples in a quiet period: rows count as changed for up to an eighth of it too long. */
const SAMPLES = 8;

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
 * Keys of which something was taken in, replaced or dropped lately. Bounded: when there are too many the oldest are
 * forgotten, and then every key that is not listed counts as touched when the newest of those was.
 */
export class TouchedKeys {
  readonly #quietMs: number;
  readonly #keysMax: number;
  /** By key id, oldest first. */
  readonly #touchedMs = new Map<string, number>();
  #floorMs: number;

  constructor(quietMs: number, keysMax: number, startMs: number) {
    this.#quietMs = quietMs;
    this.#keysMax = keysMax;
    this.#floorMs = startMs;
  }

  touch(keyId: string, nowMs: number): void {
    this.#touchedMs.delete(keyId);
    this.#touchedMs.set(keyId, nowMs);
    for (const [oldest, atMs] of this.#touchedMs) {
      const isOver = nowMs - atMs >= this.#quietMs;
      if (!isOver && this.#touchedMs.size <= this.#keysMax) break;
      this.#touchedMs.delete(oldest);
      if (!isOver) this.#floorMs = atMs;
    }
  }

  isQuiet(keyId: string, nowMs: number): boolean {
    const touchedMs = Math.max(this.#touchedMs.get(keyId) ?? this.#floorMs, this.#floorMs);
    return nowMs - touchedMs >= this.#quietMs;
  }
}
