/**
 * Chains of swaps, for the slot that no node below its share can take directly: it already owns the partition, or stands in the
 * wrong region. Then another node takes it and gives one of its own slots on, and so forth, until a node below its share is
 * reached. The search is breadth first, so the chain is the shortest: each step is a slot that moves.
 *
 * A chain always exists while shares and bounds agree. This is the augmenting path of matroid union (Edmonds 1968; Schrijver 2003,
 * "Combinatorial Optimization", section 42.3), the partitions being the matroids; a shortest path may use a partition twice and still
 * leaves every partition's owners valid.
 */
import { type Board, NOBODY } from "./placement-board.ts";

/** Where a search begins: a partition that lacks an owner, or a node above its share. */
export type ChainStart = { readonly hole: number } | { readonly above: number };

export class ChainFinder {
  readonly #board: Board;
  readonly #shares: Int32Array;
  /** Partitions owned, by node; kept in step with the board by this class only. */
  readonly #owned: number[][];
  /** How each node was reached in the present search: from which node (NOBODY: from the hole), in which partition. */
  readonly #cameFrom: Int32Array;
  readonly #cameBy: Int32Array;

  constructor(board: Board, shares: Int32Array) {
    this.#board = board;
    this.#shares = shares;
    this.#owned = board.shape.members.map(() => []);
    for (let p = 0; p < board.partitions; p++) {
      for (let i = 0; i < (board.held[p] as number); i++) {
        this.#owned[board.rows[p * board.shape.copies + i] as number]?.push(p);
      }
    }
    this.#cameFrom = new Int32Array(board.shape.members.length);
    this.#cameBy = new Int32Array(board.shape.members.length);
  }

  /** Gives the hole an owner, or takes one slot from the node above its share, by a shortest chain. */
  settle(start: ChainStart): void {
    const end = this.#search(start);
    if (end === NOBODY)
      throw new Error("Placement found no chain of swaps: shares and bounds disagree, a bug");
    let node = end;
    const source = "above" in start ? start.above : NOBODY;
    while (node !== source) {
      const from = this.#cameFrom[node] as number;
      this.#move(this.#cameBy[node] as number, from, node);
      node = from;
    }
  }

  #move(partition: number, from: number, to: number): void {
    if (from !== NOBODY) {
      this.#board.remove(partition, from);
      const owned = this.#owned[from] as number[];
      owned[owned.indexOf(partition)] = owned.at(-1) as number;
      owned.pop();
    }
    this.#board.place(partition, to);
    this.#owned[to]?.push(partition);
  }

  #search(start: ChainStart): number {
    const unmet: number[] = [];
    const count = this.#board.shape.members.length;
    const source = "above" in start ? start.above : NOBODY;
    for (let node = 0; node < count; node++) {
      if (node !== source && this.#board.shape.zoneOf[node] !== NOBODY) unmet.push(node);
    }
    const queue: number[] = [];
    if ("above" in start) queue.push(start.above);
    else {
      const end = this.#meet(unmet, queue, NOBODY, start.hole);
      if (end !== NOBODY) return end;
    }
    for (let head = 0; head < queue.length; head++) {
      const from = queue[head] as number;
      for (const partition of this.#owned[from] as number[]) {
        if (unmet.length === 0) return NOBODY;
        const end = this.#meet(unmet, queue, from, partition);
        if (end !== NOBODY) return end;
      }
    }
    return NOBODY;
  }

  /** Puts all nodes that may take the slot in the queue; returns the first of them that is below its share. */
  #meet(unmet: number[], queue: number[], from: number, partition: number): number {
    const board = this.#board;
    let kept = 0;
    let end = NOBODY;
    for (const node of unmet) {
      const may =
        from === NOBODY
          ? !board.owns(partition, node) && board.fits(partition, node)
          : board.canSwap(partition, from, node);
      if (!may) {
        unmet[kept++] = node;
        continue;
      }
      this.#cameFrom[node] = from;
      this.#cameBy[node] = partition;
      queue.push(node);
      if ((board.loads[node] as number) < (this.#shares[node] as number)) {
        end = node;
        break;
      }
    }
    unmet.length = end === NOBODY ? kept : 0;
    return end;
  }
}
