import type { NamespaceId, NodeId, PartitionId, RegionId } from "./ids.ts";
import type {
  Assignment,
  LayoutDocument,
  LayoutMember,
  NamespaceEntry,
  PlacementPolicy,
} from "./layout.ts";
import { policyCopies } from "./layout.ts";
import { buildRing, type Ring, walk } from "./ring.ts";

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
  /**
   * The walk past the homes: every other storage member, clockwise, that may stand in for the slot of `home`. A slot that the
   * policy pins to a region is stood in for only there (data residency). Empty if `home` is no home of the unit.
   */
  fallbacks(policy: string, partition: PartitionId, home: NodeId): readonly NodeId[];
  regionOf(node: NodeId): RegionId | undefined;
}

/** Node ids kept in remembered walks (8 bytes each): every walk of a small cluster, the recent ones of a large one. */
const WALK_IDS_MAX = 1_000_000;

interface CompiledPolicy {
  readonly name: string;
  readonly policy: PlacementPolicy;
  readonly copies: number;
  readonly assignment: Assignment;
}

/** Compiles a valid document (layout-rules.ts validateLayout). Costs the look-up maps; the ring is built when first walked. */
export function compileLayout(document: LayoutDocument): ActiveLayout {
  return new CompiledLayout(document);
}

/**
 * One array for all partitions with the same homes in the same order: few of the thousands differ, and what is kept by array
 * (replication/plan.ts) then stays in the processor's cache.
 */
function shareHomes(assignment: readonly (readonly NodeId[])[]): readonly (readonly NodeId[])[] {
  const known = new Map<string, readonly NodeId[]>();
  return assignment.map((homes) => {
    const name = homes.join();
    const shared = known.get(name) ?? homes;
    known.set(name, shared);
    return shared;
  });
}

class CompiledLayout implements ActiveLayout {
  readonly document: LayoutDocument;
  readonly version: number;
  readonly partitions: number;
  readonly #members: ReadonlyMap<NodeId, LayoutMember>;
  readonly #byName: ReadonlyMap<string, NamespaceEntry>;
  readonly #byId: ReadonlyMap<NamespaceId, NamespaceEntry>;
  readonly #policies: ReadonlyMap<string, CompiledPolicy>;
  #ring: Ring | undefined;
  /** Fallback lists by policy, partition and, where the policy pins, region; the oldest go first when there are too many. */
  readonly #walks = new Map<string, readonly NodeId[]>();
  readonly #walksMax: number;

  constructor(document: LayoutDocument) {
    this.document = document;
    this.version = document.version;
    this.partitions = document.partitions;
    this.#members = new Map(document.members.map((member) => [member.id, member]));
    this.#byName = new Map(document.namespaces.map((entry) => [entry.name, entry]));
    this.#byId = new Map(document.namespaces.map((entry) => [entry.id, entry]));
    this.#policies = new Map(
      Object.entries(document.policies).map(([name, policy]) => [
        name,
        {
          name,
          policy,
          copies: policyCopies(policy),
          assignment: shareHomes(document.assignments[name] ?? []),
        },
      ]),
    );
    this.#walksMax = Math.max(1, Math.floor(WALK_IDS_MAX / Math.max(1, document.members.length)));
  }

  member(node: NodeId): LayoutMember | undefined {
    return this.#members.get(node);
  }

  namespaceByName(name: string): NamespaceEntry | undefined {
    return this.#byName.get(name);
  }

  namespaceById(id: NamespaceId): NamespaceEntry | undefined {
    return this.#byId.get(id);
  }

  homes(policy: string, partition: PartitionId): readonly NodeId[] {
    const homes = this.#policy(policy).assignment[partition];
    if (homes === undefined) throw new Error(`No partition ${partition} in layout ${this.version}`);
    return homes;
  }

  policyCopies(policy: string): number {
    return this.#policy(policy).copies;
  }

  fallbacks(policy: string, partition: PartitionId, home: NodeId): readonly NodeId[] {
    const homes = this.homes(policy, partition);
    const region = this.regionOf(home);
    if (region === undefined || !homes.includes(home)) return [];
    const compiled = this.#policy(policy);
    const pinned = "regions" in compiled.policy ? region : "";
    const key = `${partition} ${pinned} ${policy}`;
    const known = this.#walks.get(key);
    if (known !== undefined) return known;
    this.#ring ??= buildRing(this.document.members);
    const others = walk(this.#ring, partition, this.partitions).filter(
      (node) => !homes.includes(node) && (pinned === "" || this.regionOf(node) === pinned),
    );
    if (this.#walks.size >= this.#walksMax) {
      for (const oldest of this.#walks.keys()) {
        this.#walks.delete(oldest);
        break;
      }
    }
    this.#walks.set(key, others);
    return others;
  }

  regionOf(node: NodeId): RegionId | undefined {
    return this.#members.get(node)?.region;
  }

  #policy(name: string): CompiledPolicy {
    const policy = this.#policies.get(name);
    if (policy === undefined) {
      const known = [...this.#policies.keys()].join(", ");
      throw new Error(
        `No placement policy "${name}" in layout ${this.version}, which has: ${known}`,
      );
    }
    return policy;
  }
}
