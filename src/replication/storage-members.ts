import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId } from "../core/ids.ts";

/** All others that may hold rows, or keep something aside: not the owners alone. */
export function membersOf(layout: ActiveLayout, self: NodeId): NodeId[] {
  return layout.document.members
    .filter(({ id, role }) => role === "storage" && id !== self)
    .map(({ id }) => id);
}
