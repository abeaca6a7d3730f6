import type { Env } from "../env/env.ts";

/** Failures in a row after which messages are refused for a moment: waiting for each timeout would hold up quorums. */
const FAILURES_TO_SHED = 3;
const PAUSE_MIN_MS = 50;
/** Liveness is gossip's to decide: a peer that is back is tried within this. */
const PAUSE_MAX_MS = 1_000;

/**
 * Refuses work for a peer that just failed several times, for short, jittered pauses that double (full circuit breakers
 * would form an opinion of their own about who is alive).
 */
export class ShedGate {
  readonly #env: Pick<Env, "clock" | "random">;
  #failures = 0;
  #untilMs = Number.NEGATIVE_INFINITY;

  constructor(env: Pick<Env, "clock" | "random">) {
    this.#env = env;
  }

  /** True while messages are to be refused. */
  isClosed(nowMs: number): boolean {
    return nowMs < this.#untilMs;
  }

  /** After a pause one request finds out whether the peer is back. */
  get isProbing(): boolean {
    return this.#failures >= FAILURES_TO_SHED;
  }

  noteAnswer(): void {
    this.#failures = 0;
    this.#untilMs = Number.NEGATIVE_INFINITY;
  }

  noteFailure(): void {
    this.#failures++;
    if (!this.isProbing) return;
    const doublings = Math.min(this.#failures - FAILURES_TO_SHED, 10);
    const pauseMs = Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * (1 << doublings));
    const half = Math.ceil(pauseMs / 2);
    this.#untilMs = this.#env.clock.monotonicMs() + half + this.#env.random.below(half);
  }
}
