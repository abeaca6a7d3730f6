/**
 * Who stands in for a home that is away: the preference list past the homes (DeCandia et al. 2007, section 4.6, "sloppy
 * quorum"). The walk itself comes from the layout (ActiveLayout.fallbacks), which also keeps stand-ins of a slot that its
 * policy pins to a region inside it.
 */
import type { ActiveLayout } from "./active-layout.ts";
import type { NodeId, PartitionId } from "./ids.ts";

export type Health = "up" | "suspect" | "down";

/**
 * The next healthy node on the walk that is not taken yet; one that is only suspected comes after all that are up, and one
 * believed down never. Null when there is none left. Pure: who is healthy is an argument.
 */
export function nextStandIn(
  walk: readonly NodeId[],
  isTaken: (node: NodeId) => boolean,
  healthOf: (node: NodeId) => Health,
): NodeId | null {
  let suspect: NodeId | null = null;
  for (const node of walk) {
    if (isTaken(node)) continue;
    const health = healthOf(node);
    if (health === "up") return node;
    if (health === "suspect") suspect ??= node;
  }
  return suspect;
}

/** Whether the policy lets `node` keep writes for the slot of `home`. False for the homes themselves. */
export function mayStandIn(
  layout: Pick<ActiveLayout, "fallbacks">,
  unit: { readonly policy: string; readonly partition: PartitionId },
  node: NodeId,
  home: NodeId,
): boolean {
  return layout.fallbacks(unit.policy, unit.partition, home).includes(node);
}

/** The first of the homes that `node` may stand in for; null when the policy allows it nowhere. Always the same one. */
export function firstHomeFor(
  layout: Pick<ActiveLayout, "fallbacks">,
  unit: {
    readonly policy: string;
    readonly partition: PartitionId;
    readonly homes: readonly NodeId[];
  },
  node: NodeId,
): NodeId | null {
  for (const home of unit.homes) if (mayStandIn(layout, unit, node, home)) return home;
  return null;
}
