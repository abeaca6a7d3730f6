import type { NodeId } from "./ids.ts";
import type { LayoutMember } from "./layout.ts";
import { ELECTORS_MAX } from "./limits.ts";
import { Board } from "./placement-board.ts";
import { shapeOf } from "./placement-shape.ts";

/**
 * Who decides the next document: the largest odd number of storage members up to ELECTORS_MAX, spread over regions and zones as copies
 * of a partition are; present electors stay where that allows, others follow by id. Sorted by id.
 */
export function chooseElectors(
  members: readonly LayoutMember[],
  present: readonly NodeId[],
): readonly NodeId[] {
  const storage = members.filter((member) => member.role === "storage").length;
  const most = Math.min(ELECTORS_MAX, storage);
  const shape = shapeOf(members, { n: most % 2 === 1 ? most : Math.max(0, most - 1) });
  // A partition of its own: any order of taking who fits ends in a full, evenly spread set (placement-board.ts).
  const board = new Board(shape, 1);
  const chosen: NodeId[] = [];
  const take = (mayStay: (id: NodeId) => boolean) => {
    for (const [node, { id }] of shape.members.entries()) {
      if (!mayStay(id) || board.owns(0, node) || !board.fits(0, node)) continue;
      board.place(0, node);
      chosen.push(id);
    }
  };

  take((id) => present.includes(id));
  take(() => true);
  return chosen.sort();
}
