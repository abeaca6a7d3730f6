/**
 * Who is down, in the opinion of this node (design 5; Das et al. 2002, "SWIM", for indirect probes and refutable
 * suspicion; Dadgar et al. 2018, "Lifeguard", for doubting oneself first). An opinion routes requests, no more: it never
 * moves data.
 */
import {
  type FailureDetector,
  OwnHealth,
  stallMs,
  suspicionTimeoutMs,
} from "../core/failure-detector.ts";
import type { NodeId } from "../core/ids.ts";
import type { Env } from "../env/env.ts";
import { PROBE_HELPERS, PROBE_TIMEOUT_MS, SUSPICION_TICK_MS } from "./cluster-limits.ts";
import {
  compareLiveliness,
  type Liveliness,
  type MemberEntry,
  readLiveliness,
  readNodeId,
} from "./member-entry.ts";
import type { Member, MemberList } from "./member-list.ts";
import type { PeerChannel, WireFields } from "./peer-channel.ts";
import { readBoolean } from "./wire-read.ts";

export interface SuspicionParts {
  readonly env: Env;
  readonly channel: PeerChannel;
  readonly detector: FailureDetector;
  readonly members: MemberList;
  readonly self: NodeId;
  readonly own: () => MemberEntry;
}

/** What one helper said: alive, not reached either, or nothing at all. */
type Testimony = "alive" | "not-reached" | "silent";

export class Suspicion {
  readonly #parts: SuspicionParts;
  readonly #health = new OwnHealth();
  readonly #probing = new Set<NodeId>();
  #dueMs = Number.POSITIVE_INFINITY;
  /** Counts the stalls: a probe that was under way during one proves nothing. */
  #stalls = 0;

  constructor(parts: SuspicionParts) {
    this.#parts = parts;
  }

  /** Looks for the overdue and the unrefuted. Returns the delay to the next look. */
  tick(): number {
    const { env, members, detector } = this.#parts;
    const nowMs = env.clock.monotonicMs();
    // Before anybody is judged: was it this process that stood still?
    const lateMs = stallMs(this.#dueMs, nowMs);
    if (lateMs > 0) this.noteStall(lateMs);
    this.#dueMs = nowMs + SUSPICION_TICK_MS;
    for (const member of members.others()) {
      const id = member.entry.id;
      if (member.state === "suspect" && nowMs >= member.suspectUntilMs) this.#declareDown(member);
      if (member.state !== "up" || this.#probing.has(id)) continue;
      if (detector.overdue(id, nowMs, this.#health.value)) void this.#probe(member);
    }
    return SUSPICION_TICK_MS;
  }

  /** A commit or a timer was late by so much: nobody could be heard meanwhile, so it counts against nobody. */
  noteStall(lateMs: number): void {
    if (stallMs(0, lateMs) === 0) return;
    this.#stalls++;
    this.#parts.detector.shift(lateMs);
    for (const member of this.#parts.members.others()) member.suspectUntilMs += lateMs;
    this.#parts.env.logger.warn("process-stalled", { lateMs: Math.round(lateMs) });
  }

  /** In a round of gossip somebody answered: this node hears others well. */
  goodRound(): void {
    this.#health.recover();
  }

  /** The suspicions this node holds, for gossip: [id, incarnation, nonce, counter]. */
  accusations(): WireFields {
    const accused: WireFields[] = [];
    for (const { state, entry } of this.#parts.members.others()) {
      if (state === "suspect") {
        accused.push([entry.id, entry.incarnation, entry.nonce, entry.counter]);
      }
    }
    return accused;
  }

  /**
   * Someone suspects `node`, whose newest counter they knew was `at`. A higher counter known here refutes it; so does
   * this node's own next heartbeat when it is the accused.
   */
  heard(node: NodeId, at: Liveliness, nowMs: number): void {
    const member = this.#parts.members.get(node);
    if (member === undefined || member.state !== "up") return;
    if (compareLiveliness(member.entry, at) > 0) return;
    this.#suspect(member, nowMs);
  }

  /** Answers: how alive do you know this member to be, and do you reach it now? @throws BadMessageError */
  async answer(fields: WireFields): Promise<WireFields> {
    const target = readNodeId(fields, 0, "probe.target");
    const { self, own, members } = this.#parts;
    if (target === self) return livelinessFields(own(), true);
    const reached = await this.#ping(target);
    const known = members.get(target);
    return livelinessFields(known?.entry ?? { incarnation: 0, nonce: 0, counter: 0 }, reached);
  }

  async #probe(member: Member): Promise<void> {
    const { env, members } = this.#parts;
    const { entry } = member;
    this.#probing.add(entry.id);
    const stallsBefore = this.#stalls;
    try {
      const helpers = this.#helpers(member);
      const asked = helpers.map((helper) => this.#ask(helper.entry.id, entry));
      const [reached, ...testimonies] = await Promise.all([this.#ping(entry.id), ...asked]);
      const nowMs = env.clock.monotonicMs();
      // Answers may have been lost in a stall of our own, and a rise may have come by gossip meanwhile.
      if (this.#stalls !== stallsBefore || compareLiveliness(member.entry, entry) > 0) return;
      if (reached || testimonies.includes("alive")) {
        members.revive(member, nowMs);
      } else if (testimonies.length > 0 && !testimonies.includes("not-reached")) {
        this.#health.worsen();
        env.logger.warn("nobody-answers-me", { about: entry.id, health: this.#health.value });
      } else if (member.state === "up") {
        this.#suspect(member, nowMs);
      }
    } finally {
      this.#probing.delete(entry.id);
    }
  }

  /** Three at random, before all of those that are not overdue themselves: a dead witness says nothing. */
  #helpers(accused: Member): Member[] {
    const { env, members, detector } = this.#parts;
    const nowMs = env.clock.monotonicMs();
    const lively: Member[] = [];
    const doubtful: Member[] = [];
    for (const member of members.others()) {
      if (member === accused || member.state === "down") continue;
      const overdue = member.state !== "up" || detector.overdue(member.entry.id, nowMs, 0);
      (overdue ? doubtful : lively).push(member);
    }
    const helpers: Member[] = [];
    for (const pool of [lively, doubtful]) {
      while (helpers.length < PROBE_HELPERS && pool.length > 0) {
        helpers.push(...pool.splice(env.random.below(pool.length), 1));
      }
    }
    return helpers;
  }

  async #ask(helper: NodeId, accused: MemberEntry): Promise<Testimony> {
    try {
      const answer = await this.#parts.channel.send(helper, "probe", [accused.id], {
        timeoutMs: 2 * PROBE_TIMEOUT_MS,
        lane: "direct",
      });
      const higher = compareLiveliness(readLiveliness(answer, 0), accused) > 0;
      return readBoolean(answer, 3, "probe.reached") || higher ? "alive" : "not-reached";
    } catch (error) {
      this.#parts.env.logger.debug("probe-failed", { node: helper, error: String(error) });
      return "silent";
    }
  }

  async #ping(node: NodeId): Promise<boolean> {
    try {
      await this.#parts.channel.send(node, "probe", [node], {
        timeoutMs: PROBE_TIMEOUT_MS,
        lane: "direct",
      });
      return true;
    } catch (error) {
      this.#parts.env.logger.debug("ping-failed", { node, error: String(error) });
      return false;
    }
  }

  #suspect(member: Member, nowMs: number): void {
    const { env, members } = this.#parts;
    member.state = "suspect";
    // The list holds all but this node itself.
    const durationMs = suspicionTimeoutMs(members.size + 1, this.#health.value);
    member.suspectUntilMs = nowMs + durationMs;
    env.logger.warn("member-suspected", { node: member.entry.id, durationMs });
  }

  #declareDown(member: Member): void {
    member.state = "down";
    this.#parts.env.logger.warn("member-down", { node: member.entry.id });
  }
}

function livelinessFields(of: Liveliness, reached: boolean): WireFields {
  return [of.incarnation, of.nonce, of.counter, reached];
}
