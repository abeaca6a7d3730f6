/** The layout: who owns what. A versioned document decided by Paxos among the electors it names (design: section 6). */
import type { ClusterId, NamespaceId, NodeId, RegionId, ZoneId } from "./ids.ts";

/** `{ n }`: spread over as many regions, then zones, as exist. `{ regions }`: exactly so many copies in each region. */
export type PlacementPolicy =
  | { readonly n: number }
  | { readonly regions: Readonly<Record<string, number>> };

export interface LayoutMember {
  readonly id: NodeId;
  readonly region: RegionId;
  readonly zone: ZoneId;
  /** Share of the data relative to the others, above 0; 1 unless configured. Gateways own nothing. */
  readonly weight: number;
  readonly role: "storage" | "gateway";
}

export interface NamespaceEntry {
  readonly id: NamespaceId;
  readonly name: string;
  /** A name in `policies`. */
  readonly policy: string;
}

/** Owners by partition, nearest first from the ring's point of view; fewer than the policy asks while nodes are missing. */
export type Assignment = readonly (readonly NodeId[])[];

export interface LayoutDocument {
  readonly clusterId: ClusterId;
  readonly version: number;
  /** Hex SHA-256 of the encoded document before this one; "" for version 1. */
  readonly parent: string;
  /** Raised only by an operator's `apply --force`; a higher one fences the lower. */
  readonly generation: number;
  /** Always "stable" until the layout can change under data. */
  readonly phase: "stable";
  /** How many storage members the cluster waits for before it takes data (`--bootstrap-expect`). */
  readonly expect: number;
  /** False until `expect` members have joined once; client puts are refused until then. Never goes back to false. */
  readonly formed: boolean;
  /** Q: a power of two, 16 to 16384, fixed at creation. */
  readonly partitions: number;
  /** Sorted by id. */
  readonly members: readonly LayoutMember[];
  /** An odd number, at most 7, of storage members, spread over regions. */
  readonly electors: readonly NodeId[];
  /** Ids that may never come back. */
  readonly removed: readonly NodeId[];
  /** At most 16, by name; `default` always exists. */
  readonly policies: Readonly<Record<string, PlacementPolicy>>;
  /** Sorted by id; `default` (id 1) always exists. */
  readonly namespaces: readonly NamespaceEntry[];
  readonly nextNamespaceId: number;
  /** One assignment for each policy, by policy name. */
  readonly assignments: Readonly<Record<string, Assignment>>;
}

/** The number of copies a policy asks for. */
export function policyCopies(policy: PlacementPolicy): number {
  if ("n" in policy) return policy.n;
  let copies = 0;
  for (const region of Object.keys(policy.regions)) copies += policy.regions[region] ?? 0;
  return copies;
}
