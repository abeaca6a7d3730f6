import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId, PartitionId } from "../core/ids.ts";

/** Each unit that the node owns has another owner: its file is not the only copy of anything that it was asked to keep. */
export function isHeldElsewhere(layout: ActiveLayout | undefined, self: NodeId): boolean {
  if (layout === undefined) return false;
  for (const policy of Object.keys(layout.document.policies)) {
    for (let partition = 0; partition < layout.partitions; partition++) {
      const homes = layout.homes(policy, partition as PartitionId);
      if (homes.length === 1 && homes[0] === self) return false;
    }
  }
  return layout.member(self) !== undefined;
}

/** The node is the only owner of a unit. */
export function isOnlyCopy(layout: ActiveLayout, self: NodeId): boolean {
  return layout.member(self) !== undefined && !isHeldElsewhere(layout, self);
}
