/**
 * What a placement policy demands of every partition, as bounds on a tree: cluster, regions, zones, nodes. A partition's owners
 * obey the policy if each region and each zone holds a number of copies within its bounds. Copies are spread evenly: level by
 * level, so no region gets a second copy before every region that can has its first, and the same for zones inside a region.
 */
import type { LayoutMember, PlacementPolicy } from "./layout.ts";
import { own } from "./own.ts";
import { storageMembers } from "./ring.ts";

interface ShapeGroup {
  readonly name: string;
  /** Fewest and most copies of one partition in this group; they differ by one at most. */
  readonly low: number;
  readonly high: number;
}

export interface ShapeZone extends ShapeGroup {
  /** Index of its region. */
  readonly region: number;
  /** Indexes of its nodes. */
  readonly nodes: readonly number[];
}

export interface ShapeRegion extends ShapeGroup {
  /** Indexes of its zones. */
  readonly zones: readonly number[];
}

export interface Shape {
  /** The storage members, sorted by id; numbers of nodes are indexes into it. */
  readonly members: readonly LayoutMember[];
  /** Owners of each partition: what the policy asks, or fewer while nodes are missing. */
  readonly copies: number;
  readonly regions: readonly ShapeRegion[];
  readonly zones: readonly ShapeZone[];
  /** Index of the zone of each node, -1 if the policy leaves the node's region out. */
  readonly zoneOf: Int32Array;
}

interface Bounds {
  readonly low: number;
  readonly high: number;
}

/**
 * Spreads `least` .. `least + spare` copies evenly over groups that can take `sizes` copies each: water poured into vessels.
 * The level is the highest at which all vessels together hold no more than `least`; a vessel lower than the level is full.
 */
function levelBounds(sizes: readonly number[], least: number, most: number): Bounds[] {
  const held = (level: number) => sizes.reduce((sum, size) => sum + Math.min(size, level), 0);
  const largest = sizes.reduce((a, b) => Math.max(a, b), 0);
  let level = 0;
  while (level < largest && held(level + 1) <= least) level++;
  // When the level holds exactly what is poured nobody may have more: a sum of lows leaves no room anyway, but the bound says it.
  const rise = held(level) < most ? 1 : 0;
  return sizes.map((size) => ({ low: Math.min(size, level), high: Math.min(size, level + rise) }));
}

interface Place {
  readonly name: string;
  readonly zones: Map<string, number[]>;
  size: number;
}

function placesOf(members: readonly LayoutMember[], policy: PlacementPolicy): Place[] {
  const places = new Map<string, Place>();
  for (const [node, member] of members.entries()) {
    if ("regions" in policy && (own(policy.regions, member.region) ?? 0) === 0) continue;
    let place = places.get(member.region);
    if (place === undefined) {
      place = { name: member.region, zones: new Map(), size: 0 };
      places.set(member.region, place);
    }
    const nodes = place.zones.get(member.zone);
    if (nodes === undefined) place.zones.set(member.zone, [node]);
    else nodes.push(node);
    place.size++;
  }
  return [...places.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function regionBounds(places: readonly Place[], policy: PlacementPolicy, copies: number): Bounds[] {
  if ("n" in policy)
    return levelBounds(
      places.map((place) => place.size),
      copies,
      copies,
    );
  return places.map((place) => {
    const wanted = Math.min(own(policy.regions, place.name) ?? 0, place.size);
    return { low: wanted, high: wanted };
  });
}

function copiesOf(places: readonly Place[], policy: PlacementPolicy): number {
  let copies = 0;
  for (const place of places) {
    copies +=
      "n" in policy ? place.size : Math.min(own(policy.regions, place.name) ?? 0, place.size);
  }
  return "n" in policy ? Math.min(copies, policy.n) : copies;
}

export function shapeOf(members: readonly LayoutMember[], policy: PlacementPolicy): Shape {
  const storage = storageMembers(members);
  const places = placesOf(storage, policy);
  const copies = copiesOf(places, policy);
  const bounds = regionBounds(places, policy, copies);
  const regions: ShapeRegion[] = [];
  const zones: ShapeZone[] = [];
  const zoneOf = new Int32Array(storage.length).fill(-1);
  for (const [region, place] of places.entries()) {
    const { low, high } = bounds[region] as Bounds;
    const names = [...place.zones.keys()].sort();
    const zoneNodes = names.map((name) => place.zones.get(name) ?? []);
    const zoneBounds = levelBounds(
      zoneNodes.map((nodes) => nodes.length),
      low,
      high,
    );
    const indexes: number[] = [];
    for (const [i, name] of names.entries()) {
      const nodes = zoneNodes[i] as number[];
      for (const node of nodes) zoneOf[node] = zones.length;
      indexes.push(zones.length);
      zones.push({ name, region, nodes, ...(zoneBounds[i] as Bounds) });
    }
    regions.push({ name: place.name, zones: indexes, low, high });
  }
  return { members: storage, copies, regions, zones, zoneOf };
}
