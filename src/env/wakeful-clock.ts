import type { Clock, Timer } from "./clock.ts";

/** A wall clock that runs ahead by less than this between two looks was slewed or read late; above it the machine slept. */
const ASLEEP_MIN_MS = 1_000;

/**
 * A clock whose monotonic time goes on while the machine sleeps. That of the operating system stands still then (Linux), so a
 * read that was in progress would find its deadline far away when the machine wakes, and repair with what it was told
 * hours ago. Each look compares with the wall clock: one that ran ahead has seen a sleep, and its length is added, so that
 * whatever was pending is over before anybody acts upon it. A wall clock that is set forward looks the same: then pending
 * requests time out early, and nothing else happens.
 *
 * Only for deadlines and ages of what came from others: what must have lasted *at least* so long is measured by the clock
 * below.
 */
export class WakefulClock implements Clock {
  readonly #clock: Clock;
  #asleepMs = 0;
  /** Of the last look: how far the wall clock is ahead of the monotonic one. */
  #gapMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#gapMs = clock.wallMs() - clock.monotonicMs();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  monotonicMs(): number {
    const monotonicMs = this.#clock.monotonicMs();
    const gapMs = this.#clock.wallMs() - monotonicMs;
    if (gapMs - this.#gapMs >= ASLEEP_MIN_MS) this.#asleepMs += gapMs - this.#gapMs;
    this.#gapMs = gapMs;
    return monotonicMs + this.#asleepMs;
  }

  after(delayMs: number, act: () => void): Timer {
    return this.#clock.after(delayMs, act);
  }

  endOfTurn(act: () => void): void {
    this.#clock.endOfTurn(act);
  }
}
