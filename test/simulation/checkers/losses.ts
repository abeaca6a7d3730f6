/**
 * Record, absent, unknown (design 7): a home that has lost what a majority had acknowledged does not count to any quorum until
 * it has it again. A read that counted it could be stale, but only if it met nobody who still holds the write: each home is
 * asked itself, for as long as it lacks something.
 */
import { covers } from "../../../src/core/context.ts";
import type { Hasher } from "../../../src/core/hasher.ts";
import { parseNamespaceId } from "../../../src/core/ids.ts";
import { type Key, makeKey } from "../../../src/core/key.ts";
import { decodeHead } from "../../../src/core/record-codec.ts";
import type { Context, Dot } from "../../../src/core/version.ts";
import type { ReadAnswer } from "../../../src/replication/data-messages.ts";
import type { KeyState } from "../key-state.ts";
import type { Ledger } from "../ledger.ts";
import type { SimNode } from "../sim-node.ts";
import type { Report } from "./report.ts";

/** Undefined from a node that does not run. */
type OwnAnswer = (node: number, key: Key) => ReadAnswer | Promise<ReadAnswer> | undefined;

interface Loss {
  readonly node: number;
  readonly key: KeyState;
  /** Of writes that a majority of the homes had acknowledged, by number of the write. */
  readonly dots: ReadonlyMap<number, Dot>;
}

export class Losses {
  readonly #ledger: Ledger;
  readonly #nodes: readonly SimNode[];
  readonly #hasher: Hasher;
  readonly #ownAnswer: OwnAnswer;
  readonly #report: Report;
  /** By `node/key`. */
  readonly #losses = new Map<string, Loss>();

  constructor(parts: {
    readonly ledger: Ledger;
    readonly nodes: readonly SimNode[];
    readonly hasher: Hasher;
    readonly ownAnswer: OwnAnswer;
    readonly report: Report;
  }) {
    this.#ledger = parts.ledger;
    this.#nodes = parts.nodes;
    this.#hasher = parts.hasher;
    this.#ownAnswer = parts.ownAnswer;
    this.#report = parts.report;
  }

  /** Called before the home's copies of these keys are damaged. */
  lose(node: number, keys: readonly KeyState[]): void {
    for (const key of keys) {
      if (!key.homes.includes(node)) continue;
      const place = `${node}/${key.name}`;
      const dots = new Map(this.#losses.get(place)?.dots);
      const row = this.#nodes[node]?.rowOf(key);
      if (row !== undefined && !this.#ledger.rotten.has(place)) {
        strongDots(key, decodeHead(row.head).context, dots);
      }
      if (dots.size > 0) this.#losses.set(place, { node, key, dots });
    }
  }

  /** Called at any moment between two turns of the nodes. */
  judge(): void {
    for (const [place, { node, key, dots }] of this.#losses) {
      const context = this.#counted(node, key);
      if (context === null) continue;
      this.#losses.delete(place);
      if (key.weakHomes.has(node)) continue;
      for (const [op, dot] of dots) {
        if (covers(context, dot) || this.#ledger.mayBeReaped(key, op)) continue;
        this.#report(
          "doubt",
          `node ${node} has lost op ${op} of ${key.name}, which a majority had acknowledged, and counts without it`,
        );
      }
    }
  }

  /** What the home's own answer covers; null when it does not count, or cannot be given now. */
  #counted(index: number, key: KeyState): Context | null {
    // A row that is unreadable says so itself once the disk is read; asked, it would be mended sooner.
    if (this.#ledger.rotten.has(`${index}/${key.name}`)) return null;
    const coreKey = makeKey(this.#hasher, parseNamespaceId(key.namespace), key.name);
    const answer = this.#ownAnswer(index, coreKey);
    if (answer === undefined) return null;
    if (answer instanceof Promise) {
      // It waits for a commit, which may never come.
      answer.catch(() => undefined);
      return null;
    }
    return answer.counts ? (answer.record?.context ?? []) : null;
  }
}

/** A write that was executed twice may have been acknowledged by its other dot. */
function strongDots(key: KeyState, context: Context, dots: Map<number, Dot>): void {
  for (const { id } of key.strong) {
    const [mint, ...others] = key.mintsOf.get(id) ?? [];
    if (mint === undefined || others.length > 0 || !covers(context, mint.dot)) continue;
    dots.set(id, mint.dot);
  }
}
