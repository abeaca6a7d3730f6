/**
 * How many slots each node should own: in proportion to its weight, as far as the policy allows. The policy binds when, say,
 * each of three regions must hold one of three copies: then a small region's nodes carry more than their weight, and the nodes
 * of each region share among themselves by weight. So shares are found from the top of the tree downwards, each time by
 * raising one load-per-weight until the children's loads, each kept within its bounds, add up to what the parent has to give.
 */
import type { Shape, ShapeRegion, ShapeZone } from "./placement-shape.ts";

/** Doubles halve an interval to nothing in fewer steps than this. */
const BISECTIONS_MAX = 2_200;
/** Rounding noise of sums of at most 2^18 slots. */
const NOISE = 1e-6;

interface Child {
  /** The load at a given load-per-weight, within the child's bounds. */
  readonly loadAt: (perWeight: number) => number;
  readonly low: number;
  readonly high: number;
  /** What it owned before, for choosing whom to round up. */
  readonly previous: number;
}

/** Splits a whole number of slots among the children, each within one slot of its exact share. */
function split(children: readonly Child[], total: number, perWeightMax: number): number[] {
  let low = 0;
  let high = perWeightMax;
  for (let i = 0; i < BISECTIONS_MAX; i++) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    let sum = 0;
    for (const child of children) sum += child.loadAt(middle);
    if (sum < total) low = middle;
    else high = middle;
  }
  const exact = children.map((child) => child.loadAt(high));
  const parts = exact.map((load) => Math.floor(load + NOISE));
  let left = total;
  for (const part of parts) left -= part;
  const fraction = (i: number) => (exact[i] as number) - (parts[i] as number);
  // Who owned more than the floor before keeps the odd slot, so that rounding moves nothing; then the largest remainder.
  const keeps = (i: number) => ((children[i] as Child).previous > (parts[i] as number) ? 1 : 0);
  const order = children
    .map((_, i) => i)
    .sort((a, b) => rank(b) - rank(a) || keeps(b) - keeps(a) || fraction(b) - fraction(a) || a - b);
  function rank(i: number): number {
    return fraction(i) > NOISE ? 1 : 0;
  }
  const step = left < 0 ? -1 : 1;
  while (left !== 0) {
    const before = left;
    for (const i of order) {
      const child = children[i] as Child;
      const part = (parts[i] as number) + step;
      if (left === 0 || part < child.low || part > child.high) continue;
      parts[i] = part;
      left -= step;
    }
    if (left === before)
      throw new Error(`Placement bounds cannot hold ${total} slots: bug in shapeOf`);
  }
  return parts;
}

/**
 * The slots each node should own, by node index; they add up to copies x partitions.
 *
 * @param previous slots each node owned before, by node index.
 */
export function sharesOf(shape: Shape, partitions: number, previous: Int32Array): Int32Array {
  const shares = new Int32Array(shape.members.length);
  let lightest = Number.POSITIVE_INFINITY;
  for (const member of shape.members) lightest = Math.min(lightest, member.weight);
  const perWeightMax = (partitions / lightest) * 2;
  const clip = (load: number, low: number, high: number) =>
    Math.min(Math.max(load, low * partitions), high * partitions);

  const nodeChild = (node: number): Child => {
    const weight = (shape.members[node] as { weight: number }).weight;
    return {
      loadAt: (perWeight) => Math.min(perWeight * weight, partitions),
      low: 0,
      high: partitions,
      previous: previous[node] as number,
    };
  };
  const group = (children: readonly Child[], low: number, high: number): Child => ({
    loadAt: (perWeight) => {
      let sum = 0;
      for (const child of children) sum += child.loadAt(perWeight);
      return clip(sum, low, high);
    },
    low: low * partitions,
    high: high * partitions,
    previous: children.reduce((sum, child) => sum + child.previous, 0),
  });
  const zoneNodes = (zone: ShapeZone) => zone.nodes.map(nodeChild);
  const zoneChild = (zone: ShapeZone) => group(zoneNodes(zone), zone.low, zone.high);
  const zonesOf = (region: ShapeRegion) =>
    region.zones.map((zone) => shape.zones[zone] as ShapeZone);
  const regionChild = (region: ShapeRegion) =>
    group(zonesOf(region).map(zoneChild), region.low, region.high);

  const byRegion = split(shape.regions.map(regionChild), shape.copies * partitions, perWeightMax);
  for (const [r, region] of shape.regions.entries()) {
    const zones = zonesOf(region);
    const byZone = split(zones.map(zoneChild), byRegion[r] as number, perWeightMax);
    for (const [z, zone] of zones.entries()) {
      const byNode = split(zoneNodes(zone), byZone[z] as number, perWeightMax);
      for (const [i, node] of zone.nodes.entries()) shares[node] = byNode[i] as number;
    }
  }
  return shares;
}
