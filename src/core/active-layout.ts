import type { NamespaceId, NodeId, PartitionId, RegionId } from "./ids.ts";
import type { LayoutDocument, LayoutMember, NamespaceEntry } from "./layout.ts";

/** A layout document compiled for look-ups: immutable, made once when a document is adopted (compileLayout). */
export interface ActiveLayout {
  readonly document: LayoutDocument;
  readonly version: number;
  readonly partitions: number;
  member(node: NodeId): LayoutMember | undefined;
  namespaceByName(name: string): NamespaceEntry | undefined;
  namespaceById(id: NamespaceId): NamespaceEntry | undefined;
  /** The home replicas of the unit (policy of the namespace, partition), in ring order. O(1), no allocation. */
  homes(policy: string, partition: PartitionId): readonly NodeId[];
  /** The copies the policy asks for, also while fewer nodes exist. */
  policyCopies(policy: string): number;
  /** The walk past the homes: every other storage member, clockwise, that may stand in for the slot of `home`. */
  fallbacks(policy: string, partition: PartitionId, home: NodeId): readonly NodeId[];
  regionOf(node: NodeId): RegionId | undefined;
}
