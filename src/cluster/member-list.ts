/** Who there is, as far as this node has heard: the newest entry of each member and the present opinion of its health. */
import type { FailureDetector } from "../core/failure-detector.ts";
import type { NodeId } from "../core/ids.ts";
import { INCARNATION_JUMP_MAX, KNOWN_MEMBERS_MAX } from "./cluster-limits.ts";
import { compareLiveliness, type MemberEntry } from "./member-entry.ts";
import type { Liveness } from "./membership.ts";

/** Owned by the list; `state` and `suspectUntilMs` are set by Suspicion. */
export interface Member {
  entry: MemberEntry;
  state: Liveness;
  /** By the local monotonic clock: when an entry with a higher counter last arrived. */
  roseMs: number;
  /** When an unrefuted suspicion makes it down; meaningful while `state` is suspect. */
  suspectUntilMs: number;
}

export interface MemberListHooks {
  /** News about this very node came back from others: an echo, or a second process with the same identity. */
  readonly onSelf: (entry: MemberEntry) => void;
  /** An address is new: worth remembering across a restart. */
  readonly onAddress: () => void;
  /** Whether a member must be kept when the list is full. */
  readonly isKept: (node: NodeId) => boolean;
}

export class MemberList {
  readonly #self: NodeId;
  readonly #detector: FailureDetector;
  readonly #hooks: MemberListHooks;
  readonly #members = new Map<NodeId, Member>();

  constructor(self: NodeId, detector: FailureDetector, hooks: MemberListHooks) {
    this.#self = self;
    this.#detector = detector;
    this.#hooks = hooks;
  }

  /** Undefined for this node itself: it is not in its own list. */
  get(node: NodeId): Member | undefined {
    return this.#members.get(node);
  }

  /** All others, in the order in which they were first heard of. */
  others(): IterableIterator<Member> {
    return this.#members.values();
  }

  get size(): number {
    return this.#members.size;
  }

  /** Takes in what somebody tells of a member. True when it was news. */
  merge(entry: MemberEntry, nowMs: number): boolean {
    if (entry.id === this.#self) {
      this.#hooks.onSelf(entry);
      return false;
    }
    const known = this.#members.get(entry.id);
    if (known === undefined) return this.#add(entry, nowMs);
    if (compareLiveliness(entry, known.entry) <= 0) return false;
    if (entry.incarnation > known.entry.incarnation + INCARNATION_JUMP_MAX) return false;
    const restarted =
      entry.incarnation !== known.entry.incarnation || entry.nonce !== known.entry.nonce;
    // The gaps of the process before say nothing about this one's, and the pause between them is not a gap.
    if (restarted) this.#detector.forget(entry.id);
    const moved = entry.peerUrl !== known.entry.peerUrl || entry.url !== known.entry.url;
    known.entry = entry;
    this.revive(known, nowMs);
    if (entry.leaving) known.state = "down";
    if (moved || restarted) this.#hooks.onAddress();
    return true;
  }

  /** Evidence of life, from an entry or from a member that reaches it. */
  revive(member: Member, nowMs: number): void {
    this.#detector.rise(member.entry.id, nowMs);
    member.roseMs = nowMs;
    member.state = "up";
  }

  #add(entry: MemberEntry, nowMs: number): boolean {
    if (this.#members.size >= KNOWN_MEMBERS_MAX && !this.#evictOne()) return false;
    const member: Member = { entry, state: "up", roseMs: nowMs, suspectUntilMs: 0 };
    this.#members.set(entry.id, member);
    this.#detector.rise(entry.id, nowMs);
    if (entry.leaving) member.state = "down";
    this.#hooks.onAddress();
    return true;
  }

  #evictOne(): boolean {
    let oldest: Member | undefined;
    for (const member of this.#members.values()) {
      if (this.#hooks.isKept(member.entry.id)) continue;
      if (oldest === undefined || member.roseMs < oldest.roseMs) oldest = member;
    }
    if (oldest === undefined) return false;
    this.#members.delete(oldest.entry.id);
    this.#detector.forget(oldest.entry.id);
    return true;
  }

  /** The entries that rose most recently, latest first. */
  recent(limit: number): MemberEntry[] {
    const members = [...this.#members.values()];
    if (members.length > limit) members.sort((a, b) => b.roseMs - a.roseMs);
    return members.slice(0, limit).map((member) => member.entry);
  }
}
