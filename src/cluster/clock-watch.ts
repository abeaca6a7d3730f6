/**
 * How far this node's wall clock is from those of its peers, from the times that gossip answers carry (design 4: "a node more
 * than 5 s from the median of its peers raises an alarm and lets others coordinate"). Causality does not depend on clocks;
 * expiry and the order of concurrent writes do.
 */
import type { NodeId } from "../core/ids.ts";
import type { Env } from "../env/env.ts";
import {
  CLOCK_OFFSET_ALARM_MS,
  CLOCK_OFFSET_CLEAR_MS,
  CLOCK_SAMPLE_LIFE_MS,
  CLOCK_SAMPLE_ROUND_TRIP_MAX_MS,
} from "./cluster-limits.ts";

/** One peer alone may be the one that is wrong: then both raise the alarm, and nobody gives way. */
const PEERS_TO_GIVE_WAY_MIN = 2;

interface Sample {
  /** The peer's wall clock when this process's monotonic clock stood at zero. So a jump of the own wall clock shows at once. */
  readonly wallAtZeroMs: number;
  readonly takenMs: number;
}

export class ClockWatch {
  readonly #env: Pick<Env, "clock" | "logger">;
  readonly #samples = new Map<NodeId, Sample>();
  #alarm = false;

  constructor(env: Pick<Env, "clock" | "logger">) {
    this.#env = env;
  }

  /** A peer answered that its clock says `wallMs`; the question was sent at `sentMs` by the own monotonic clock. */
  observe(peer: NodeId, wallMs: number, sentMs: number): void {
    const nowMs = this.#env.clock.monotonicMs();
    const roundTripMs = nowMs - sentMs;
    // The clock was read somewhere on the way: an answer that took long says little.
    if (roundTripMs > CLOCK_SAMPLE_ROUND_TRIP_MAX_MS) return;
    const wallAtZeroMs = wallMs + roundTripMs / 2 - nowMs;
    this.#samples.set(peer, { wallAtZeroMs, takenMs: nowMs });
    this.#judge();
  }

  /** Median of the peers' clocks minus the own one, in ms: positive when this one is behind. Null while no peer is heard. */
  offsetMs(): number | null {
    const nowMs = this.#env.clock.monotonicMs();
    const walls: number[] = [];
    for (const [peer, sample] of this.#samples) {
      if (nowMs - sample.takenMs > CLOCK_SAMPLE_LIFE_MS) this.#samples.delete(peer);
      else walls.push(sample.wallAtZeroMs);
    }
    if (walls.length === 0) return null;
    walls.sort((a, b) => a - b);
    const middle = walls.length >> 1;
    const upper = walls[middle] as number;
    const median = walls.length % 2 === 1 ? upper : ((walls[middle - 1] as number) + upper) / 2;
    return median + nowMs - this.#env.clock.wallMs();
  }

  /** The alarm is up. */
  get isOff(): boolean {
    return this.#alarm;
  }

  /** Others should coordinate in this node's place. */
  get givesWay(): boolean {
    return this.#alarm && this.#samples.size >= PEERS_TO_GIVE_WAY_MIN;
  }

  /** What to add to the own wall clock while others are known to be right: a put that must be taken here is stamped so. */
  correctionMs(): number {
    return this.givesWay ? (this.offsetMs() ?? 0) : 0;
  }

  /**
   * The own wall clock while a peer's (of several: their median) stands close to it; null when nobody vouches for it. A node
   * that is the whole cluster has nobody to agree with, and nobody to disagree with.
   */
  confirmedWallMs(isAlone = false): number | null {
    const offsetMs = isAlone ? 0 : this.offsetMs();
    if (offsetMs === null || Math.abs(offsetMs) > CLOCK_OFFSET_ALARM_MS) return null;
    return this.#env.clock.wallMs();
  }

  #judge(): void {
    const offsetMs = this.offsetMs();
    if (offsetMs === null) return;
    const distanceMs = Math.abs(offsetMs);
    const alarm = distanceMs > (this.#alarm ? CLOCK_OFFSET_CLEAR_MS : CLOCK_OFFSET_ALARM_MS);
    if (alarm === this.#alarm) return;
    this.#alarm = alarm;
    const fields = { offsetMs: Math.round(offsetMs), peers: this.#samples.size };
    if (!alarm) {
      this.#env.logger.info("clock-offset-over", fields);
      return;
    }
    this.#env.logger.warn("clock-offset", {
      ...fields,
      advice:
        "this node's clock is far from its peers' (positive: it is behind): check its time service. Puts go to other " +
        "homes while there are any; expiry is judged by a wrong clock here",
    });
  }
}
