/**
 * What may be damaged without breaking the promises' own condition (design 1: "loss or corruption of the disks of fewer than W of
 * the nodes that acknowledged"). Damage counts until it is repaired, and the last good copy of a write that was acknowledged, or
 * whose acknowledgement may be under way, is never taken, be it at a home or with a stand-in: so every fault injected must be
 * survivable, and "0 lost" is a fair claim.
 */

import { covers } from "../../src/core/context.ts";
import { decodeHead } from "../../src/core/record-codec.ts";
import type { Context, Dot } from "../../src/core/version.ts";
import type { DiskRow } from "../../src/env/disk.ts";
import { isHintShelf } from "./holdings.ts";
import type { KeyState } from "./key-state.ts";
import type { Ledger } from "./ledger.ts";
import type { SimNode } from "./sim-node.ts";
import { majority } from "./terms.ts";

export class FaultAtlas {
  readonly #ledger: Ledger;
  readonly #nodes: readonly SimNode[];
  readonly #fewestOwners: number;
  /** By `node/key`: what the copy there held, and must cover again before it is whole. */
  readonly #damage = new Map<string, readonly Dot[]>();
  /** Rows that have rotted, on whatever image of a disk they stand. */
  readonly #rottenRows = new WeakSet<DiskRow>();

  /** `fewestOwners`: of any unit. */
  constructor(ledger: Ledger, nodes: readonly SimNode[], fewestOwners: number) {
    this.#ledger = ledger;
    this.#nodes = nodes;
    this.#fewestOwners = fewestOwners;
    ledger.onCommitted.push((node, key, context) => this.#repaired(node, key, context));
  }

  /** Another home lacks what this copy has: its loss leaves as few good copies as the promises allow. */
  hurts(node: number, key: KeyState): boolean {
    return key.homes.some((home) => {
      if (home === node) return false;
      const contexts = this.#contextsAt(home, key);
      return ackedDots(key).some((dot) => !contexts.some((context) => covers(context, dot)));
    });
  }

  /** It has rows that nobody can read. */
  isRotten(node: number): boolean {
    return [...this.#ledger.rotten].some((place) => place.startsWith(`${node}/`));
  }

  mayForgetRow(node: number, key: KeyState): boolean {
    if (this.#ledger.rotten.has(`${node}/${key.name}`)) return false;
    return this.#survivable(node, key);
  }

  mayLoseDatabase(node: number): boolean {
    const storage = this.#nodes.filter((other) => other.role === "storage");
    const lost = storage.filter((other) => other.inDoubt || other.abstains || other.isSetBack);
    // All that are lost may be owners of one unit, and electors.
    const isSafe = [this.#fewestOwners, storage.length].every((all) =>
      mayLoseOneMore(all, lost.length),
    );
    if (!isSafe) return false;
    return this.keysAt(node).every((key) => this.#survivable(node, key));
  }

  forgotRow(node: number, key: KeyState): void {
    this.#ledger.rotten.add(`${node}/${key.name}`);
    const row = this.#nodes[node]?.rowOf(key);
    if (row !== undefined) this.#rottenRows.add(row);
    this.#mark(node, key);
  }

  /** REQUIRES: the disk is as it is afterwards. `keys` are those that were there before. */
  lostDatabase(node: number, keys: readonly KeyState[]): void {
    for (const key of keys) {
      const row = this.#nodes[node]?.rowOf(key);
      const place = `${node}/${key.name}`;
      // A power cut may take back the very commit that had written a rotten row anew.
      if (row !== undefined && this.#rottenRows.has(row)) this.#ledger.rotten.add(place);
      else this.#ledger.rotten.delete(place);
      this.#mark(node, key);
    }
  }

  /** Keys of which this node is a home, or holds a copy for somebody else. */
  keysAt(node: number): KeyState[] {
    const aside = this.#nodes[node]?.disk.asideRows() ?? [];
    return [...this.#ledger.keys.values()].filter(
      (key) =>
        key.homes.includes(node) || aside.some((row) => this.#ledger.keyOf(row)?.name === key.name),
    );
  }

  #mark(node: number, key: KeyState): void {
    const contexts = this.#contextsAt(node, key);
    const dots = this.#promisedDots(key).filter(
      (dot) => !contexts.some((context) => covers(context, dot)),
    );
    if (dots.length > 0) this.#damage.set(`${node}/${key.name}`, dots);
  }

  #repaired(node: number, key: KeyState, context: Context): void {
    const place = `${node}/${key.name}`;
    const dots = this.#missing(place, key);
    if (dots?.every((dot) => covers(context, dot))) this.#damage.delete(place);
  }

  /** Undefined for nothing. What was reaped since is missed by nobody. */
  #missing(place: string, key: KeyState): readonly Dot[] | undefined {
    const dots = this.#damage.get(place)?.filter((dot) => !isForgotten(key, dot));
    return dots?.length === 0 ? undefined : dots;
  }

  /** A stand-in's loss is made good when the homes no longer need it. */
  #isDamaged(node: number, key: KeyState): boolean {
    const dots = this.#missing(`${node}/${key.name}`, key);
    if (dots === undefined || key.homes.includes(node)) return dots !== undefined;
    const covering = key.homes.filter((home) => {
      const contexts = this.#contextsAt(home, key);
      return dots.every((dot) => contexts.some((context) => covers(context, dot)));
    });
    return covering.length < majority(key.homes.length);
  }

  #survivable(node: number, key: KeyState): boolean {
    const others = this.#nodes.map((one) => one.index).filter((index) => index !== node);
    const damaged = others.filter((index) => this.#isDamaged(index, key)).length;
    if (damaged + 1 > majority(key.homes.length) - 1) return false;
    const contexts = others.flatMap((index) => this.#contextsAt(index, key));
    return this.#promisedDots(key).every((dot) => contexts.some((context) => covers(context, dot)));
  }

  /**
   * A node that has committed a write may have acknowledged it already, however long the answer takes to its client: with W = 1
   * its copy is all that there is to be promised.
   */
  #promisedDots(key: KeyState): Dot[] {
    const underWay = [...key.dots.mints].filter(
      (mint) => mint.durable && this.#ledger.op(mint.op).status === "pending",
    );
    const dots = underWay.map((mint) => mint.dot).filter((dot) => !isForgotten(key, dot));
    return [...ackedDots(key), ...dots];
  }

  #contextsAt(node: number, key: KeyState): Context[] {
    const contexts: Context[] = [];
    const one = this.#nodes[node];
    const row = this.#ledger.rotten.has(`${node}/${key.name}`) ? undefined : one?.rowOf(key);
    if (row !== undefined && key.homes.includes(node)) contexts.push(decodeHead(row.head).context);
    for (const aside of one?.disk.asideRows() ?? []) {
      if (isHintShelf(aside.shelf) && this.#ledger.keyOf(aside) === key) {
        contexts.push(decodeHead(aside.head).context);
      }
    }
    return contexts;
  }
}

/** While one is in doubt, a second one could leave nobody to ask: unless most are left that were not lost. */
export function mayLoseOneMore(all: number, lost: number): boolean {
  return lost === 0 || all - lost - 1 >= majority(all);
}

function ackedDots(key: KeyState): Dot[] {
  return key.acked
    .flatMap((op) => (key.mintsOf.get(op.id) ?? []).map((mint) => mint.dot))
    .filter((dot) => !isForgotten(key, dot));
}

function isForgotten(key: KeyState, dot: Dot): boolean {
  if (key.forgotten.size === 0) return false;
  const mint = key.dots.of(dot);
  return mint !== undefined && key.forgotten.has(mint);
}
