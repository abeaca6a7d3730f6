/**
 * The true least number of slots that must move, found by min-cost flow, against which `assign` is judged. Slow and simple on
 * purpose, and shares nothing with `assign` but the exact shares: source -> partition -> region -> zone -> node -> sink, an arc
 * partition..node costing 1 unless the node owned the partition before; each node ends with its share rounded down or up.
 */
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
    for (let sent = 0; sent < value; sent++) {
      const { distance, by } = this.#shortest(source);
      if (distance[sink] === Number.POSITIVE_INFINITY) throw new Error("The flow does not fit");
      for (let at = sink; at !== source; ) {
        const arc = by[at] as number;
        this.#room[arc] = (this.#room[arc] as number) - 1;
        this.#room[arc ^ 1] = (this.#room[arc ^ 1] as number) + 1;
        at = this.#to[arc ^ 1] as number;
      }
      total += distance[sink] as number;
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

/** @returns the moves, and how many lower bounds there are to be met (each earns MUST). */
function build(shape: Shape, previous: Assignment, partitions: number) {
  const net = new FlowNetwork();
  const source = net.node();
  const sink = net.node();
  let musts = 0;
  const shares = exactSharesOf(shape, partitions);
  const nodes = shape.members.map((_, i) => {
    const node = net.node();
    const least = Math.floor((shares[i] as number) + 1e-6);
    const most = Math.ceil((shares[i] as number) - 1e-6);
    net.bounded(node, sink, least, most);
    musts += least;
    return node;
  });
  for (let p = 0; p < partitions; p++) {
    const partition = net.node();
    net.arc(source, partition, shape.copies, 0);
    const before = new Set(previous[p]);
    for (const region of shape.regions) {
      const regionNode = net.node();
      net.bounded(partition, regionNode, region.low, region.high);
      musts += region.low;
      for (const z of region.zones) {
        const zone = shape.zones[z];
        if (zone === undefined) continue;
        const zoneNode = net.node();
        net.bounded(regionNode, zoneNode, zone.low, zone.high);
        musts += zone.low;
        for (const n of zone.nodes) {
          const id = shape.members[n]?.id;
          net.arc(zoneNode, nodes[n] ?? sink, 1, id !== undefined && before.has(id) ? 0 : 1);
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
