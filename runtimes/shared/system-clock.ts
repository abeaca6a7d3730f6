import type { Clock, Timer } from "../../src/env/clock.ts";

/** The longest delay that setTimeout takes: beyond it the callback would run at once. */
const TIMEOUT_MS_MAX = 2 ** 31 - 1;

/**
 * Runs its act never before the time is over. The runtimes count a timeout from the start of the event-loop turn, so
 * after a long turn a bare setTimeout fires early, and a caller who compares the time with its deadline is surprised.
 */
class SystemTimer implements Timer {
  readonly #dueMs: number;
  readonly #act: () => void;
  #handle: ReturnType<typeof setTimeout>;

  constructor(delayMs: number, act: () => void) {
    this.#dueMs = performance.now() + delayMs;
    this.#act = act;
    this.#handle = this.#arm(delayMs);
  }

  cancel(): void {
    clearTimeout(this.#handle);
  }

  #arm(delayMs: number): ReturnType<typeof setTimeout> {
    return setTimeout(() => this.#fire(), Math.min(Math.ceil(delayMs), TIMEOUT_MS_MAX));
  }

  #fire(): void {
    const leftMs = this.#dueMs - performance.now();
    if (leftMs > 0) this.#handle = this.#arm(leftMs);
    else this.#act();
  }
}

/** The clock of the machine. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, act) => new SystemTimer(delayMs, act),
  endOfTurn: (act) => {
    setImmediate(act);
  },
};
