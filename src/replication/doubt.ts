/**
 * The third answer. A replica whose database was lost must not say "absent": in doubt, its rows still join a merge, but
 * neither they nor their absence count to R, and nobody takes its rows for a complete scan (design: "Record, absent,
 * unknown"; research: amnesiac replicas break R + W > N even when nothing is lost in the end).
 */

import type { ActiveLayout } from "../core/active-layout.ts";
import { bytesToHex, hexToBytes, utf8Decode } from "../core/bytes.ts";
import { majorityOf } from "../core/consistency.ts";
import type { Hasher } from "../core/hasher.ts";
import { type NodeId, type PartitionId, parseNamespaceId } from "../core/ids.ts";
import { type Key, makeKey } from "../core/key.ts";
import type { Logger } from "../env/logger.ts";
import type { MetaStore } from "../env/meta-store.ts";
import { IN_DOUBT_META } from "../storage/meta-names.ts";
import { UnitSet } from "./unit-set.ts";

/** Followed by the namespace's number, a slash and the key in hex. */
const META_ROW_PREFIX = "row-in-doubt/";
/** Rows in doubt, each of which costs a commit; with more than that the whole database is. */
const ROWS_MAX = 1_000;

interface RowInDoubt {
  readonly key: Key;
  /** The database remembers it. */
  readonly durable: boolean;
  /** It cannot be read now; else it was written anew. */
  readonly unreadable: boolean;
  /** Rises with each time that the row is lost: answers given before it prove nothing. */
  readonly lossNumber: number;
  /** All other owners have been asked since the loss, and some of them hold rows apart. */
  readonly askedAll?: boolean;
}

/** Of the other owners of a row, see heardRow. */
export interface RowHearing {
  readonly answered: number;
  readonly heard: number;
  readonly trusted: number;
}

interface Heard {
  /** The units of which the peer was itself in doubt when its scan began: for those its rows prove nothing. */
  readonly inDoubt: UnitSet;
  readonly times: number;
}

/** So often an owner that is itself in doubt is heard before nobody waits for it: its own doubt may be about to end. */
const HEARINGS_IN_DOUBT = 2;

export class Doubt {
  readonly #meta: MetaStore;
  readonly #logger: Logger;
  readonly #self: NodeId;
  readonly #holdsApart: () => boolean;
  #everywhere: boolean;
  /** Single rows in doubt, by key id. */
  readonly #rows = new Map<string, RowInDoubt>();
  #losses = 0;
  /** Peers whose whole scans were merged since doubt began or a layout was adopted. */
  readonly #heard = new Map<NodeId, Heard>();
  /** The document under which they were heard: adopting another one restarts all. */
  #layout: ActiveLayout | null = null;

  /** `forgotten`: this start found the database gone. Doubt survives restarts until it has ended everywhere. */
  constructor(parts: {
    readonly meta: MetaStore;
    readonly logger: Logger;
    readonly hasher: Hasher;
    readonly self: NodeId;
    readonly forgotten: boolean;
    /** Rows of a restored backup are held apart: what they know may be known to nobody else. */
    readonly holdsApart?: () => boolean;
  }) {
    this.#holdsApart = parts.holdsApart ?? (() => false);
    this.#meta = parts.meta;
    this.#logger = parts.logger;
    this.#self = parts.self;
    if (parts.forgotten) parts.meta.set(IN_DOUBT_META, new Uint8Array([1]));
    this.#everywhere = parts.meta.get(IN_DOUBT_META) !== undefined;
    for (const name of parts.meta.names(META_ROW_PREFIX)) {
      const [namespace, hex] = name.slice(META_ROW_PREFIX.length).split("/");
      const text = utf8Decode(hexToBytes(hex ?? ""));
      const key = makeKey(parts.hasher, parseNamespaceId(Number(namespace)), text);
      this.#rows.set(key.id, { key, durable: true, unreadable: false, lossNumber: 0 });
    }
  }

  /** True when the row may lack what a quorum has acknowledged. One comparison on the path of every healthy read. */
  ofRow(key: Key): boolean {
    return this.#rows.size > 0 && this.#rows.has(key.id);
  }

  get anyRow(): boolean {
    return this.#rows.size > 0;
  }

  get rows(): readonly { readonly key: Key; readonly lossNumber: number }[] {
    return [...this.#rows.values()];
  }

  /** Rises with each loss of a row, and of this start's database: what was acknowledged before one is worth nothing. */
  get losses(): number {
    return this.#losses;
  }

  /** The row was found unreadable: it says so itself for as long as it is, but somebody should ask the other owners. */
  noteUnreadable(key: Key): void {
    const known = this.#rows.get(key.id);
    if (known?.unreadable === true || (known === undefined && this.#rows.size >= ROWS_MAX)) return;
    const durable = known?.durable === true;
    this.#rows.set(key.id, { key, durable, unreadable: true, lossNumber: ++this.#losses });
  }

  /**
   * The row is unreadable and about to be written anew. What is written does not hold what was forgotten, and afterwards the
   * row itself no longer shows that: a read that trusted it could miss what a majority had acknowledged. Durable before it
   * returns. @throws DiskFullError
   */
  beforeOverwrite(key: Key): void {
    const known = this.#rows.get(key.id);
    if (known === undefined && this.#rows.size >= ROWS_MAX) {
      if (!this.#everywhere) this.#meta.set(IN_DOUBT_META, new Uint8Array([1]));
      this.#everywhere = true;
      // Whoever was heard before this row was forgotten has to be heard again.
      this.#heard.clear();
      this.#losses++;
      return;
    }
    if (known?.durable !== true) this.#meta.set(rowName(key), new Uint8Array(0));
    const lossNumber = known?.unreadable === true ? known.lossNumber : ++this.#losses;
    this.#rows.set(key.id, { key, durable: true, unreadable: false, lossNumber });
  }

  /**
   * How many of the row's other owners have answered since the loss of that number, and their records are merged and durable
   * here; which of these are heard, because they hold nothing apart; and which of those count. Ends the row's doubt when that
   * is enough, or when nobody is left to be asked. @throws DiskFullError
   */
  heardRow(
    key: Key,
    lossNumber: number,
    others: number,
    { answered, heard, trusted }: RowHearing,
  ): "trusted" | "all-heard" | "goes-on" {
    const known = this.#rows.get(key.id);
    if (known?.lossNumber !== lossNumber) return "goes-on";
    const isEnough = trusted >= enough(others + 1);
    if (!isEnough && heard < others) {
      if (answered === others) this.#rows.set(key.id, { ...known, askedAll: true });
      return "goes-on";
    }
    if (!isEnough) this.#logger.error("row-owners-in-doubt", { owners: others + 1, trusted });
    this.forgetRow(key);
    return isEnough ? "trusted" : "all-heard";
  }

  /**
   * What was lost here is with none of the others, unless it lies apart there: who holds rows apart need not wait for this
   * owner's word any longer, or each would wait for the other for ever.
   */
  hasAskedAll(key: Key): boolean {
    return this.#rows.get(key.id)?.askedAll === true;
  }

  /** This node has no more to do with the row. @throws DiskFullError */
  forgetRow(key: Key): void {
    if (this.#rows.get(key.id)?.durable === true) this.#meta.delete(rowName(key));
    this.#rows.delete(key.id);
  }

  /** This database was found to be a copy: whatever was acknowledged after it was made may be missing. @throws DiskFullError */
  begin(): void {
    this.#meta.set(IN_DOUBT_META, new Uint8Array([1]));
    this.#everywhere = true;
    this.#heard.clear();
    this.#losses++;
  }

  /**
   * Rows of this database lie apart until the other owners were asked about them: what it shows is not all that it has, so
   * that who has lost something has not heard it yet, however often it asks.
   */
  get holdsApart(): boolean {
    return this.#holdsApart();
  }

  /** True while any unit of this node is in doubt. One comparison on the path of every healthy read. */
  get any(): boolean {
    return this.#everywhere;
  }

  of(layout: ActiveLayout, policy: string, partition: PartitionId): boolean {
    return this.#everywhere && this.#stateOf(layout, policy, partition) === "in-doubt";
  }

  /** This node's units of which it is in doubt. */
  units(layout: ActiveLayout): UnitSet {
    const units = new UnitSet();
    if (!this.#everywhere) return units;
    for (const [policy, partition] of this.#ownUnits(layout)) {
      if (this.#stateOf(layout, policy, partition) !== "in-doubt") continue;
      units.add(policy, partition, layout.partitions);
    }
    return units;
  }

  /**
   * A whole scan of `peer` under this layout has been merged; `inDoubt`: what the peer itself was in doubt of. Ends doubt
   * where enough has been heard. @throws DiskFullError
   */
  heard(layout: ActiveLayout, peer: NodeId, inDoubt: UnitSet): void {
    this.#restartIfAdopted(layout);
    const times = (this.#heard.get(peer)?.times ?? 0) + 1;
    this.#heard.set(peer, { inDoubt, times });
    this.endIfPossible(layout);
  }

  /** Which peers must still be heard; [] once doubt has ended everywhere. */
  unheard(layout: ActiveLayout): NodeId[] {
    this.#restartIfAdopted(layout);
    const storage = layout.document.members.filter((member) => member.role === "storage");
    return storage
      .map((member) => member.id)
      .filter((id) => id !== this.#self && this.#heard.get(id)?.inDoubt.isEmpty !== true);
  }

  /** @throws DiskFullError */
  endIfPossible(layout: ActiveLayout): void {
    this.#restartIfAdopted(layout);
    let allInDoubt = 0;
    for (const [policy, partition] of this.#ownUnits(layout)) {
      const state = this.#stateOf(layout, policy, partition);
      if (state === "in-doubt") return;
      if (state === "all-heard") allInDoubt++;
    }
    if (allInDoubt > 0) this.#logger.error("all-owners-in-doubt", { units: allInDoubt });
    // First the disk, which may be full: else the doubt would come back with the next start.
    this.#meta.delete(IN_DOUBT_META);
    this.#everywhere = false;
    this.#heard.clear();
    this.#logger.info("doubt-ended", { layoutVersion: layout.version });
  }

  #restartIfAdopted(layout: ActiveLayout): void {
    if (this.#layout === layout) return;
    this.#layout = layout;
    this.#heard.clear();
  }

  *#ownUnits(layout: ActiveLayout): Generator<readonly [policy: string, partition: PartitionId]> {
    for (const policy of Object.keys(layout.document.policies)) {
      for (let p = 0; p < layout.partitions; p++) {
        const partition = p as PartitionId;
        if (layout.homes(policy, partition).includes(this.#self)) yield [policy, partition];
      }
    }
  }

  /**
   * Heard from block(S) = n - quorum + 1 other owners that were not in doubt themselves: every write that a quorum had
   * acknowledged is then here. Where fewer than that are left who are not in doubt, nobody could ever hear enough: there it
   * ends when all others have been heard, those in doubt twice (`all-heard`, an error in the log). So does a sole owner's,
   * at once. What a peer told under another layout proves nothing: it may not have been an owner of the unit then.
   */
  #stateOf(
    layout: ActiveLayout,
    policy: string,
    partition: PartitionId,
  ): "in-doubt" | "trusted" | "all-heard" {
    if (this.#holdsApart()) return "in-doubt";
    const homes = layout.homes(policy, partition);
    if (homes.length === 1) return "all-heard";
    if (layout !== this.#layout) return "in-doubt";
    let trusted = 0;
    let settled = 0;
    for (const home of homes) {
      const heard = home === this.#self ? undefined : this.#heard.get(home);
      if (heard === undefined) continue;
      if (!heard.inDoubt.has(policy, partition)) trusted++;
      else if (heard.times >= HEARINGS_IN_DOUBT) settled++;
    }
    if (trusted >= enough(homes.length)) return "trusted";
    return trusted + settled < homes.length - 1 ? "in-doubt" : "all-heard";
  }
}

/** How many other owners must be heard: one of them then has whatever a majority had acknowledged. */
function enough(owners: number): number {
  return Math.min(owners - 1, owners - majorityOf(owners) + 1);
}

function rowName(key: Key): string {
  return `${META_ROW_PREFIX}${key.namespace}/${bytesToHex(key.bytes)}`;
}
