/** Where a key lives under the present layout, and in which order this node asks its homes. */

import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId, PartitionId } from "../core/ids.ts";
import { type Key, partitionOf } from "../core/key.ts";
import type { Replication } from "./context.ts";

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

/** A node in another region comes after every node of one's own that is as alive. */
const ELSEWHERE = 1;
const LIVENESS_RANK = { up: 0, suspect: 2, down: 4 } as const;

/**
 * The homes in the order in which to ask them: this node, then those believed up before the others, those of the own
 * region before the others, and then by round-trip time. Time alone would leave the region whenever another answered
 * faster for a moment: a request stays in its client's region while it can (design: "Regions"). A new array.
 */
export function nearestFirst(
  r: Pick<Replication, "membership" | "region">,
  layout: Pick<ActiveLayout, "regionOf">,
  homes: readonly NodeId[],
): NodeId[] {
  const { membership, region } = r;
  const { self } = membership;
  if (homes.length === 1) return [...homes];
  const ranked = homes.map((node) => ({
    node,
    rank:
      node === self
        ? -1
        : LIVENESS_RANK[membership.liveness(node)] +
          (layout.regionOf(node) === region ? 0 : ELSEWHERE),
    roundTripMs: node === self ? 0 : membership.roundTripMs(node),
  }));
  ranked.sort((a, b) => a.rank - b.rank || a.roundTripMs - b.roundTripMs);
  return ranked.map((entry) => entry.node);
}
