import type { Clock, Timer } from "../env/clock.ts";

/** Something that waits for others until a time. */
export interface Waiting {
  /** Monotonic: nothing is to be done before. What moves it towards the present tells the sweeper. */
  readonly dueMs: number;
  /** Called when it is due, or a little later. */
  tick(nowMs: number): void;
}

/** The least time between two looks at all that is waiting: bounds their number, and how late a deadline is noticed. */
const SWEEP_MIN_MS = 20;
/** The longest: timers stand still while the machine sleeps, the clock of deadlines does not (env/wakeful-clock.ts). */
const SWEEP_MAX_MS = 1_000;

/**
 * One timer for all that is waiting, instead of two timers for each request. It is set for the earliest due time and only
 * ever moved towards the present, so a request that is answered in time costs a set insertion and a comparison.
 */
export class Sweeper {
  readonly #clock: Clock;
  readonly #waiting = new Set<Waiting>();
  #timer: Timer | null = null;
  #dueMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Again when its due time has come nearer. */
  add(waiting: Waiting): void {
    this.#waiting.add(waiting);
    this.#watch(waiting.dueMs);
  }

  /** As `add`, but nothing if it was not added before, or was deleted since. */
  hasten(waiting: Waiting): void {
    if (this.#waiting.has(waiting)) this.#watch(waiting.dueMs);
  }

  delete(waiting: Waiting): void {
    this.#waiting.delete(waiting);
  }

  #watch(dueMs: number): void {
    if (dueMs >= this.#dueMs) return;
    this.#timer?.cancel();
    const nowMs = this.#clock.monotonicMs();
    const delayMs = Math.min(Math.max(0, dueMs - nowMs), SWEEP_MAX_MS);
    this.#dueMs = nowMs + delayMs;
    this.#timer = this.#clock.after(delayMs, () => this.#sweep());
  }

  #sweep(): void {
    const nowMs = this.#clock.monotonicMs();
    // Whoever is added meanwhile is seen below.
    this.#dueMs = Number.NEGATIVE_INFINITY;
    for (const waiting of this.#waiting) if (waiting.dueMs <= nowMs) waiting.tick(nowMs);
    let nextMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#waiting) nextMs = Math.min(nextMs, dueMs);
    this.#dueMs = Number.POSITIVE_INFINITY;
    if (this.#waiting.size > 0) this.#watch(Math.max(nextMs, nowMs + SWEEP_MIN_MS));
  }
}
