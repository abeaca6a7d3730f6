import type { Clock, Timer } from "../env/clock.ts";

/** Something that waits for others and must look at the time now and then. */
export interface Waiting {
  tick(nowMs: number): void;
}

const SWEEP_MS = 20;

/**
 * One timer for all that is waiting, instead of two timers for each request: a deadline is noticed at most SWEEP_MS late,
 * and a request that is answered at once costs a set insertion. The timer runs only while something waits.
 */
export class Sweeper {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  #timer: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(waiting: Waiting): void {
    this.#waiting.add(waiting);
    if (this.#timer === null) this.#schedule();
  }

  delete(waiting: Waiting): void {
    this.#waiting.delete(waiting);
  }

  #schedule(): void {
    this.#timer = this.#clock.after(SWEEP_MS, () => {
      this.#timer = null;
      const nowMs = this.#clock.monotonicMs();
      for (const waiting of this.#waiting) waiting.tick(nowMs);
      if (this.#waiting.size > 0) this.#schedule();
    });
  }
}
