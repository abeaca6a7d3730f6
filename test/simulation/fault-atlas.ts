/**
 * What may be damaged without breaking the promises' own condition (design 1: "loss or corruption of the disks of fewer than W of
 * the nodes that acknowledged"). Damage counts until it is repaired, and the last good copy of an acknowledged write is never
 * taken: so every fault injected must be survivable, and "0 lost" is a fair claim.
 */

import { covers } from "../../src/core/context.ts";
import { decodeHead } from "../../src/core/record-codec.ts";
import type { Context, Dot } from "../../src/core/version.ts";
import type { KeyState, Ledger } from "./ledger.ts";
import type { SimNode } from "./sim-node.ts";
import { majority } from "./terms.ts";

export class FaultAtlas {
  readonly #ledger: Ledger;
  readonly #nodes: readonly SimNode[];
  /** By `node/key`: what the copy there held, and must cover again before it is whole. */
  readonly #damage = new Map<string, readonly Dot[]>();

  constructor(ledger: Ledger, nodes: readonly SimNode[]) {
    this.#ledger = ledger;
    this.#nodes = nodes;
    ledger.onCommitted = (node, key, context) => this.#repaired(node, key, context);
  }

  /** Another home lacks what this copy has: its loss leaves as few good copies as the promises allow. */
  hurts(node: number, key: KeyState): boolean {
    return key.homes.some((home) => {
      if (home === node) return false;
      const contexts = this.#contextAt(home, key);
      return key.acked.some((op) =>
        (key.mintsOf.get(op.id) ?? []).some(
          (mint) => !contexts.some((context) => covers(context, mint.dot)),
        ),
      );
    });
  }

  mayForgetRow(node: number, key: KeyState): boolean {
    if (this.#ledger.rotten.has(`${node}/${key.name}`)) return false;
    return this.#survivable(node, key);
  }

  mayLoseDatabase(node: number): boolean {
    // While one is in doubt, a second one could leave nobody to ask; so could two of three electors.
    if (this.#nodes.some((other) => other.inDoubt || other.abstains)) return false;
    return this.keysAt(node).every((key) => this.#survivable(node, key));
  }

  forgotRow(node: number, key: KeyState): void {
    this.#ledger.rotten.add(`${node}/${key.name}`);
    this.#mark(node, key);
  }

  lostDatabase(node: number): void {
    for (const key of this.keysAt(node)) {
      this.#ledger.rotten.delete(`${node}/${key.name}`);
      this.#mark(node, key);
    }
  }

  #mark(node: number, key: KeyState): void {
    const dots: Dot[] = [];
    for (const op of key.acked)
      for (const mint of key.mintsOf.get(op.id) ?? []) dots.push(mint.dot);
    this.#damage.set(`${node}/${key.name}`, dots);
  }

  #repaired(node: number, key: KeyState, context: Context): void {
    const place = `${node}/${key.name}`;
    const dots = this.#damage.get(place);
    if (dots?.every((dot) => covers(context, dot))) this.#damage.delete(place);
  }

  keysAt(node: number): KeyState[] {
    return [...this.#ledger.keys.values()].filter((key) => key.homes.includes(node));
  }

  #survivable(node: number, key: KeyState): boolean {
    const others = key.homes.filter((home) => home !== node);
    const damaged = others.filter((home) => this.#damage.has(`${home}/${key.name}`)).length;
    if (damaged + 1 > majority(key.homes.length) - 1) return false;
    const contexts = others.flatMap((home) => this.#contextAt(home, key));
    return key.acked.every((op) =>
      (key.mintsOf.get(op.id) ?? []).every((mint) =>
        contexts.some((context) => covers(context, mint.dot)),
      ),
    );
  }

  #contextAt(node: number, key: KeyState): Context[] {
    if (this.#ledger.rotten.has(`${node}/${key.name}`)) return [];
    const row = this.#nodes[node]?.rowOf(key.name);
    return row === undefined ? [] : [decodeHead(row.head).context];
  }
}
