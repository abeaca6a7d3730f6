/** One run of one node: what dies with a kill. The disk and the identity outlive it (sim-node.ts). */
import type { PeerHandler } from "../../src/env/transport.ts";
import type { GyreNode } from "../../src/node.ts";
import { NodeClock, type VirtualClock } from "../support/virtual-clock.ts";
import type { SeededRandom } from "./seeded-random.ts";

/** Where in its next turn an armed process dies. */
export type CrashPoint =
  | "before-commit-of-dot"
  | "before-commit-of-row"
  | "after-commit"
  | "after-send";

export const CRASH_POINTS: readonly CrashPoint[] = [
  "before-commit-of-dot",
  "before-commit-of-row",
  "after-commit",
  "after-send",
];

export interface ProcessParts {
  readonly index: number;
  readonly clock: VirtualClock;
  readonly random: SeededRandom;
  readonly wallOffsetMs: number;
  readonly driftPpm: number;
  /** What arrives within so long is handled in one turn. */
  readonly turnMs: number;
  /** Called when the armed point is reached; it must kill the process. */
  readonly onCrashPoint: (point: CrashPoint) => void;
  /** True when the open turn holds a write: a crash elsewhere would prove nothing. */
  readonly hasUncommitted: (what: "dot" | "row") => boolean;
}

export class SimProcess {
  readonly index: number;
  readonly clock: NodeClock;
  alive = true;
  /** It has once been stalled: its answers may be late. */
  stalled = false;
  node: GyreNode | null = null;
  readonly #parts: ProcessParts;
  readonly #inbox: (() => void)[] = [];
  #armed: CrashPoint | null = null;
  #sendsLeft = 0;

  constructor(parts: ProcessParts) {
    this.index = parts.index;
    this.#parts = parts;
    this.clock = new TurnClock(parts.clock, parts.wallOffsetMs, parts.driftPpm, (act) =>
      this.#endTurn(act),
    );
  }

  get peer(): PeerHandler {
    const { node } = this;
    if (node === null) throw new Error("A process that has not started was called");
    return node.peer;
  }

  /** Runs `act` in a turn of this process, with all else that arrives at about the same time. */
  deliver(act: () => void): void {
    const { clock, random, turnMs } = this.#parts;
    if (turnMs === 0) {
      this.clock.after(0, act);
      return;
    }
    this.#inbox.push(() => {
      if (this.alive) act();
    });
    if (this.#inbox.length > 1) return;
    this.clock.afterPlainly(random.between(0, turnMs), () =>
      clock.inOneTurn(this.#inbox.splice(0)),
    );
  }

  /** The next time the process reaches the point it dies there. */
  arm(point: CrashPoint, sends = 1): void {
    this.#armed = point;
    this.#sendsLeft = sends;
  }

  disarm(): void {
    this.#armed = null;
  }

  /** The network tells that this process has just sent something. */
  sent(): void {
    if (this.#armed !== "after-send" || --this.#sendsLeft > 0) return;
    this.#crash("after-send");
  }

  /** Nothing of it runs for so long, as in a long pause of the garbage collector or of the machine. */
  stall(durationMs: number): void {
    this.stalled = true;
    this.clock.stall(durationMs);
  }

  kill(): void {
    this.alive = false;
    this.clock.kill();
  }

  /** Runs the end of a turn, which commits it, unless the process dies before; it may also die right after. */
  #endTurn(act: () => void): void {
    const armed = this.#armed;
    if (armed === null || armed === "after-send") {
      act();
      return;
    }
    const isReached = this.#parts.hasUncommitted(armed === "before-commit-of-dot" ? "dot" : "row");
    if (isReached && armed !== "after-commit") this.#crash(armed);
    if (!this.alive) return;
    act();
    // Durable, and nobody has been told: neither peers nor clients.
    if (isReached && this.alive) this.#crash(armed);
  }

  #crash(point: CrashPoint): void {
    this.#armed = null;
    this.#parts.onCrashPoint(point);
  }
}

/** The ends of turns are where commits happen: the place just before them is where a kill hurts most. */
class TurnClock extends NodeClock {
  readonly #endTurn: (act: () => void) => void;

  constructor(
    clock: VirtualClock,
    wallOffsetMs: number,
    driftPpm: number,
    endTurn: (act: () => void) => void,
  ) {
    super(clock, wallOffsetMs, driftPpm);
    this.#endTurn = endTurn;
  }

  override endOfTurn(act: () => void): void {
    super.endOfTurn(() => this.#endTurn(act));
  }
}
