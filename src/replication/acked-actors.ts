import type { NodeId } from "../core/ids.ts";

const NOBODY: readonly NodeId[] = [];

/**
 * Which acks of one request still count. Every ack tells the generations of the unit's owners as its sender knows them, its own
 * among them; as soon as one shows that an owner has a newer database than the one that acknowledged, that owner's ack is
 * worth nothing (actor-book.ts). In a healthy cluster all tell the same, and nothing is stored here but one bit for each.
 */
export class AckedActors {
  readonly #homes: readonly NodeId[];
  /** The newest generations heard of, by home. */
  #newest: readonly number[];
  /** Bit i: home i has acknowledged, and named what was newest. COPIES_MAX is 16. */
  #agreed = 0;
  /** What each home's ack named, 0 for none; made when the first one differs. */
  #acked: number[] | null = null;

  /** `known`: what this node's own book knows. */
  constructor(homes: readonly NodeId[], known: readonly number[]) {
    this.#homes = homes;
    this.#newest = known;
  }

  /**
   * One more ack. Returns the homes, perhaps this one, whose acks are worth nothing from now on. A stand-in may tell of the
   * homes, too; its own copy is a hint, which nobody takes for a home's.
   */
  heard(node: NodeId, generations: readonly number[]): readonly NodeId[] {
    const home = this.#homes.indexOf(node);
    const newest = this.#newest;
    let same = this.#acked === null;
    for (let i = 0; same && i < newest.length; i++) same = generations[i] === newest[i];
    if (!same) return this.#compare(home, generations);
    if (home >= 0) this.#agreed |= 1 << home;
    return NOBODY;
  }

  #compare(home: number, generations: readonly number[]): readonly NodeId[] {
    const before = this.#newest;
    const acked = this.#acked ?? before.map((known, i) => ((this.#agreed >> i) & 1) * known);
    this.#acked = acked;
    if (home >= 0) acked[home] = generations[home] ?? 0;
    this.#newest = before.map((known, i) => Math.max(known, generations[i] ?? 0));
    const superseded: NodeId[] = [];
    for (let i = 0; i < acked.length; i++) {
      const named = acked[i] as number;
      if (named === 0 || named >= (this.#newest[i] as number)) continue;
      acked[i] = 0;
      superseded.push(this.#homes[i] as NodeId);
    }
    return superseded;
  }
}
