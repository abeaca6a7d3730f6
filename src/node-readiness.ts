import type { Cluster } from "./cluster/cluster.ts";
import type { NodeId } from "./core/ids.ts";

/** What `/readyz` says: whether clients' requests should be sent to this node, and if not, what it waits for. */
export function readiness(
  cluster: Cluster,
  self: NodeId,
  mayBeCopy: boolean,
): { ready: boolean; reason?: string } {
  const layout = cluster.layout();
  if (layout === undefined) return { ready: false, reason: "no layout yet: still joining" };
  if (layout.member(self) === undefined) return { ready: false, reason: "not in the layout yet" };
  if (!layout.document.formed) {
    const { members, expect } = layout.document;
    return { ready: false, reason: `waiting for members: ${members.length} of ${expect}` };
  }
  if (mayBeCopy) {
    return { ready: false, reason: "asking the other members what they know of this database" };
  }
  return { ready: true };
}
