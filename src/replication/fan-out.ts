/**
 * One round of a put to the other homes. The record is encoded once; the tally is a pure value; silence ends at the
 * deadline. REQUIRES: the record is durable here (design: "Nothing leaves before it is durable").
 */

import { PeerError, type WireFields } from "../cluster/peer-channel.ts";
import type { Requirement } from "../core/consistency.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { type AckCounts, Tally } from "../core/quorum.ts";
import type { CausalRecord } from "../core/version.ts";
import type { Replication } from "./context.ts";
import { decodeAck, encodeWrite } from "./data-messages.ts";
import type { Route } from "./route.ts";
import type { Waiting } from "./sweeper.ts";

export interface FanOutResult {
  readonly outcome: "won" | "lost" | "stale-layout";
  /** Who has made the record durable, this node among them. */
  readonly acks: AckCounts;
}

export class FanOut implements Waiting {
  readonly #r: Replication;
  readonly #route: Route;
  readonly #tally: Tally;
  #deadlineMs: number;
  /** Nodes that may still answer, those believed down not among them. */
  #open = 0;
  #hurried = false;
  #resolve: ((result: FanOutResult) => void) | null = null;

  constructor(r: Replication, route: Route, requirement: Requirement, deadlineMs: number) {
    this.#r = r;
    this.#route = route;
    this.#tally = new Tally(requirement);
    this.#deadlineMs = deadlineMs;
  }

  /** Sends the record to every other home and resolves as soon as the outcome is certain. */
  run(key: Key, record: CausalRecord): Promise<FanOutResult> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      const timeoutMs = this.#deadlineMs - this.#r.env.clock.monotonicMs();
      let fields: WireFields | null = null;
      for (const node of this.#route.homes) {
        if (node === this.#r.self) {
          this.#tally.ack(node);
          continue;
        }
        fields ??= encodeWrite(this.#route.layout.version, key, record);
        this.#send(node, fields, timeoutMs);
      }
      this.#look();
      if (this.#resolve !== null) this.#r.sweeper.add(this);
    });
  }

  tick(nowMs: number): void {
    if (nowMs >= this.#deadlineMs) this.#finish("lost");
  }

  #send(node: NodeId, fields: WireFields, timeoutMs: number): void {
    // A node believed down is sent the record all the same, in case the belief is wrong, but nobody waits for it.
    const awaited = this.#r.membership.liveness(node) !== "down";
    if (awaited) this.#open++;
    else this.#tally.fail(node);
    this.#r.channel.send(node, "write", fields, { timeoutMs, lane: "batch" }).then(
      (answer) => {
        try {
          decodeAck(answer);
        } catch (error) {
          this.#failed(node, awaited, error);
          return;
        }
        if (awaited) this.#open--;
        this.#tally.ack(node);
        this.#look();
      },
      (error: unknown) => this.#failed(node, awaited, error),
    );
  }

  #failed(node: NodeId, awaited: boolean, error: unknown): void {
    if (awaited) this.#open--;
    this.#tally.fail(node);
    if (error instanceof PeerError && error.code === "stale_layout") {
      this.#r.adoptRefusal(error.detail);
      this.#finish("stale-layout");
      return;
    }
    this.#look();
  }

  #look(): void {
    const outcome = this.#tally.outcome();
    if (outcome === "won") this.#finish("won");
    else if (this.#open === 0) this.#finish("lost");
    else if (outcome === "lost") this.#hurry();
  }

  /** It is lost already, but the answer counts who has the write: those who are about to say so are waited for. */
  #hurry(): void {
    if (this.#hurried) return;
    this.#hurried = true;
    let patienceMs = 0;
    for (const node of this.#route.homes) {
      patienceMs = Math.max(patienceMs, this.#r.patienceMs(node));
    }
    const nowMs = this.#r.env.clock.monotonicMs();
    this.#deadlineMs = Math.min(this.#deadlineMs, nowMs + patienceMs);
  }

  #finish(outcome: FanOutResult["outcome"]): void {
    const resolve = this.#resolve;
    if (resolve === null) return;
    this.#resolve = null;
    this.#r.sweeper.delete(this);
    resolve({ outcome, acks: this.#tally.counts() });
  }
}
