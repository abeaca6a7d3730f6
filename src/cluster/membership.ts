/** What replication and http may know of the cluster. Implemented by cluster.ts; faked in tests. */

import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId, RegionId, ZoneId } from "../core/ids.ts";
import type { PlacementPolicy } from "../core/layout.ts";

export type Liveness = "up" | "suspect" | "down";

export interface MemberStatus {
  readonly id: NodeId;
  readonly region: RegionId;
  readonly zone: ZoneId;
  readonly role: "storage" | "gateway";
  /** Client-facing and peer-facing base addresses as the node advertises them; "" when never heard. */
  readonly url: string;
  readonly peerUrl: string;
  readonly state: Liveness;
  readonly incarnation: number;
  readonly keys: number;
  readonly bytes: number;
  /** Writes that it keeps for members that are away. */
  readonly hints: { readonly count: number; readonly bytes: number };
  /** Its clock is more than 5 s from the median of its peers' (the clock-offset alarm). */
  readonly clockIsOff: boolean;
  /** In the layout, or only asking to join. */
  readonly inLayout: boolean;
}

export interface Membership {
  readonly self: NodeId;
  /** The newest adopted layout, compiled; undefined until this node has one (joining). Changes only between turns. */
  layout(): ActiveLayout | undefined;
  /** Opinion for routing; never moves data. Self is always "up". */
  liveness(node: NodeId): Liveness;
  /** Smoothed round-trip time in ms; a configured guess before the first answer. */
  roundTripMs(node: NodeId): number;
  members(): readonly MemberStatus[];
  /** True while the layout may be replaced by a formation change: puts are refused with 503 `not_formed` + Retry-After. */
  refusesWrites(): boolean;
  /** Decides a document with one namespace more; resolves when this node has adopted it. */
  createNamespace(
    name: string,
    policy: { readonly name: string } | PlacementPolicy,
  ): Promise<CreateNamespaceOutcome>;
  deleteNamespace(name: string): Promise<"deleted" | "not-found" | "is-default" | "unavailable">;
}

export type CreateNamespaceOutcome =
  | { readonly status: "created" | "exists" }
  | { readonly status: "conflict" | "invalid" | "unavailable"; readonly reason: string };
