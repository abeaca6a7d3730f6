import type { NodeId } from "./ids.ts";
import type { LayoutMember } from "./layout.ts";
import { ELECTORS_MAX } from "./limits.ts";
import { assign } from "./placement.ts";

/**
 * Who decides the next document: the largest odd number of storage members up to ELECTORS_MAX, spread over regions and zones as copies
 * of a partition are; present electors stay where that allows. Sorted by id.
 */
export function chooseElectors(
  members: readonly LayoutMember[],
  present: readonly NodeId[],
): readonly NodeId[] {
  const storage = members
    .filter((member) => member.role === "storage")
    .map((member) => ({ ...member, weight: 1 }));
  const most = Math.min(ELECTORS_MAX, storage.length);
  if (most === 0) return [];
  const policy = { n: most % 2 === 1 ? most : most - 1 };
  const [electors] = assign({ previous: [present], members: storage, policy, partitions: 1 });
  return [...(electors ?? [])].sort();
}
