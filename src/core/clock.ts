import { CLOCK_AHEAD_MAX_MS, STAMP_MAX } from "./limits.ts";
import type { Stamp } from "./version.ts";

/**
 * A hybrid logical clock (Kulkarni et al. 2014): close to wall time, never back, above all it has seen. One number of
 * microseconds stands for the paper's pair: the logical part is what a stamp is ahead of the wall.
 */
export class HybridClock {
  readonly #wallMs: () => number;
  #last: Stamp = 0;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  /**
   * A stamp above everything this clock has given out or taken in, and above all floors: the newest in the local record,
   * and the one inside the client's context. So a write's stamp is above all that it replaces.
   */
  stampAfter(...floors: readonly Stamp[]): Stamp {
    const nowUs = Math.floor(this.#wallMs() * 1000);
    // The clock's own step is not bounded: far ahead of a wall that was set back, it must still rise.
    const own = Math.min(Math.max(nowUs, this.#last) + 1, STAMP_MAX);
    let stamp = own;
    for (const floor of floors) if (floor >= stamp) stamp = Math.min(floor + 1, STAMP_MAX);
    this.#last = own;
    if (stamp > own) this.#follow(stamp, nowUs);
    return stamp;
  }

  /** Takes in a stamp that came with a record. */
  observe(stamp: Stamp): void {
    if (stamp > this.#last) this.#follow(stamp, Math.floor(this.#wallMs() * 1000));
  }

  /** Milliseconds since 1970 for judging expiry: an owner whose wall clock was set back must not revive values. */
  nowForExpiryMs(): number {
    return Math.max(this.#wallMs(), Math.floor(this.#last / 1000));
  }

  /** One wild stamp, stored with its record as it is, must not carry away the clock of every node that sees it. */
  #follow(stamp: Stamp, nowUs: number): void {
    const bounded = Math.min(stamp, nowUs + CLOCK_AHEAD_MAX_MS * 1000);
    if (bounded > this.#last) this.#last = bounded;
  }
}
