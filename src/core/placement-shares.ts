/**
 * How many slots each node should own: in proportion to its weight, as far as the policy allows. The policy binds when, say,
 * each of three regions must hold one of three copies: then a small region's nodes carry more than their weight, and the nodes
 * of each region share among themselves by weight. So shares are found from the top of the tree downwards, each time by
 * raising one load-per-weight until the children's loads, each kept within its bounds, add up to what the parent has to give.
 */
import { assert } from "./assert.ts";
import type { LayoutMember } from "./layout.ts";
import type { Shape, ShapeZone } from "./placement-shape.ts";

/** More halvings than an interval of doubles can stand. */
const BISECTIONS_MAX = 2_200;
/** Far above the rounding noise of sums of at most 2^18 slots, far below a slot. */
const NOISE = 1e-6;

/** A member, a zone or a region, with how much it carries if every node below it carries `perWeight` for each unit of weight. */
interface Part {
  readonly loadAt: (perWeight: number) => number;
  readonly children: readonly Part[];
  /** Index of the member; -1 for a group. */
  readonly node: number;
}

function nodePart(members: readonly LayoutMember[], node: number, partitions: number): Part {
  const weight = members[node]?.weight ?? 0;
  // A node owns a partition once at most.
  return { loadAt: (perWeight) => Math.min(perWeight * weight, partitions), children: [], node };
}

function groupPart(children: readonly Part[], least: number, most: number): Part {
  const loadAt = (perWeight: number) => {
    let sum = 0;
    for (const child of children) sum += child.loadAt(perWeight);
    return Math.min(Math.max(sum, least), most);
  };
  return { loadAt, children, node: -1 };
}

function tree(shape: Shape, partitions: number): Part {
  const zonePart = (zone: ShapeZone) =>
    groupPart(
      zone.nodes.map((node) => nodePart(shape.members, node, partitions)),
      zone.low * partitions,
      zone.high * partitions,
    );
  const regions = shape.regions.map((region) =>
    groupPart(
      region.zones.map((zone) => zonePart(shape.zones[zone] as ShapeZone)),
      region.low * partitions,
      region.high * partitions,
    ),
  );
  const slots = shape.copies * partitions;
  return groupPart(regions, slots, slots);
}

/** Splits a load among parts: the least load-per-weight at which they carry all of it. */
function split(parts: readonly Part[], total: number, perWeightMax: number): number[] {
  let low = 0;
  let high = perWeightMax;
  for (let i = 0; i < BISECTIONS_MAX; i++) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    let sum = 0;
    for (const part of parts) sum += part.loadAt(middle);
    if (sum < total) low = middle;
    else high = middle;
  }
  return parts.map((part) => part.loadAt(high));
}

interface Share {
  readonly exact: number;
  readonly children: readonly Share[];
  readonly node: number;
}

function shareOf(part: Part, exact: number, perWeightMax: number): Share {
  const loads = part.children.length === 0 ? [] : split(part.children, exact, perWeightMax);
  const children = part.children.map((child, i) =>
    shareOf(child, loads[i] as number, perWeightMax),
  );
  return { exact, children, node: part.node };
}

function shareTree(shape: Shape, partitions: number): Share {
  let lightest = Number.POSITIVE_INFINITY;
  for (const member of shape.members) lightest = Math.min(lightest, member.weight);
  // At this load-per-weight every node is as full as it can be.
  return shareOf(tree(shape, partitions), shape.copies * partitions, (2 * partitions) / lightest);
}

/** The shares before rounding, by node index. */
export function exactSharesOf(shape: Shape, partitions: number): Float64Array {
  const shares = new Float64Array(shape.members.length);
  const visit = (share: Share) => {
    if (share.node >= 0) shares[share.node] = share.exact;
    share.children.forEach(visit);
  };
  visit(shareTree(shape, partitions));
  return shares;
}

/**
 * Whole shares, by node index: each the exact one rounded down or up, with zones and regions as sums rounded likewise; together
 * copies x partitions. Who owned more than the rounded-down share before keeps the odd slot, so that rounding moves nothing.
 *
 * @param previous slots each node owned before, by node index.
 */
export function sharesOf(shape: Shape, partitions: number, previous: Int32Array): Int32Array {
  const shares = new Int32Array(shape.members.length);
  const ownedBefore = (share: Share): number => {
    let owned = share.node >= 0 ? (previous[share.node] as number) : 0;
    for (const child of share.children) owned += ownedBefore(child);
    return owned;
  };
  const visit = (share: Share, total: number) => {
    if (share.node >= 0) shares[share.node] = total;
    if (share.children.length === 0) return;
    const parts = round(share.children, total, share.children.map(ownedBefore));
    for (const [i, child] of share.children.entries()) visit(child, parts[i] as number);
  };
  visit(shareTree(shape, partitions), shape.copies * partitions);
  return shares;
}

/** Rounds each share down or up so that they add up to the total, which is their sum rounded down or up. */
function round(shares: readonly Share[], total: number, previous: readonly number[]): number[] {
  const parts = shares.map((share) => Math.floor(share.exact + NOISE));
  let left = total;
  for (const part of parts) left -= part;
  const fraction = (i: number) => (shares[i] as Share).exact - (parts[i] as number);
  const kept = (i: number) => ((previous[i] as number) > (parts[i] as number) ? 1 : 0);
  const order: number[] = [];
  for (const i of parts.keys()) if (fraction(i) > NOISE) order.push(i);
  order.sort((a, b) => kept(b) - kept(a) || fraction(b) - fraction(a) || a - b);
  assert(left >= 0 && left <= order.length, "shares do not add up to their total");
  for (const i of order.slice(0, left)) parts[i] = (parts[i] as number) + 1;
  return parts;
}
