import type { NodeId } from "../core/ids.ts";
import type { Clock } from "../env/clock.ts";

/** How long an exchange counts as going on after its last message: longer than the gaps between them. */
const QUIET_MS = 2_000;

/**
 * A node exchanges rows with one peer at a time, whoever began: two who both see that a third has missed something would
 * else give it the same rows twice, and it would fetch them itself a third time.
 */
export class Busy {
  readonly #clock: Clock;
  /** The peer with which this node's own round exchanges rows. */
  #own: NodeId | null = null;
  /** The peer whose round exchanges rows with this node, and until when that is believed. */
  #other: NodeId | null = null;
  #otherUntilMs = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** A message of a peer's round that comes after the comparison. */
  heardFrom(peer: NodeId): void {
    this.#other = peer;
    this.#otherUntilMs = this.#clock.monotonicMs() + QUIET_MS;
  }

  /** The peer that is exchanging rows with this node by a round of its own. */
  get other(): NodeId | null {
    return this.#clock.monotonicMs() < this.#otherUntilMs ? this.#other : null;
  }

  /** True when this node must not begin to compare with a peer that asks it to. */
  refuses(peer: NodeId): boolean {
    const { other } = this;
    return (this.#own !== null && this.#own !== peer) || (other !== null && other !== peer);
  }

  /** This node's round has found what differs. False: it must give way. Of two that begin at once the lower id goes on. */
  begin(self: NodeId, peer: NodeId): boolean {
    const { other } = this;
    if (other !== null && (other !== peer || self > peer)) return false;
    this.#own = peer;
    return true;
  }

  end(): void {
    this.#own = null;
  }
}
