/** Where a key lives under the present layout, and in which order this node asks its homes. */

import type { Membership } from "../cluster/membership.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId, PartitionId } from "../core/ids.ts";
import { type Key, partitionOf } from "../core/key.ts";

export interface Route {
  readonly layout: ActiveLayout;
  readonly policy: string;
  readonly partition: PartitionId;
  readonly homes: readonly NodeId[];
}

/** Undefined when the layout does not know the namespace. */
export function routeOf(layout: ActiveLayout, key: Key): Route | undefined {
  const namespace = layout.namespaceById(key.namespace);
  if (namespace === undefined) return undefined;
  const partition = partitionOf(key.hash, layout.partitions);
  return {
    layout,
    policy: namespace.policy,
    partition,
    homes: layout.homes(namespace.policy, partition),
  };
}

const LIVENESS_RANK = { up: 0, suspect: 1, down: 2 } as const;

/**
 * The homes in the order in which to ask them: this node, then those believed up before the others, then by round-trip
 * time. A new array.
 */
export function nearestFirst(membership: Membership, homes: readonly NodeId[]): NodeId[] {
  const { self } = membership;
  if (homes.length === 1) return [...homes];
  const ranked = homes.map((node) => ({
    node,
    rank: node === self ? -1 : LIVENESS_RANK[membership.liveness(node)],
    roundTripMs: node === self ? 0 : membership.roundTripMs(node),
  }));
  ranked.sort((a, b) => a.rank - b.rank || a.roundTripMs - b.roundTripMs);
  return ranked.map((entry) => entry.node);
}
