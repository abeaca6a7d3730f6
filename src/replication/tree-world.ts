import type { ActiveLayout } from "../core/active-layout.ts";
import type { NamespaceId } from "../core/ids.ts";
import type { TreeWorld } from "../storage/trees.ts";

/** What trees need to know of a layout. */
export function treeWorld(layout: ActiveLayout): TreeWorld {
  return {
    version: layout.version,
    partitions: layout.partitions,
    policyOf: (namespace) => layout.namespaceById(namespace as NamespaceId)?.policy,
    namespaces: () => layout.document.namespaces.map((entry) => entry.id),
  };
}
