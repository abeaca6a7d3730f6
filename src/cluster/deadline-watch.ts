import type { Clock, Timer } from "../env/clock.ts";

/**
 * One timer for many deadlines: it is only ever moved towards the present. When it fires its owner looks at all deadlines
 * and says which is next, so that messages that end in time, nearly all, cost no timer.
 */
export class DeadlineWatch {
  readonly #clock: Clock;
  readonly #onDue: (nowMs: number) => number;
  #timer: Timer | null = null;
  #dueMs = Number.POSITIVE_INFINITY;

  /** `onDue` ends what is over and returns the next deadline (monotonic), or Infinity. */
  constructor(clock: Clock, onDue: (nowMs: number) => number) {
    this.#clock = clock;
    this.#onDue = onDue;
  }

  watch(deadlineMs: number, nowMs: number): void {
    if (deadlineMs >= this.#dueMs) return;
    this.#timer?.cancel();
    this.#dueMs = deadlineMs;
    this.#timer = this.#clock.after(deadlineMs - nowMs, () => this.#fire());
  }

  close(): void {
    this.#timer?.cancel();
  }

  #fire(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#dueMs = Number.POSITIVE_INFINITY;
    const nextMs = this.#onDue(nowMs);
    if (nextMs < Number.POSITIVE_INFINITY) this.watch(nextMs, nowMs);
  }
}
