import type { Clock } from "../env/clock.ts";

const PAUSE_MS = 60_000;
/** What is remembered; a stranger who varies its name fills it, and then all share one line a minute. */
const NAMES_MAX = 256;
const EVERYBODY_ELSE = "";

/** One line a minute for each name, so that a misconfigured peer does not fill the log. */
export class LogLimiter {
  readonly #clock: Clock;
  readonly #lastMs = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  allow(name: string): boolean {
    const nowMs = this.#clock.monotonicMs();
    const known = this.#lastMs.has(name) || this.#lastMs.size < NAMES_MAX;
    const key = known ? name : EVERYBODY_ELSE;
    const lastMs = this.#lastMs.get(key);
    if (lastMs !== undefined && nowMs - lastMs < PAUSE_MS) return false;
    if (!known) this.#forgetOld(nowMs);
    this.#lastMs.set(key, nowMs);
    return true;
  }

  #forgetOld(nowMs: number): void {
    for (const [name, lastMs] of this.#lastMs) {
      if (nowMs - lastMs >= PAUSE_MS) this.#lastMs.delete(name);
    }
  }
}
