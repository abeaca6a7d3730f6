/**
 * Homes that count without a write which they had acknowledged, where nobody could tell: a power cut took back what was not
 * synced, or a machine was set back unheard (set-backs.ts). Until such a home has it again, what asks a majority of the key's
 * homes promises nothing: strict reads, lists, conditions. Then it does as ever.
 */
import { covers } from "../../src/core/context.ts";
import { decodeHead } from "../../src/core/record-codec.ts";
import type { Context } from "../../src/core/version.ts";
import type { Mint } from "./checkers/dot-reuse.ts";
import { heldAt, OWN_ROWS } from "./holdings.ts";
import type { KeyState } from "./key-state.ts";
import type { Ledger } from "./ledger.ts";
import type { SimNode } from "./sim-node.ts";

export class WeakHomes {
  readonly #ledger: Ledger;
  readonly #nodes: readonly SimNode[];
  readonly #nowMs: () => number;

  constructor(ledger: Ledger, nodes: readonly SimNode[], nowMs: () => number) {
    this.#ledger = ledger;
    this.#nodes = nodes;
    this.#nowMs = nowMs;
    ledger.onCommitted.push((node, key, context, shelf) => {
      if (shelf === OWN_ROWS && key.weakHomes.has(node)) this.#owe(node, key, context);
    });
  }

  /** From now on the home counts with the row that it has. True when that lacks something of the key. */
  weaken(node: number, key: KeyState): boolean {
    if (!key.homes.includes(node)) return false;
    // One that nobody can read has to be fetched first, and its commit is looked at.
    const isRotten = this.#ledger.rotten.has(`${node}/${key.name}`);
    const row = isRotten ? undefined : this.#nodes[node]?.rowOf(key);
    this.#owe(node, key, row === undefined ? [] : decodeHead(row.head).context);
    return key.weakHomes.has(node);
  }

  /** `context`: of the home's row. */
  #owe(node: number, key: KeyState, context: Context): void {
    const held = heldAt(key, node);
    const isOwed = (mint: Mint): boolean =>
      mint.durable &&
      held.some((holding) => covers(holding.context, mint.dot)) &&
      !this.#isSettled(key, mint, context);
    if ([...key.dots.mints].some(isOwed)) key.weakHomes.add(node);
    else if (key.weakHomes.delete(node)) key.weakUntilMs = this.#nowMs();
  }

  /** The home has it, by any of its dots, or no majority has acknowledged it or will. */
  #isSettled(key: KeyState, mint: Mint, context: Context): boolean {
    const op = this.#ledger.op(mint.op);
    if (op.status !== "pending" && !key.strong.includes(op)) return true;
    if (key.forgotten.has(mint)) return true;
    return (key.mintsOf.get(op.id) ?? []).some(({ dot }) => covers(context, dot));
  }
}
