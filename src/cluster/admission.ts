/**
 * How the members of a cluster take in who asks to join. In this version units move only while the cluster is empty: a
 * change of a formed cluster first freezes every storage member, and any one that holds a row refuses.
 */
import type { NodeId } from "../core/ids.ts";
import type { LayoutDocument, LayoutMember } from "../core/layout.ts";
import { withMembers } from "../core/layout-rules.ts";
import { own } from "../core/own.ts";
import type { Env } from "../env/env.ts";
import { type Acceptor, refusal, staleLayout } from "./acceptor.ts";
import {
  DECISION_TIMEOUT_MS,
  FREEZE_TIMEOUT_MS,
  JOIN_QUIET_MS,
  JOINER_FRESH_MS,
  ORPHAN_MS,
} from "./cluster-limits.ts";
import type { AdoptedLayout, LayoutStore } from "./layout-store.ts";
import type { MemberEntry } from "./member-entry.ts";
import type { MemberList } from "./member-list.ts";
import { type PeerChannel, PeerError, type WireFields } from "./peer-channel.ts";
import type { Proposer } from "./proposer.ts";
import type { Serial } from "./serial.ts";
import { readBoolean, readInt } from "./wire-read.ts";

export interface AdmissionParts {
  readonly env: Env;
  readonly channel: PeerChannel;
  readonly self: NodeId;
  readonly layouts: LayoutStore;
  readonly members: MemberList;
  readonly acceptor: Acceptor;
  readonly proposer: Proposer;
  readonly decisions: Serial;
  /** Also rows that are not committed yet. */
  readonly hasRows: () => boolean;
  /** Whether any member is known to hold a row. */
  readonly holdsData: () => boolean;
}

export class Admission {
  readonly #parts: AdmissionParts;
  #asking = "";
  #askingSinceMs = 0;
  /** Different on each node, so that the holders of one orphan do not all drive it at once. */
  readonly #patienceMs: number;

  constructor(parts: AdmissionParts) {
    this.#parts = parts;
    this.#patienceMs = ORPHAN_MS + parts.env.random.below(ORPHAN_MS);
  }

  /**
   * Looks for what must be decided and sees it through. False when there is nothing to decide. REQUIRES: this node is a
   * storage member.
   */
  async step(current: AdoptedLayout): Promise<boolean> {
    if (this.#isOrphaned()) {
      await this.driveOn();
      return true;
    }
    const joiners = this.#joiners(current);
    const asking = joiners
      .map((entry) => entry.id)
      .sort()
      .join();
    const nowMs = this.#parts.env.clock.monotonicMs();
    if (asking !== this.#asking) {
      this.#asking = asking;
      this.#askingSinceMs = nowMs;
    }
    if (joiners.length === 0) return this.#mustDecide();
    if (nowMs - this.#askingSinceMs < this.#quietMs(current, joiners)) return true;
    await this.#parts.decisions.run(() => this.#takeIn(joiners));
    this.#askingSinceMs = this.#parts.env.clock.monotonicMs();
    return true;
  }

  /**
   * Decides something, whatever it is, for the version that a freeze, an accepted value or a vow to abstain holds up: an
   * undecided value of another if there is one, else the present document under the next number.
   */
  async driveOn(): Promise<void> {
    const { decisions, layouts, proposer, env } = this.#parts;
    await decisions.run(async () => {
      const current = layouts.current();
      if (current === undefined || !this.#mustDecide()) return;
      const deadlineMs = env.clock.monotonicMs() + DECISION_TIMEOUT_MS;
      await proposer.decide(unchanged(current), deadlineMs);
    });
  }

  /** Answers `freeze`: [version, only asking] -> []. @throws PeerError `not_empty` among others. */
  freeze(fields: WireFields): WireFields {
    const { layouts, hasRows, acceptor } = this.#parts;
    const version = readInt(fields, 0, "freeze.version", 1, Number.MAX_SAFE_INTEGER);
    const onlyAsking = readBoolean(fields, 1, "freeze.onlyAsking");
    const current = layouts.current();
    if (current === undefined) throw refusal("not_ready", "This node has no layout yet");
    if (version < current.document.version) throw staleLayout(current);
    if (version > current.document.version) throw refusal("behind", "Has an older layout");
    if (hasRows()) throw refusal("not_empty", "This member holds data");
    if (onlyAsking && acceptor.acceptedVersion() > 0) throw refusal("undecided", "Try later");
    if (!onlyAsking) layouts.freeze(version);
    return [];
  }

  #isOrphaned(): boolean {
    const { layouts, acceptor } = this.#parts;
    // An abstaining elector counts as dead, so its version is ended at once.
    if (layouts.abstainsThrough > layouts.version) return true;
    const heldMs = Math.max(layouts.frozenForMs(), acceptor.undecidedForMs());
    return heldMs > this.#patienceMs;
  }

  #mustDecide(): boolean {
    const { layouts, acceptor } = this.#parts;
    const abstains = layouts.abstainsThrough > layouts.version;
    return abstains || layouts.frozen || acceptor.acceptedVersion() > 0;
  }

  #joiners(current: AdoptedLayout): MemberEntry[] {
    const { env, members } = this.#parts;
    const nowMs = env.clock.monotonicMs();
    const { active, document } = current;
    const joiners: MemberEntry[] = [];
    for (const { entry, state, roseMs } of members.others()) {
      if (!entry.wantsToJoin || state !== "up" || nowMs - roseMs > JOINER_FRESH_MS) continue;
      if (active.member(entry.id) !== undefined || document.removed.includes(entry.id)) continue;
      joiners.push(entry);
    }
    return joiners;
  }

  /** The electors stand in a row: each steps in only when those before it have let the time pass. */
  #quietMs(current: AdoptedLayout, joiners: readonly MemberEntry[]): number {
    const { members, self } = this.#parts;
    const { electors, expect, formed, members: present } = current.document;
    const able = electors.filter((node) => node === self || members.get(node)?.state === "up");
    const place = able.indexOf(self);
    if (place < 0) return Number.POSITIVE_INFINITY;
    const storage = (of: readonly { role: string }[]): number =>
      of.filter((member) => member.role === "storage").length;
    // Nobody else is expected, so there is nobody to wait for.
    const complete = !formed && storage(present) + storage(joiners) >= expect;
    return (complete ? 0 : JOIN_QUIET_MS) + place * ORPHAN_MS;
  }

  async #takeIn(joiners: readonly MemberEntry[]): Promise<void> {
    const { env, layouts, proposer, holdsData } = this.#parts;
    const current = layouts.current();
    if (current === undefined) return;
    // With data in the cluster only gateways, which own nothing, come in.
    const admitted = joiners.filter((entry) => entry.role === "gateway" || !holdsData());
    const change = withMembers(current.document, admitted.map(layoutMember), [], current.hash);
    if (change.status === "invalid") {
      env.logger.error("joiners-not-admitted", { reason: change.reason });
    }
    if (change.status !== "next") return;
    // Until it is formed a cluster takes no writes at all, so there is nothing to freeze.
    const mustFreeze = current.document.formed && unitsMove(current.document, change.document);
    if (mustFreeze && !(await this.#freezeAll(current))) return;
    const deadlineMs = env.clock.monotonicMs() + DECISION_TIMEOUT_MS;
    const decision = await proposer.decide(change.document, deadlineMs);
    env.logger.info("joiners-decided", { decision, joiners: admitted.length });
  }

  /** True when every storage member is empty and stays so under this version. */
  async #freezeAll(current: AdoptedLayout): Promise<boolean> {
    const { env, proposer } = this.#parts;
    const { version, members } = current.document;
    const storage = members.filter((m) => m.role === "storage").map((m) => m.id);
    const ask = async (onlyAsking: boolean): Promise<boolean> => {
      const answers = await Promise.all(
        storage.map((node) => this.#freezeOne(node, [version, onlyAsking])),
      );
      return answers.every((frozen) => frozen);
    };
    // First a question without effect: in a cluster with data the ring must not stop for every passing joiner.
    if (!(await ask(true))) return false;
    if (await ask(false)) return true;
    // Those that did freeze take no write until a newer version is decided.
    await proposer.decide(unchanged(current), env.clock.monotonicMs() + DECISION_TIMEOUT_MS);
    return false;
  }

  async #freezeOne(node: NodeId, fields: WireFields): Promise<boolean> {
    const { env, self, channel, layouts } = this.#parts;
    try {
      if (node === self) this.freeze(fields);
      else {
        await channel.send(node, "freeze", fields, {
          timeoutMs: FREEZE_TIMEOUT_MS,
          lane: "direct",
        });
      }
      return true;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      env.logger.warn("freeze-refused", { node, code: error.code, reason: error.message });
      if (error.code === "stale_layout" && error.detail instanceof Uint8Array) {
        layouts.adoptEncoded(error.detail);
      }
      return false;
    }
  }
}

/** The same layout under the next number: what ends a version that must not be used any more. */
function unchanged(current: AdoptedLayout): LayoutDocument {
  const { document, hash } = current;
  return { ...document, version: document.version + 1, parent: hash };
}

export function layoutMember(entry: MemberEntry): LayoutMember {
  const { id, region, zone, weight, role } = entry;
  return { id, region, zone, weight, role };
}

/** Whether any unit has other owners in `next`. */
function unitsMove(current: LayoutDocument, next: LayoutDocument): boolean {
  for (const [policy, before] of Object.entries(current.assignments)) {
    const after = own(next.assignments, policy);
    if (after === undefined) return true;
    for (let partition = 0; partition < before.length; partition++) {
      if (before[partition]?.join() !== after[partition]?.join()) return true;
    }
  }
  return false;
}
