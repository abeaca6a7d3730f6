import type { Membership } from "../cluster/membership.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import type { RegionId } from "../core/ids.ts";

/** How near a region is to this node: 0 for its own, else the smallest round-trip time to a member in it. */
export function regionRank(
  membership: Membership,
  layout: ActiveLayout,
): (region: RegionId) => number {
  return (region) => {
    if (layout.regionOf(membership.self) === region) return 0;
    let nearest = Number.MAX_VALUE;
    for (const member of layout.document.members) {
      if (member.region === region) nearest = Math.min(nearest, membership.roundTripMs(member.id));
    }
    return nearest;
  };
}
