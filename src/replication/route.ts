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
/** Above every round trip, so that rank and time fit one number. */
const RANK_MS = 1_000_000;
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
  const ordered: NodeId[] = [];
  const distances: number[] = [];
  // An insertion sort: there are three homes, and every get comes through here.
  for (const node of homes) {
    let distance = -1;
    if (node !== self) {
      const elsewhere = layout.regionOf(node) === region ? 0 : ELSEWHERE;
      distance = (LIVENESS_RANK[membership.liveness(node)] + elsewhere) * RANK_MS;
      distance += Math.min(membership.roundTripMs(node), RANK_MS - 1);
    }
    let at = ordered.length;
    while (at > 0 && (distances[at - 1] as number) > distance) at--;
    ordered.splice(at, 0, node);
    distances.splice(at, 0, distance);
  }
  return ordered;
}
