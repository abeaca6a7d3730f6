/**
 * The third answer. A replica whose database was lost must not say "absent": in doubt, its rows still join a merge, but
 * neither they nor their absence count to R, and nobody takes its rows for a complete scan (design: "Record, absent,
 * unknown"; research: amnesiac replicas break R + W > N even when nothing is lost in the end).
 */

import type { ActiveLayout } from "../core/active-layout.ts";
import { majorityOf } from "../core/consistency.ts";
import type { NodeId, PartitionId } from "../core/ids.ts";
import type { Logger } from "../env/logger.ts";
import type { MetaStore } from "../env/meta-store.ts";

const META_IN_DOUBT = "in-doubt";

export class Doubt {
  readonly #meta: MetaStore;
  readonly #logger: Logger;
  readonly #self: NodeId;
  #everywhere: boolean;
  /** Peers whose whole scans were merged since doubt began or the layout changed, by whether they could be trusted. */
  readonly #heard = new Map<NodeId, "trusted" | "in-doubt">();
  #layoutVersion = 0;

  /** `forgotten`: this start found the database gone. Doubt survives restarts until it has ended everywhere. */
  constructor(parts: {
    readonly meta: MetaStore;
    readonly logger: Logger;
    readonly self: NodeId;
    readonly forgotten: boolean;
  }) {
    this.#meta = parts.meta;
    this.#logger = parts.logger;
    this.#self = parts.self;
    if (parts.forgotten) parts.meta.set(META_IN_DOUBT, new Uint8Array([1]));
    this.#everywhere = parts.meta.get(META_IN_DOUBT) !== undefined;
  }

  /** True while any unit of this node is in doubt. One comparison on the path of every healthy read. */
  get any(): boolean {
    return this.#everywhere;
  }

  of(layout: ActiveLayout, policy: string, partition: PartitionId): boolean {
    return this.#everywhere && !this.#ended(layout.homes(policy, partition));
  }

  /** A whole scan of `peer` under this layout has been merged. Ends doubt where enough has been heard. */
  heard(layout: ActiveLayout, peer: NodeId, state: "trusted" | "in-doubt"): void {
    if (layout.version !== this.#layoutVersion) {
      this.#layoutVersion = layout.version;
      this.#heard.clear();
    }
    this.#heard.set(peer, state);
    this.endIfPossible(layout);
  }

  /** Which peers must still be heard; [] once doubt has ended everywhere. */
  unheard(layout: ActiveLayout): NodeId[] {
    if (layout.version !== this.#layoutVersion) {
      this.#layoutVersion = layout.version;
      this.#heard.clear();
    }
    const storage = layout.document.members.filter((member) => member.role === "storage");
    return storage
      .map((member) => member.id)
      .filter((id) => id !== this.#self && this.#heard.get(id) !== "trusted");
  }

  endIfPossible(layout: ActiveLayout): void {
    for (const policy of Object.keys(layout.document.policies)) {
      for (let p = 0; p < layout.partitions; p++) {
        const homes = layout.homes(policy, p as PartitionId);
        if (homes.includes(this.#self) && !this.#ended(homes)) return;
      }
    }
    this.#everywhere = false;
    this.#heard.clear();
    this.#meta.delete(META_IN_DOUBT);
    this.#logger.info("doubt-ended", { layoutVersion: layout.version });
  }

  /**
   * Heard from block(S) = n - quorum + 1 other owners that were not in doubt themselves: every write that a quorum had
   * acknowledged is then here. If all owners are in doubt, it ends when they have heard each other.
   */
  #ended(homes: readonly NodeId[]): boolean {
    let trusted = 0;
    let all = 0;
    for (const home of homes) {
      if (home === this.#self) continue;
      const state = this.#heard.get(home);
      if (state === "trusted") trusted++;
      if (state !== undefined) all++;
    }
    const others = homes.length - 1;
    if (trusted >= Math.min(others, homes.length - majorityOf(homes.length) + 1)) return true;
    if (all < others || trusted > 0) return false;
    this.#logger.error("all-owners-in-doubt", { owners: homes.length });
    return true;
  }
}
