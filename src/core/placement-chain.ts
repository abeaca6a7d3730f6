/**
 * Chains of swaps, for the slot that no node below its share can take directly: it already owns the partition, or stands in the
 * wrong region. Then another node takes it and gives one of its own slots on, and so forth, until a node below its share is
 * reached. The search is breadth first, and counts only slots that would have stayed: the chain found moves the fewest of them.
 *
 * A chain always exists while shares and bounds agree. This is the augmenting path of matroid union (Edmonds 1968; Schrijver 2003,
 * "Combinatorial Optimization", section 42.3), the partitions being the matroids. A chain may use a partition twice: whatever
 * could be reached by the first use was reached by it, so the second could not have been cut short, and then both swaps together
 * leave valid owners (Schrijver, corollary 39.12a).
 */
import { assert } from "./assert.ts";
import { type Board, NOBODY } from "./placement-board.ts";

/** Where a search begins: a partition that lacks an owner, or a node above its share. */
export type ChainStart = { readonly hole: number } | { readonly above: number };

export class ChainFinder {
  readonly #board: Board;
  readonly #shares: Int32Array;
  /** Owners before this assignment, by partition. */
  readonly #before: readonly (readonly number[])[];
  /** Partitions that each node owned before and still owns; kept in step with the board by this class only. */
  readonly #kept: number[][];
  /** Partitions that each node has newly got: passing one on moves nothing that would not move anyway. */
  readonly #fresh: number[][];
  /** How each node was reached in the present search: from which node (NOBODY: from the hole), in which partition. */
  readonly #cameFrom: Int32Array;
  readonly #cameBy: Int32Array;

  constructor(board: Board, shares: Int32Array, before: readonly (readonly number[])[]) {
    this.#board = board;
    this.#shares = shares;
    this.#before = before;
    this.#kept = board.shape.members.map(() => []);
    this.#fresh = board.shape.members.map(() => []);
    for (let p = 0; p < board.partitions; p++) {
      for (let i = 0; i < (board.held[p] as number); i++) {
        const node = board.rows[p * board.shape.copies + i] as number;
        this.#ownedLikewise(p, node).push(p);
      }
    }
    this.#cameFrom = new Int32Array(board.shape.members.length);
    this.#cameBy = new Int32Array(board.shape.members.length);
  }

  /** Gives the hole an owner, or takes one slot from the node above its share, by a cheapest chain. */
  settle(start: ChainStart): void {
    const end = this.#search(start);
    assert(end !== NOBODY, "placement found no chain of swaps: shares and bounds disagree");
    let node = end;
    const source = "above" in start ? start.above : NOBODY;
    while (node !== source) {
      const from = this.#cameFrom[node] as number;
      this.#move(this.#cameBy[node] as number, from, node);
      node = from;
    }
  }

  #ownedLikewise(partition: number, node: number): number[] {
    const before = this.#before[partition] as readonly number[];
    return (before.includes(node) ? this.#kept : this.#fresh)[node] as number[];
  }

  #move(partition: number, from: number, to: number): void {
    if (from !== NOBODY) {
      this.#board.remove(partition, from);
      const owned = this.#ownedLikewise(partition, from);
      owned[owned.indexOf(partition)] = owned.at(-1) as number;
      owned.pop();
    }
    this.#board.place(partition, to);
    this.#ownedLikewise(partition, to).push(partition);
  }

  /** Returns the node below its share that was reached with the fewest kept slots moved; NOBODY if there is none. */
  #search(start: ChainStart): number {
    const unmet: number[] = [];
    const source = "above" in start ? start.above : NOBODY;
    for (let node = 0; node < this.#shares.length; node++) {
      if (node !== source && this.#board.shape.zoneOf[node] !== NOBODY) unmet.push(node);
    }
    let end = NOBODY;
    let reached: number[] = [];
    if ("above" in start) reached.push(start.above);
    else end = this.#meet(unmet, reached, NOBODY, start.hole);
    while (end === NOBODY && reached.length > 0) {
      // All that is reached for nothing more first, then what costs one kept slot.
      end = this.#expand(unmet, reached, this.#fresh, reached);
      const dearer: number[] = [];
      if (end === NOBODY) end = this.#expand(unmet, reached, this.#kept, dearer);
      reached = dearer;
    }
    return end;
  }

  #expand(unmet: number[], reached: number[], owned: number[][], next: number[]): number {
    for (let head = 0; head < reached.length; head++) {
      const from = reached[head] as number;
      for (const partition of owned[from] as number[]) {
        if (unmet.length === 0) return NOBODY;
        const end = this.#meet(unmet, next, from, partition);
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
