/**
 * One dot, one value, over the whole run (research/reliability.md 2.2): the one assertion that finds the bug thousands of
 * steps before the loss can be seen. Looks at every row that any node writes. A dot that is not committed yet belongs to its
 * node alone: it may be minted again after a crash if, and only if, nobody has seen it.
 */
import { covers } from "../../../src/core/context.ts";
import type { Context, Dot, Sibling } from "../../../src/core/version.ts";
import type { DiskRow } from "../../../src/env/disk.ts";
import type { Report } from "./report.ts";

export interface Mint {
  readonly dot: Dot;
  readonly dotText: string;
  /** The write that brought it, an index into the history. */
  readonly op: number;
  readonly node: number;
  /** Of its node. */
  readonly start: number;
  /** Of the record that it was minted with. */
  readonly context: Context;
  /** All fields of the sibling but its dot and its value's bytes. */
  readonly identity: string;
  durable: boolean;
  /** The ids of all writes that it replaces where it was minted: a repeat elsewhere may replace others. */
  past: ReadonlySet<number>;
}

function dotTextOf(dot: Dot): string {
  return `${dot.actor}/${dot.epoch}/${dot.counter}`;
}

function columnOf(dot: Dot): string {
  return `${dot.actor}/${dot.epoch}`;
}

function identityOf(sibling: Sibling): string {
  const { stamp, deleted, valueHash, contentType, metadata, expiresAtMs } = sibling;
  return `${stamp} ${deleted} ${valueHash.hi}.${valueHash.lo} ${contentType} ${metadata} ${expiresAtMs} ${sibling.writeQuorum} ${sibling.sloppy}`;
}

/** A node, and how often it has started. */
interface Minter {
  readonly node: number;
  readonly start: number;
}

/** The dots of one key. */
export class DotBook {
  readonly #key: string;
  readonly #report: Report;
  readonly #mints = new Map<string, Mint>();
  /** The highest counter that a committed context shows, by actor and epoch. */
  readonly #shown = new Map<string, number>();
  /** By actor and epoch, the start of its node that first committed a dot of it. */
  readonly #startOf = new Map<string, number>();
  /** The highest counter that a committed dot has. */
  readonly #minted = new Map<string, number>();

  constructor(key: string, report: Report) {
    this.#key = key;
    this.#report = report;
  }

  /** In the order of minting. */
  get mints(): IterableIterator<Mint> {
    return this.#mints.values();
  }

  of(dot: Dot): Mint | undefined {
    return this.#mints.get(dotTextOf(dot));
  }

  /** A node writes a row with this sibling and this context. Returns the mint if it is a new one. */
  wrote(at: Minter, row: DiskRow, sibling: Sibling, op: number, context: Context): Mint | null {
    const { node } = at;
    const known = this.of(sibling.dot);
    if (known === undefined) return this.#mint(at, row, sibling, op, context);
    if (known.identity !== identityOf(sibling)) {
      this.#report(
        "dot-reuse",
        `one dot, two values: ${this.#key} ${known.dotText} is of op ${known.op} and of op ${op}, written at node ${node}`,
      );
    }
    if (!known.durable && known.node !== node) this.#left(known, node);
    return null;
  }

  committed(mint: Mint): void {
    mint.durable = true;
    const column = columnOf(mint.dot);
    this.#judgeStart(mint, column);
    this.#minted.set(column, Math.max(this.#minted.get(column) ?? 0, mint.dot.counter));
  }

  forget(mint: Mint): void {
    this.#mints.delete(mint.dotText);
  }

  /** A committed row has this context. */
  show(context: Context): void {
    for (const entry of context) {
      const column = columnOf(entry);
      if ((this.#shown.get(column) ?? 0) < entry.counter) this.#shown.set(column, entry.counter);
    }
  }

  /** An answer shows this context to a client, or a token came back. */
  checkDurable(context: Context, who: string): void {
    for (const entry of context) {
      if ((this.#minted.get(columnOf(entry)) ?? 0) >= entry.counter) continue;
      this.#report(
        "durable-before-seen",
        `${who} shows ${this.#key} ${dotTextOf(entry)}, which is not committed`,
      );
    }
  }

  covered(context: Context): Mint[] {
    return [...this.#mints.values()].filter((mint) => covers(context, mint.dot));
  }

  #mint(at: Minter, row: DiskRow, sibling: Sibling, op: number, context: Context): Mint {
    const { node, start } = at;
    const { dot } = sibling;
    const { minted } = row;
    const mine =
      minted !== null &&
      minted.actor === dot.actor &&
      minted.epoch === dot.epoch &&
      minted.counter === dot.counter;
    const mint: Mint = {
      dot,
      dotText: dotTextOf(dot),
      op,
      node,
      start,
      context,
      identity: identityOf(sibling),
      durable: false,
      past: new Set(),
    };
    this.#mints.set(mint.dotText, mint);
    if (!mine) this.#left(mint, node);
    if ((this.#shown.get(columnOf(dot)) ?? 0) >= dot.counter) {
      this.#report(
        "dot-reuse",
        `${this.#key} ${mint.dotText} of op ${op} was minted at node ${node} after a context had covered it`,
      );
    }
    return mint;
  }

  /**
   * A machine that was set back has always started since, and nothing else need show it (decision 18): so no start goes on with
   * an epoch of another one.
   */
  #judgeStart({ start, node, dotText, op }: Mint, column: string): void {
    const first = this.#startOf.get(column) ?? start;
    this.#startOf.set(column, first);
    if (first === start) return;
    this.#report(
      "dot-reuse",
      `start ${start} of node ${node} minted ${this.#key} ${dotText} for op ${op}, in an epoch of its start ${first}`,
    );
  }

  #left(mint: Mint, at: number): void {
    this.#report(
      "durable-before-seen",
      `${this.#key} ${mint.dotText} of op ${mint.op} reached node ${at} without having been committed where it was minted`,
    );
  }
}
