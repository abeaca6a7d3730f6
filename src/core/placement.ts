/**
 * Who owns which partition. `assign` keeps owners where policy and share allow; what must move goes, by the clockwise walk from the
 * partition's start, to the first node below its share that the policy admits, if need be through a shortest chain of swaps.
 * (Design: section 3. Bounded loads on the ring alone, Mirrokni et al. 2018, were measured to move up to 2.2 times the least possible.)
 */
import type { NodeId } from "./ids.ts";
import type { Assignment, LayoutMember, PlacementPolicy } from "./layout.ts";
import { Board, NOBODY } from "./placement-board.ts";
import { ChainFinder } from "./placement-chain.ts";
import { shapeOf } from "./placement-shape.ts";
import { sharesOf } from "./placement-shares.ts";
import { buildRing, distanceTo, firstTokenAt, partitionStart, type Ring } from "./ring.ts";

export interface AssignInput {
  /** The assignment of the document before, if there was one; owners that are no members any more may occur in it. */
  readonly previous: Assignment | null;
  readonly members: readonly LayoutMember[];
  readonly policy: PlacementPolicy;
  /** Q, a power of two. */
  readonly partitions: number;
}

/**
 * Pure and deterministic: equal input gives equal output on every runtime. Every partition gets the policy's number of distinct storage
 * members, or as many as exist; each node's load is its exact share rounded down or up.
 */
export function assign(input: AssignInput): Assignment {
  const { previous, members, policy, partitions } = input;
  const shape = shapeOf(members, policy);
  const ring = buildRing(members);
  const board = new Board(shape, partitions);
  const before = previousRows(previous, ring, partitions);
  const shares = sharesOf(shape, partitions, countLoads(before, ring.nodes.length));
  keepPrevious(board, shares, before);
  evenOut(board, shares, before);
  const walker = new Walker(ring, board, shares);
  const order = scatteredOrder(partitions);
  for (const partition of order) fillHoles(board, walker, partition);
  for (const partition of order) shedExcess(board, walker, shares, partition);
  settleRest(board, shares, before, order);
  return ownersInRingOrder(board, ring);
}

/** Previous owners as node indexes, without those that are gone. */
function previousRows(previous: Assignment | null, ring: Ring, partitions: number): number[][] {
  const index = new Map<NodeId, number>(ring.nodes.map((id, i) => [id, i]));
  const rows: number[][] = [];
  for (let p = 0; p < partitions; p++) {
    const row: number[] = [];
    for (const id of previous?.[p] ?? []) {
      const node = index.get(id);
      if (node !== undefined && !row.includes(node)) row.push(node);
    }
    rows.push(row);
  }
  return rows;
}

function countLoads(rows: readonly (readonly number[])[], nodes: number): Int32Array {
  const loads = new Int32Array(nodes);
  for (const row of rows) for (const node of row) loads[node] = (loads[node] as number) + 1;
  return loads;
}

/** Keeps all previous owners that the policy lets stay together; where it does not, those furthest above their share go. */
function keepPrevious(board: Board, shares: Int32Array, before: readonly number[][]): void {
  const loads = countLoads(before, shares.length);
  const excess = (node: number) => (loads[node] as number) - (shares[node] as number);
  for (const [partition, row] of before.entries()) {
    const byExcess = row.length > 1 ? [...row].sort((a, b) => excess(a) - excess(b) || a - b) : row;
    for (const node of byExcess) {
      if (board.fits(partition, node)) board.place(partition, node);
      else loads[node] = (loads[node] as number) - 1;
    }
  }
}

/** Of two that could not stay together, the other one stays if that brings both nearer to their shares: nothing moves by it. */
function evenOut(board: Board, shares: Int32Array, before: readonly number[][]): void {
  const excess = (node: number) => (board.loads[node] as number) - (shares[node] as number);
  for (const [partition, row] of before.entries()) {
    if (row.length === board.held[partition]) continue;
    for (const back of row) {
      if (excess(back) >= 0 || board.owns(partition, back)) continue;
      const away = row.find(
        (node) =>
          board.owns(partition, node) && excess(node) > 0 && board.canSwap(partition, node, back),
      );
      if (away !== undefined) board.swap(partition, away, back);
    }
  }
}

/**
 * The partitions in bit-reversed order (0, Q/2, Q/4, 3Q/4, ...): slots that move are then taken from all around the ring, not from one
 * arc, so a joining node receives from, and later shares partitions with, as many others as possible.
 */
function scatteredOrder(partitions: number): Uint16Array {
  const order = new Uint16Array(partitions);
  for (let size = 1; size < partitions; size *= 2) {
    const step = partitions / (2 * size);
    for (let i = 0; i < size; i++) order[size + i] = (order[i] as number) + step;
  }
  return order;
}

/** The clockwise walk over nodes below their share. Nodes only ever fill up while it is used, so full ones are skipped for good. */
class Walker {
  readonly #ring: Ring;
  readonly #board: Board;
  readonly #shares: Int32Array;
  /** Union-find over tokens: the next one, this included, whose node was below its share; the token count at the end. */
  readonly #next: Int32Array;
  readonly #seenIn: Int32Array;
  #walks = 0;

  constructor(ring: Ring, board: Board, shares: Int32Array) {
    this.#ring = ring;
    this.#board = board;
    this.#shares = shares;
    this.#next = new Int32Array(ring.tokens.length + 1);
    for (let i = 0; i < this.#next.length; i++) this.#next[i] = i;
    this.#seenIn = new Int32Array(ring.nodes.length);
  }

  /** The first node below its share, clockwise from the partition's start, that `may` admits; NOBODY if there is none. */
  first(partition: number, may: (node: number) => boolean): number {
    const total = this.#ring.tokens.length;
    const start = firstTokenAt(
      this.#ring.tokens,
      partitionStart(partition, this.#board.partitions),
    );
    this.#walks++;
    let wrapped = false;
    for (let at = this.#open(start); ; at = this.#open(at + 1)) {
      if (at === total) {
        if (wrapped) return NOBODY;
        wrapped = true;
        at = this.#open(0);
      }
      if (at === total || (wrapped && at >= start)) return NOBODY;
      const node = this.#ring.owners[at] as number;
      if (this.#seenIn[node] === this.#walks) continue;
      this.#seenIn[node] = this.#walks;
      if (may(node)) return node;
    }
  }

  #open(token: number): number {
    const { owners } = this.#ring;
    let at = token;
    for (;;) {
      const next = this.#next[at] as number;
      if (next !== at) {
        this.#next[at] = this.#next[next] as number;
        at = next;
        continue;
      }
      if (at >= owners.length || this.#isBelow(owners[at] as number)) return at;
      this.#next[at] = at + 1;
      at++;
    }
  }

  #isBelow(node: number): boolean {
    return (this.#board.loads[node] as number) < (this.#shares[node] as number);
  }
}

function fillHoles(board: Board, walker: Walker, partition: number): void {
  while (!board.isFull(partition)) {
    const node = walker.first(
      partition,
      (candidate) => !board.owns(partition, candidate) && board.fits(partition, candidate),
    );
    if (node === NOBODY) return;
    board.place(partition, node);
  }
}

/** Gives slots of owners above their share, the furthest above first, to nodes below theirs. */
function shedExcess(board: Board, walker: Walker, shares: Int32Array, partition: number): void {
  const start = partition * board.shape.copies;
  const excess = (node: number) => (board.loads[node] as number) - (shares[node] as number);
  const row = board.rows.subarray(start, start + (board.held[partition] as number));
  let above: number[] | undefined;
  for (const node of row) {
    if (excess(node) <= 0) continue;
    if (above === undefined) above = [node];
    else above.push(node);
  }
  if (above === undefined) return;
  above.sort((a, b) => excess(b) - excess(a) || a - b);
  for (const from of above) {
    const to = walker.first(partition, (candidate) => board.canSwap(partition, from, candidate));
    if (to !== NOBODY) board.swap(partition, from, to);
  }
}

/** What the walk could not place directly goes by chains. */
function settleRest(
  board: Board,
  shares: Int32Array,
  before: readonly number[][],
  order: Uint16Array,
): void {
  let chains: ChainFinder | undefined;
  for (const hole of order) {
    while (!board.isFull(hole)) {
      chains ??= new ChainFinder(board, shares, before);
      chains.settle({ hole });
    }
  }
  for (let above = 0; above < shares.length; above++) {
    while ((board.loads[above] as number) > (shares[above] as number)) {
      chains ??= new ChainFinder(board, shares, before);
      chains.settle({ above });
    }
  }
}

function ownersInRingOrder(board: Board, ring: Ring): Assignment {
  const { copies } = board.shape;
  const owners: NodeId[][] = [];
  for (let p = 0; p < board.partitions; p++) {
    const start = partitionStart(p, board.partitions);
    const row = Array.from(board.rows.subarray(p * copies, (p + 1) * copies), (node) => ({
      node,
      distance: distanceTo(ring, node, start),
    }));
    row.sort((a, b) => a.distance - b.distance || a.node - b.node);
    owners.push(row.map(({ node }) => ring.nodes[node] as NodeId));
  }
  return owners;
}
