/**
 * One quorum read: asks as many homes as must answer, nearest first, and more when one fails or keeps silent; when there are
 * no more homes to ask, stand-ins. One is asked for the data, the others for contexts and dots (a digest read); DeCandia et
 * al. 2007, section 4.5.
 */

import { PeerError } from "../cluster/peer-channel.ts";
import type { QuorumGroup, Requirement } from "../core/consistency.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { DIGEST_INLINE_BYTES, STAND_IN_AFTER_MIN_MS, STAND_IN_READS_MAX } from "../core/limits.ts";
import { Tally } from "../core/quorum.ts";
import { EMPTY_RECORD, mergeRecords } from "../core/record.ts";
import { type Minimum, reaches } from "../core/session.ts";
import type { CausalRecord } from "../core/version.ts";
import type { Replication } from "./context.ts";
import { decodeReadAnswer, encodeRead, type ReadAnswer } from "./data-messages.ts";
import { localRead, standInRead } from "./local-read.ts";
import type { Plan } from "./plan.ts";
import { nearestFirst, type Route } from "./route.ts";
import { StandIns } from "./stand-ins.ts";
import type { Waiting } from "./sweeper.ts";

export interface ReadRoundResult {
  /** `behind`: enough have answered, but nobody who could has all that the session has seen. */
  readonly outcome: "won" | "lost" | "behind" | "stale-layout";
  readonly tally: Tally;
  /** All that was heard until now; late answers still come in until `settled`. */
  readonly answers: ReadonlyMap<NodeId, ReadAnswer>;
  /** Nobody who was asked has yet to answer. */
  readonly isSettled: boolean;
  /** Resolves when every home that was asked has answered, failed or run out of time. */
  readonly settled: Promise<void>;
}

const WHOLE = Number.MAX_SAFE_INTEGER;
const UNREADABLE: ReadAnswer | Promise<ReadAnswer> = { record: null, counts: false };

export class ReadRound implements Waiting {
  readonly #r: Replication;
  readonly #route: Route;
  readonly #key: Key;
  readonly #requirement: Requirement;
  readonly #sloppy: boolean;
  readonly #minimum: Minimum | null;
  readonly #tally: Tally;
  /** Nearest first. */
  readonly #unasked: NodeId[];
  readonly #answers = new Map<NodeId, ReadAnswer>();
  readonly #deadlineMs: number;
  #open = 0;
  #hedgeAtMs: number;
  /** When a round that is lost stops waiting for those who are about to answer. */
  #hurryUntilMs = Number.POSITIVE_INFINITY;
  #dataAsked = false;
  #stale = false;
  /** Made for the first one: a read whose homes are all well asks none. */
  #standIns: StandIns | null = null;
  #resolve: ((result: ReadRoundResult) => void) | null = null;
  #settle: (() => void) | null = null;
  readonly #settled: Promise<void>;

  constructor(
    r: Replication,
    plan: Plan,
    key: Key,
    deadlineMs: number,
    minimum: Minimum | null = null,
  ) {
    const { route, requirement, sloppy } = plan;
    this.#r = r;
    this.#route = route;
    this.#key = key;
    this.#requirement = requirement;
    this.#sloppy = sloppy;
    this.#minimum = minimum;
    this.#tally = new Tally(requirement);
    this.#unasked = nearestFirst(r, route.layout, route.homes);
    this.#deadlineMs = deadlineMs;
    this.#hedgeAtMs = deadlineMs;
    this.#settled = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** `enough` asks as many homes as must answer, and others only when one of them fails or is slow. */
  run(first: "enough" | "all"): Promise<ReadRoundResult> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      const nowMs = this.#r.env.clock.monotonicMs();
      if (first === "all") {
        for (const node of this.#unasked.splice(0)) this.#ask(node, nowMs);
      } else {
        for (const group of this.#requirement.groups) this.#askGroup(group, nowMs);
      }
      this.#look();
    });
  }

  #askGroup(group: QuorumGroup, nowMs: number): void {
    let wanted = group.needed;
    for (let i = 0; i < this.#unasked.length && wanted > 0; ) {
      const node = this.#unasked[i] as NodeId;
      if (!group.homes.includes(node)) {
        i++;
        continue;
      }
      this.#unasked.splice(i, 1);
      this.#ask(node, nowMs);
      wanted--;
    }
  }

  get dueMs(): number {
    if (this.#resolve === null) return this.#deadlineMs;
    return Math.min(this.#deadlineMs, this.#hurryUntilMs, this.#hedgeAtMs);
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) {
      this.#finish(this.#tally.outcome() === "won" ? "behind" : "lost");
      this.#close();
      return;
    }
    if (nowMs >= this.#hurryUntilMs) this.#finish("lost");
    if (this.#resolve === null || nowMs < this.#hedgeAtMs) return;
    if (!this.#askAnother(nowMs) && !this.#askStandIn(nowMs)) {
      // Nobody is left to ask; somebody may be once others are believed to be there.
      this.#hedgeAtMs = nowMs + STAND_IN_AFTER_MIN_MS;
      return;
    }
    this.#r.counters.hedgedReads++;
    // It may have been this very node, which has answered already.
    this.#look();
  }

  /** The nearest home whose answer would help. False when there is none left. */
  #askAnother(nowMs: number): boolean {
    for (let i = 0; i < this.#unasked.length; i++) {
      const node = this.#unasked[i] as NodeId;
      if (!this.#tally.needs(node)) continue;
      this.#unasked.splice(i, 1);
      this.#ask(node, nowMs);
      return true;
    }
    return false;
  }

  /** Somebody who may keep writes for a home whose answer would help. False when a strict read must not, or none is left. */
  #askStandIn(nowMs: number): boolean {
    if (!this.#sloppy) return false;
    for (const home of this.#route.homes) {
      if (this.#tally.needs(home) && this.#askStandInOf(home, nowMs)) return true;
    }
    return false;
  }

  #askStandInOf(home: NodeId, nowMs: number): boolean {
    this.#standIns ??= new StandIns(this.#r, this.#route);
    if (this.#standIns.count >= STAND_IN_READS_MAX) return false;
    const node = this.#standIns.next(home, this.#keepsHints() ? this.#r.self : null);
    if (node === null) return false;
    // A strict read may hear what a stand-in has, for its session's sake, but never counts it.
    if (this.#sloppy) this.#tally.addStandIn(node, home);
    this.#ask(node, nowMs);
    return true;
  }

  #keepsHints(): boolean {
    return this.#orElse(false, () => this.#r.hints.targets(this.#key).length > 0);
  }

  /** A page of the own disk that cannot be read is an answer that is missing: what asks for it may have no caller to throw to. */
  #orElse<Result>(unreadable: Result, read: () => Result): Result {
    try {
      return read();
    } catch (error) {
      this.#r.env.logger.warn("own-read-failed", { error: String(error) });
      return unreadable;
    }
  }

  #ask(node: NodeId, nowMs: number): void {
    const bodyBytesMax = this.#dataAsked ? DIGEST_INLINE_BYTES : WHOLE;
    this.#dataAsked = true;
    this.#hedgeAtMs = nowMs + this.#r.patienceMs(node);
    if (node === this.#r.self) {
      this.#askSelf(node);
      return;
    }
    this.#open++;
    const known = this.#answers.get(this.#r.self)?.record ?? null;
    const fields = encodeRead(this.#route.layout.version, this.#key, bodyBytesMax, known);
    const timeoutMs = this.#deadlineMs - nowMs;
    this.#r.channel.send(node, "read", fields, { timeoutMs, lane: "batch", gather: "turn" }).then(
      (answer) => {
        let heard: ReadAnswer;
        try {
          heard = decodeReadAnswer(this.#r.env.hasher, answer, known);
        } catch (error) {
          this.#failed(node, error);
          return;
        }
        this.#answered(node, heard);
      },
      (error: unknown) => this.#failed(node, error),
    );
    if (this.#r.membership.liveness(node) === "down") this.#expectNothing(node, nowMs);
  }

  /** A home believed down is asked all the same, in case the belief is wrong; who may have its writes is asked as well. */
  #expectNothing(home: NodeId, nowMs: number): void {
    if (this.#sloppy) this.#askStandInOf(home, nowMs);
    this.#tally.fail(home);
  }

  #askSelf(node: NodeId): void {
    const read = this.#isStandIn(node) ? standInRead : localRead;
    const answer = this.#orElse(UNREADABLE, () => read(this.#r, this.#key));
    if (!(answer instanceof Promise)) {
      this.#count(node, answer);
      return;
    }
    this.#open++;
    answer.then(
      (late) => this.#answered(node, late),
      (error: unknown) => this.#failed(node, error),
    );
  }

  #count(node: NodeId, answer: ReadAnswer): void {
    // That a stand-in has nothing says nothing of the homes.
    if (answer.record !== null || !this.#isStandIn(node)) this.#answers.set(node, answer);
    if (!this.#isCounted(node)) return;
    if (answer.counts) this.#tally.ack(node);
    else this.#tally.fail(node);
  }

  #isStandIn(node: NodeId): boolean {
    return this.#standIns?.has(node) === true;
  }

  #isCounted(node: NodeId): boolean {
    return this.#sloppy || !this.#isStandIn(node);
  }

  #answered(node: NodeId, answer: ReadAnswer): void {
    this.#open--;
    this.#count(node, answer);
    this.#look();
  }

  #failed(node: NodeId, error: unknown): void {
    this.#open--;
    if (this.#isCounted(node)) this.#tally.fail(node);
    if (error instanceof PeerError && error.code === "stale_layout") {
      this.#r.adoptRefusal(error.detail);
      this.#stale = true;
    }
    this.#look();
  }

  /** After each answer: is it decided, must another home be asked, was that the last one? */
  #look(): void {
    if (this.#resolve !== null) {
      if (this.#stale) this.#finish("stale-layout");
      else if (this.#isEnough()) this.#finish("won");
      else {
        const nowMs = this.#r.env.clock.monotonicMs();
        while (this.#tally.outcome() === "pending" && this.#open < this.#tally.missing()) {
          if (!this.#askAnother(nowMs)) break;
        }
        while (this.#isShort() && this.#askStandIn(nowMs));
        // Enough answered, but the session has seen more than they hold: all others are asked as well.
        if (this.#tally.outcome() === "won" && !this.#isEnough()) this.#askRest(nowMs);
        const outcome = this.#tally.outcome();
        if (this.#isEnough()) this.#finish("won");
        else if (this.#open === 0) this.#finish(outcome === "won" ? "behind" : "lost");
        else {
          if (outcome === "lost") this.#hurry(nowMs);
          this.#r.sweeper.add(this);
        }
      }
    }
    if (this.#resolve === null && this.#open === 0) this.#close();
  }

  /** Even if all who were asked answer, it will not be enough. */
  #isShort(): boolean {
    const outcome = this.#tally.outcome();
    return outcome === "lost" || (outcome === "pending" && this.#open < this.#tally.missing());
  }

  #isEnough(): boolean {
    if (this.#tally.outcome() !== "won") return false;
    if (this.#minimum === null) return true;
    const nowMs = this.#r.clock.nowForExpiryMs();
    return reaches(mergeAnswers(this.#answers), this.#minimum, nowMs);
  }

  #askRest(nowMs: number): void {
    for (const node of this.#unasked.splice(0)) {
      this.#r.counters.sessionReads++;
      this.#ask(node, nowMs);
    }
    // What the session has seen may be kept for homes that were away then.
    for (const home of this.#route.homes) while (this.#askStandInOf(home, nowMs));
  }

  /** Lost already, but the answer counts who answered: those who are about to are waited for, once, with patience. */
  #hurry(nowMs: number): void {
    if (this.#hurryUntilMs !== Number.POSITIVE_INFINITY) return;
    let patienceMs = 0;
    for (const node of this.#route.homes) {
      patienceMs = Math.max(patienceMs, this.#r.patienceMs(node));
    }
    this.#hurryUntilMs = nowMs + patienceMs;
  }

  #finish(outcome: ReadRoundResult["outcome"]): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.#resolve = null;
    resolve({
      outcome,
      tally: this.#tally,
      answers: this.#answers,
      isSettled: this.#open === 0,
      settled: this.#settled,
    });
  }

  #close(): void {
    this.#r.sweeper.delete(this);
    this.#settle?.();
    this.#settle = null;
  }
}

/** The merge of all that was heard; null when no replica holds the key. Returns an answer's own record when it can. */
export function mergeAnswers(answers: ReadonlyMap<NodeId, ReadAnswer>): CausalRecord | null {
  let merged: CausalRecord | null = null;
  for (const answer of answers.values()) {
    if (answer.record === null) continue;
    merged = merged === null ? answer.record : mergeRecords(merged, answer.record);
  }
  return merged === EMPTY_RECORD ? null : merged;
}
