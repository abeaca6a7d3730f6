/**
 * The true least number of slots that must move, found by min-cost flow, against which `assign` is judged. Slow and simple on
 * purpose, and shares nothing with `assign` but the exact shares: source -> partition -> region -> zone -> node -> sink, an arc
 * partition..node costing 1 unless the node owned the partition before; each node ends with its share rounded down or up.
 */
import type { NodeId } from "../../src/core/ids.ts";
import type { Assignment, LayoutMember, PlacementPolicy } from "../../src/core/layout.ts";
import { type Shape, shapeOf } from "../../src/core/placement-shape.ts";
import { exactSharesOf } from "../../src/core/placement-shares.ts";

/** What an arc earns for being one that must be used (a lower bound): more than all real costs together. */
const MUST = 1_000_000;

class FlowNetwork {
  readonly #to: number[] = [];
  readonly #room: number[] = [];
  readonly #cost: number[] = [];
  readonly #arcs: number[][] = [];

  node(): number {
    return this.#arcs.push([]) - 1;
  }

  arc(from: number, to: number, room: number, cost: number): void {
    if (room === 0) return;
    this.#arcs[from]?.push(this.#to.push(to) - 1);
    this.#room.push(room);
    this.#cost.push(cost);
    this.#arcs[to]?.push(this.#to.push(from) - 1);
    this.#room.push(0);
    this.#cost.push(-cost);
  }

  /** An arc that carries at least `least` and at most `most`. */
  bounded(from: number, to: number, least: number, most: number, cost = 0): void {
    this.arc(from, to, least, cost - MUST);
    this.arc(from, to, most - least, cost);
  }

  /** Cost of a cheapest flow of the given value (successive shortest paths by Bellman-Ford with a queue). */
  cheapest(source: number, sink: number, value: number): number {
    let total = 0;
    let sent = 0;
    while (sent < value) {
      const { distance, by } = this.#shortest(source);
      if (distance[sink] === Number.POSITIVE_INFINITY) throw new Error("The flow does not fit");
      const path: number[] = [];
      for (let at = sink; at !== source; at = this.#to[(by[at] as number) ^ 1] as number) {
        path.push(by[at] as number);
      }
      const sending = path.reduce(
        (least, arc) => Math.min(least, this.#room[arc] as number),
        value - sent,
      );
      for (const arc of path) {
        this.#room[arc] = (this.#room[arc] as number) - sending;
        this.#room[arc ^ 1] = (this.#room[arc ^ 1] as number) + sending;
      }
      sent += sending;
      total += sending * (distance[sink] as number);
    }
    return total;
  }

  #shortest(source: number): { distance: Float64Array; by: Int32Array } {
    const distance = new Float64Array(this.#arcs.length).fill(Number.POSITIVE_INFINITY);
    const by = new Int32Array(this.#arcs.length).fill(-1);
    const waiting = new Uint8Array(this.#arcs.length);
    distance[source] = 0;
    const queue = [source];
    for (let head = 0; head < queue.length; head++) {
      const from = queue[head] as number;
      waiting[from] = 0;
      for (const arc of this.#arcs[from] ?? []) {
        const to = this.#to[arc] as number;
        const reached = (distance[from] as number) + (this.#cost[arc] as number);
        if (this.#room[arc] === 0 || reached >= (distance[to] as number)) continue;
        distance[to] = reached;
        by[to] = arc;
        if (waiting[to] === 0) queue.push(to);
        waiting[to] = 1;
      }
    }
    return { distance, by };
  }
}

/** Partitions with the same owners before are interchangeable; how many there are of each such set. */
export function ownerSets(
  previous: Assignment,
): Map<string, { owners: Set<NodeId>; count: number }> {
  const sets = new Map<string, { owners: Set<NodeId>; count: number }>();
  for (const row of previous) {
    const key = [...row].sort().join(" ");
    const known = sets.get(key);
    if (known === undefined) sets.set(key, { owners: new Set(row), count: 1 });
    else known.count++;
  }
  return sets;
}

/**
 * One set of interchangeable partitions flows as one, with all its bounds times their number: whatever integral flow is found
 * can be cut into one for each partition, since the matrix of a network is totally unimodular (Baum and Trotter 1978).
 *
 * @returns the network, and how often a lower bound was to be met (each time earns MUST).
 */
function build(shape: Shape, previous: Assignment, partitions: number) {
  const net = new FlowNetwork();
  const source = net.node();
  const sink = net.node();
  let musts = 0;
  const bounded = (from: number, to: number, least: number, most: number) => {
    net.bounded(from, to, least, most);
    musts += least;
  };
  const shares = exactSharesOf(shape, partitions);
  const nodes = shape.members.map((_, i) => {
    const node = net.node();
    const share = shares[i] as number;
    bounded(node, sink, Math.floor(share + 1e-6), Math.ceil(share - 1e-6));
    return node;
  });
  for (const { owners, count } of ownerSets(previous).values()) {
    const partition = net.node();
    net.arc(source, partition, shape.copies * count, 0);
    for (const region of shape.regions) {
      const regionNode = net.node();
      bounded(partition, regionNode, region.low * count, region.high * count);
      for (const z of region.zones) {
        const zone = shape.zones[z];
        if (zone === undefined) continue;
        const zoneNode = net.node();
        bounded(regionNode, zoneNode, zone.low * count, zone.high * count);
        for (const n of zone.nodes) {
          const id = shape.members[n]?.id;
          net.arc(zoneNode, nodes[n] ?? sink, count, id !== undefined && owners.has(id) ? 0 : 1);
        }
      }
    }
  }
  return { net, source, sink, musts };
}

/** Slots that must change owner, at least, to get from `previous` to any balanced assignment that obeys the policy. */
export function leastMoves(
  previous: Assignment,
  members: readonly LayoutMember[],
  policy: PlacementPolicy,
  partitions: number,
): number {
  const shape = shapeOf(members, policy);
  const { net, source, sink, musts } = build(shape, previous, partitions);
  return net.cheapest(source, sink, shape.copies * partitions) + musts * MUST;
}
