import type { Clock } from "../env/clock.ts";
import { sleep } from "../env/worker.ts";

/** What a background worker may use up in a second. It pays afterwards, by waiting before it does more. */
export class Pace {
  readonly #clock: Clock;
  readonly #perSecond: number;
  /** When what was used up is paid for. */
  #paidMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, perSecond: number) {
    this.#clock = clock;
    this.#perSecond = perSecond;
  }

  used(amount: number): void {
    const start = Math.max(this.#paidMs, this.#clock.monotonicMs());
    this.#paidMs = start + (amount * 1000) / this.#perSecond;
  }

  /** Resolves when everything is paid for; at once as a rule. */
  async wait(): Promise<void> {
    for (;;) {
      const leftMs = this.#paidMs - this.#clock.monotonicMs();
      // A timer takes a ms or more: smaller debts are left to the next one.
      if (leftMs < 1) return;
      await sleep(this.#clock, leftMs);
    }
  }
}
