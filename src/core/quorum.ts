import { assert } from "./assert.ts";
import type { Requirement } from "./consistency.ts";
import type { NodeId } from "./ids.ts";

export type QuorumOutcome = "pending" | "won" | "lost";

/** `primary=2 fallback=0 of=3`: homes and stand-ins that have answered, and how many homes there are. */
export interface AckCounts {
  readonly primary: number;
  readonly fallback: number;
  readonly of: number;
}

interface Voter {
  readonly node: NodeId;
  /** Index into the requirement's groups; -1 for a home that counts to none. */
  readonly group: number;
  readonly isStandIn: boolean;
  state: "open" | "acked" | "failed";
}

/**
 * The answers to one request, counted (in the manner of Riak's put_core). Opens with every home as a possible answer;
 * a stand-in adds one. Each node counts once, however often its answer arrives.
 *
 * What an ack is, the caller decides: for a put a durable write, for a get a record or a home's `absent`. An answer of
 * `unknown`, and a stand-in's absence, are failures here.
 */
export class Tally {
  readonly #requirement: Requirement;
  readonly #voters: Voter[] = [];
  /** By group: acks so far, and answers that may still come. */
  readonly #acked: number[] = [];
  readonly #open: number[] = [];
  #primary = 0;
  #fallback = 0;

  constructor(requirement: Requirement) {
    this.#requirement = requirement;
    const { groups, homes } = requirement;
    for (const group of groups) {
      this.#acked.push(0);
      this.#open.push(group.homes.length);
    }
    for (const node of homes) {
      let group = groups.length - 1;
      while (group >= 0 && !groups[group]?.homes.includes(node)) group--;
      this.#voters.push({ node, group, isStandIn: false, state: "open" });
    }
  }

  /**
   * One more node that may answer, in the group of the home it stands in for. Call it before that home's `fail`, lest the
   * outcome be lost in between. Does nothing for a node that is counted already.
   * REQUIRES: `home` is one of the homes, and the request allows stand-ins.
   */
  addStandIn(node: NodeId, home: NodeId): void {
    const slot = this.#voter(home);
    assert(slot !== undefined && !slot.isStandIn, "a stand-in must stand for a home");
    if (this.#voter(node) !== undefined) return;
    this.#voters.push({ node, group: slot.group, isStandIn: true, state: "open" });
    this.#shift(this.#open, slot.group, 1);
  }

  /** A late ack after a `fail` counts: the node did what was asked. */
  ack(node: NodeId): void {
    const voter = this.#voter(node);
    assert(voter !== undefined, "an ack must come from a node that was asked");
    if (voter.state === "acked") return;
    if (voter.state === "open") this.#shift(this.#open, voter.group, -1);
    voter.state = "acked";
    this.#shift(this.#acked, voter.group, 1);
    if (voter.isStandIn) this.#fallback++;
    else this.#primary++;
  }

  /** The node refused, cannot be reached, or does not know. After its ack this changes nothing. */
  fail(node: NodeId): void {
    const voter = this.#voter(node);
    assert(voter !== undefined, "a failure must come from a node that was asked");
    if (voter.state !== "open") return;
    voter.state = "failed";
    this.#shift(this.#open, voter.group, -1);
  }

  /** The node's ack turned out to be worth nothing. */
  withdraw(node: NodeId): void {
    const voter = this.#voter(node);
    if (voter?.state !== "acked") return;
    voter.state = "failed";
    this.#shift(this.#acked, voter.group, -1);
    if (voter.isStandIn) this.#fallback--;
    else this.#primary--;
  }

  /** `lost` when even all open answers would not be enough. */
  outcome(): QuorumOutcome {
    let isShort = false;
    for (let i = 0; i < this.#acked.length; i++) {
      const short = this.#shortOf(i);
      if (short > (this.#open[i] as number)) return "lost";
      if (short > 0) isShort = true;
    }
    return isShort ? "pending" : "won";
  }

  /** Acks that are still needed, over all groups. */
  missing(): number {
    let missing = 0;
    for (let i = 0; i < this.#acked.length; i++) missing += this.#shortOf(i);
    return missing;
  }

  /** True when an ack of this node would bring the request nearer to being won. */
  needs(node: NodeId): boolean {
    const voter = this.#voter(node);
    if (voter === undefined || voter.group < 0 || voter.state === "acked") return false;
    return this.#shortOf(voter.group) > 0;
  }

  /** Neither acked nor failed: it may yet answer. */
  isOpen(node: NodeId): boolean {
    return this.#voter(node)?.state === "open";
  }

  counts(): AckCounts {
    return { primary: this.#primary, fallback: this.#fallback, of: this.#requirement.homes.length };
  }

  #voter(node: NodeId): Voter | undefined {
    for (const voter of this.#voters) if (voter.node === node) return voter;
    return undefined;
  }

  #shortOf(group: number): number {
    const needed = this.#requirement.groups[group]?.needed ?? 0;
    return Math.max(0, needed - (this.#acked[group] as number));
  }

  #shift(counts: number[], group: number, by: number): void {
    if (group >= 0) counts[group] = (counts[group] as number) + by;
  }
}
