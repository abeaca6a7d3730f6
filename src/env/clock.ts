/** A cancellable one-shot timer. */
export interface Timer {
  cancel(): void;
}

/** Time as an argument. The simulator's clock is virtual; nothing below `runtimes/` may reach for another one. */
export interface Clock {
  /** Milliseconds since 1970, may jump either way. Fractions allowed. */
  wallMs(): number;
  /** Milliseconds since some fixed moment, never goes back. */
  monotonicMs(): number;
  /** Runs `act` once, `delayMs` from now or later. */
  after(delayMs: number, act: () => void): Timer;
  /**
   * Runs `act` after the callbacks of the present event-loop turn (setImmediate): the place where the writes of one
   * turn are committed together.
   */
  endOfTurn(act: () => void): void;
}
