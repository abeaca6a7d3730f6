/**
 * One round of a put to the other homes, and to stand-ins for those that are away. The record is encoded once; the tally
 * is a pure value; silence ends at the deadline. REQUIRES: the record is durable here (design: "Nothing leaves before it
 * is durable").
 */

import { PeerError, type WireFields } from "../cluster/peer-channel.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { STAND_IN_AFTER_MIN_MS } from "../core/limits.ts";
import { type AckCounts, Tally } from "../core/quorum.ts";
import type { CausalRecord } from "../core/version.ts";
import { AckedActors } from "./acked-actors.ts";
import type { Replication } from "./context.ts";
import { decodeAck, encodeWrite } from "./data-messages.ts";
import { encodeHint } from "./hint-messages.ts";
import type { Plan } from "./plan.ts";
import { StandIns } from "./stand-ins.ts";
import type { Waiting } from "./sweeper.ts";

export interface FanOutResult {
  readonly outcome: "won" | "lost" | "stale-layout";
  /** Who has made the record durable, this node among them. */
  readonly acks: AckCounts;
}

export class FanOut implements Waiting {
  readonly #r: Replication;
  readonly #plan: Plan;
  readonly #key: Key;
  readonly #written: { readonly record: CausalRecord; readonly head: Uint8Array };
  readonly #tally: Tally;
  readonly #actors: AckedActors;
  readonly #startedMs: number;
  #deadlineMs: number;
  /** When somebody may have been silent for too long; Infinity when there is nobody left to replace. */
  #lookMs: number;
  /** The write as every home gets it; null until somebody is to get it. */
  #fields: WireFields | null = null;
  /** Nodes that may still answer. */
  #open = 0;
  #hurried = false;
  /** Made for the first home that is missing: a put whose homes are all well has none. */
  #relief: Relief | null = null;
  #outcome: FanOutResult["outcome"] | null = null;
  #resolve: ((result: FanOutResult) => void) | null = null;

  constructor(
    r: Replication,
    plan: Plan,
    key: Key,
    written: { readonly record: CausalRecord; readonly head: Uint8Array },
    deadlineMs: number,
  ) {
    const { requirement } = plan;
    this.#r = r;
    this.#plan = plan;
    this.#key = key;
    this.#written = written;
    this.#tally = new Tally(requirement);
    this.#actors = new AckedActors(plan.route.homes, r.actors.generationsOf(plan.route.homes));
    this.#startedMs = r.env.clock.monotonicMs();
    this.#deadlineMs = deadlineMs;
    this.#lookMs = plan.sloppy ? this.#startedMs + STAND_IN_AFTER_MIN_MS : Number.POSITIVE_INFINITY;
  }

  get dueMs(): number {
    return Math.min(this.#deadlineMs, this.#lookMs);
  }

  /**
   * Sends the record to every other home and resolves as soon as the outcome is certain. A home that is silent beyond that
   * gets its stand-in all the same. `standsFor`: this node is no home; it keeps the record for that one.
   */
  run(standsFor: NodeId | null = null): Promise<FanOutResult> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      const { self, membership } = this.#r;
      if (standsFor !== null) this.#standInMyself(standsFor);
      let down: NodeId[] | null = null;
      for (const home of this.#plan.route.homes) {
        if (home === self) {
          this.#tally.ack(home);
          this.#actors.heard(home, this.#r.actors.generationsOf(this.#plan.route.homes));
          continue;
        }
        const isDown = membership.liveness(home) === "down";
        this.#send(home, isDown);
        if (!isDown) continue;
        down ??= [];
        down.push(home);
      }
      if (down !== null) for (const home of down) this.#relieve(home);
      this.#look();
      if (this.#open > 0 && this.#goesOn()) this.#r.sweeper.add(this);
    });
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) {
      this.#finish("lost");
      this.#r.sweeper.delete(this);
      return;
    }
    if (nowMs < this.#lookMs) return;
    this.#lookMs = this.#relieveTheSilent(nowMs);
    this.#look();
    const waits = this.#lookMs < Number.POSITIVE_INFINITY;
    if (!waits && this.#resolve === null) this.#r.sweeper.delete(this);
  }

  #standInMyself(home: NodeId): void {
    this.#tally.addStandIn(this.#r.self, home);
    this.#tally.ack(this.#r.self);
    const relief = this.#reliefOf();
    relief.standIns.take(this.#r.self);
    relief.relieved.add(home);
  }

  /** A home believed down is sent the record all the same, in case the belief is wrong, but counts as missing until it acks. */
  #send(home: NodeId, isDown: boolean): void {
    this.#fields ??= this.#encode();
    this.#open++;
    if (isDown) this.#tally.fail(home);
    const timeoutMs = this.#deadlineMs - this.#startedMs;
    this.#r.channel.send(home, "write", this.#fields, { timeoutMs, lane: "batch" }).then(
      (answer) => {
        try {
          this.#acked(home, answer);
        } catch (error) {
          this.#failed(home, error);
          return;
        }
        this.#open--;
        this.#look();
      },
      (error: unknown) => this.#failed(home, error),
    );
  }

  #encode(): WireFields {
    const { record, head } = this.#written;
    return encodeWrite(this.#plan.route.layout.version, this.#key, record, head);
  }

  /** @throws PeerError when it cannot be read: then it is no ack. */
  #acked(node: NodeId, answer: WireFields): void {
    const generations = decodeAck(answer, this.#plan.route.homes.length);
    this.#tally.ack(node);
    // Not every ack counts for ever: another one may show that its database is gone.
    for (const gone of this.#actors.heard(node, generations)) {
      this.#r.counters.actorsSuperseded++;
      this.#tally.withdraw(gone);
    }
  }

  #failed(home: NodeId, error: unknown): void {
    this.#open--;
    const code = error instanceof PeerError ? error.code : "";
    if (code === "stale_layout") this.#refused(error);
    // Twice the work is no help where there is too much of it: such a home is relieved only if W is out of reach else.
    else if (code === "overloaded") this.#reliefOf().overloaded.push(home);
    else this.#relieve(home);
    this.#tally.fail(home);
    this.#look();
  }

  #refused(error: unknown): void {
    if (error instanceof PeerError) this.#r.adoptRefusal(error.detail);
    this.#finish("stale-layout");
  }

  /** Gives the home a stand-in, once. */
  #relieve(home: NodeId): void {
    if (!this.#plan.sloppy || !this.#goesOn()) return;
    const { relieved } = this.#reliefOf();
    if (relieved.has(home)) return;
    relieved.add(home);
    this.#askStandIn(home);
  }

  #askStandIn(home: NodeId): void {
    const atMs = this.#r.env.clock.monotonicMs();
    const timeoutMs = this.#deadlineMs - atMs;
    if (timeoutMs <= 0 || !this.#goesOn()) return;
    const { standIns, asked } = this.#reliefOf();
    const node = standIns.next(home);
    if (node === null) return;
    const entry: AskedStandIn = { node, home, atMs, replaced: false };
    asked.add(entry);
    this.#lookMs = Math.min(this.#lookMs, atMs + this.#r.patienceMs(node));
    this.#r.sweeper.hasten(this);
    this.#open++;
    this.#tally.addStandIn(node, home);
    this.#r.counters.hintsSent++;
    this.#fields ??= this.#encode();
    const fields = encodeHint(this.#fields, home, this.#plan.requirement.needed);
    const failed = (error: unknown): void => {
      this.#open--;
      asked.delete(entry);
      if (error instanceof PeerError && error.code === "stale_layout") this.#refused(error);
      // The next one on the ring, unless it was replaced already for being silent.
      else if (!entry.replaced) this.#askStandIn(home);
      this.#tally.fail(node);
      this.#look();
    };
    this.#r.channel.send(node, "hint", fields, { timeoutMs, lane: "batch" }).then((answer) => {
      try {
        this.#acked(node, answer);
      } catch (error) {
        failed(error);
        return;
      }
      this.#open--;
      asked.delete(entry);
      this.#look();
    }, failed);
  }

  /** Homes and stand-ins that have kept silent beyond patience are replaced, each once. When to look again; Infinity: never. */
  #relieveTheSilent(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const home of this.#plan.route.homes) {
      if (!this.#tally.isOpen(home) || this.#relief?.relieved.has(home) === true) continue;
      const untilMs = this.#startedMs + this.#r.patienceMs(home);
      if (nowMs >= untilMs) this.#relieve(home);
      else nextMs = Math.min(nextMs, untilMs);
    }
    if (this.#relief === null) return nextMs;
    for (const entry of this.#relief.asked) {
      if (entry.replaced) continue;
      const untilMs = entry.atMs + this.#r.patienceMs(entry.node);
      if (nowMs >= untilMs) {
        entry.replaced = true;
        this.#askStandIn(entry.home);
      } else nextMs = Math.min(nextMs, untilMs);
    }
    return nextMs;
  }

  #look(): void {
    let outcome = this.#tally.outcome();
    while (outcome === "lost" && this.#relieveOverloaded()) outcome = this.#tally.outcome();
    if (outcome === "won") this.#finish("won");
    else if (this.#open === 0) this.#finish("lost");
    else if (outcome === "lost") this.#hurry();
    if (this.#open === 0) this.#r.sweeper.delete(this);
  }

  #relieveOverloaded(): boolean {
    const home = this.#relief?.overloaded.pop();
    if (home === undefined) return false;
    this.#relieve(home);
    return true;
  }

  /** Stand-ins may still be asked: it is not decided yet, or it is won and some home may have missed it. */
  #goesOn(): boolean {
    if (!this.#plan.sloppy) return this.#resolve !== null;
    return this.#outcome === null || this.#outcome === "won";
  }

  /** It is lost already, but the answer counts who has the write: those who are about to say so are waited for. */
  #hurry(): void {
    if (this.#hurried) return;
    this.#hurried = true;
    let patienceMs = 0;
    for (const node of this.#plan.route.homes) {
      patienceMs = Math.max(patienceMs, this.#r.patienceMs(node));
    }
    const nowMs = this.#r.env.clock.monotonicMs();
    this.#deadlineMs = Math.min(this.#deadlineMs, nowMs + patienceMs);
    this.#r.sweeper.hasten(this);
  }

  #finish(outcome: FanOutResult["outcome"]): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.#resolve = null;
    this.#outcome = outcome;
    if (!this.#goesOn()) this.#r.sweeper.delete(this);
    resolve({ outcome, acks: this.#tally.counts() });
  }

  #reliefOf(): Relief {
    this.#relief ??= new Relief(this.#r, this.#plan);
    return this.#relief;
  }
}

interface AskedStandIn {
  readonly node: NodeId;
  readonly home: NodeId;
  readonly atMs: number;
  /** Another one was asked since, because this one kept silent. */
  replaced: boolean;
}

/** What a put knows of its stand-ins. */
class Relief {
  readonly standIns: StandIns;
  /** Homes that were given a stand-in, if there was one to be had. */
  readonly relieved = new Set<NodeId>();
  /** Stand-ins that have not answered yet. */
  readonly asked = new Set<AskedStandIn>();
  readonly overloaded: NodeId[] = [];

  constructor(r: Replication, plan: Plan) {
    this.standIns = new StandIns(r, plan.route);
  }
}
