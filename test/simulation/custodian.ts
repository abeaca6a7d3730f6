/** Writes down who has committed what, and has every ack and every hint that goes judged by it (checkers/custody.ts). */
import { equalDots } from "../../src/core/context.ts";
import type { PeerRequest, PeerResponse } from "../../src/env/transport.ts";
import { decodeHintNote } from "../../src/replication/hint-note.ts";
import {
  acksIn,
  judgeCountedAcks,
  judgeDroppedHint,
  judgeLeavingAcks,
  type LeavingAck,
} from "./checkers/custody.ts";
import type { Mint } from "./checkers/dot-reuse.ts";
import type { Report } from "./checkers/report.ts";
import type { Op } from "./history.ts";
import { isHintShelf, OWN_ROWS } from "./holdings.ts";
import type { KeyState } from "./key-state.ts";
import type { Ledger } from "./ledger.ts";
import { generationMeta, type SimNode } from "./sim-node.ts";

const MESSAGES = /\/messages$/;

/** A database of this node had forgotten something, or was another one from then on. */
interface Change {
  readonly atMs: number;
  /** The generation until then. */
  readonly before: number;
}

interface Ack extends LeavingAck {
  readonly home: number;
  readonly to: number;
}

export class Custodian {
  readonly #ledger: Ledger;
  readonly #nodes: readonly SimNode[];
  readonly #report: Report;
  readonly #nowMs: () => number;
  readonly #generations = new Map<number, number>();
  /** By node, oldest first. */
  readonly #changes = new Map<number, Change[]>();
  /** Of nodes whose generation has changed, from then on: until then they can have named but the one. */
  readonly #acks: Ack[] = [];

  constructor(
    ledger: Ledger,
    nodes: readonly SimNode[],
    { report, nowMs }: { readonly report: Report; readonly nowMs: () => number },
  ) {
    this.#ledger = ledger;
    this.#nodes = nodes;
    this.#report = report;
    this.#nowMs = nowMs;
    ledger.startOf = (node) => nodes[node]?.incarnation ?? 0;
    ledger.onCommitted.push((node, key, context, shelf, note) => {
      const needed = isHintShelf(shelf) ? decodeHintNote(note).needed : 0;
      const generations = this.#generationsAt(node, key);
      key.holdings.push({ node, shelf, context, generations, needed });
    });
    ledger.onHintDropped = (node, row) => judgeDroppedHint(ledger, report, node, row);
    ledger.onNoted = (node, name) => this.#noted(node, name);
  }

  /** An answer of `home` to `to`. */
  leaves(home: number, to: number, request: PeerRequest, response: PeerResponse): void {
    if (response.status !== 200 || !MESSAGES.test(request.path)) return;
    // What is in no open transaction was committed, or was never written: then the final state shows that nobody has it.
    const isOpen = this.#ledger.hasUncommitted(home, "row");
    const hasChanged = this.#changes.has(home);
    if (!isOpen && !hasChanged) return;
    const acks = acksIn(this.#ledger, request.body, response.body);
    if (isOpen) judgeLeavingAcks(this.#report, home, acks);
    if (!hasChanged) return;
    for (const ack of acks) if (ack.shelf === OWN_ROWS) this.#acks.push({ ...ack, home, to });
  }

  acknowledged(
    op: Op,
    key: KeyState,
    answer: { readonly acks: number; readonly fallbacks: number },
  ): void {
    judgeCountedAcks(this.#report, op, key, answer, (home, mint) =>
      this.#namedBy(home, mint, op, key),
    );
  }

  /** Infinite where nothing is known of it. */
  #namedBy(home: number, { dot, node: coordinator }: Mint, op: Op, key: KeyState): number {
    const changes = this.#changes.get(home);
    // Of several attempts nobody knows which one the home has answered, nor when a coordinator began to count itself.
    if (changes === undefined || op.repeats > 0 || home === coordinator) {
      return Number.POSITIVE_INFINITY;
    }
    const at = key.homes.indexOf(home);
    const named = this.#acks
      .filter((ack) => ack.home === home && ack.to === coordinator && ack.key === key)
      .filter(({ dots }) => dots.some((other) => equalDots(other, dot)))
      .map(({ generations }) => generations[at] ?? 0);
    if (named.length > 0) return Math.max(...named);
    // It has answered before the first change that there was since.
    return changes.find(({ atMs }) => atMs >= op.startMs)?.before ?? Number.POSITIVE_INFINITY;
  }

  #noted(node: number, name: string): void {
    const one = this.#nodes[node];
    if (one === undefined || name !== generationMeta(one)) return;
    const before = this.#generations.get(node);
    this.#generations.set(node, Math.max(before ?? 0, one.generationOf(one)));
    if (before === undefined) return;
    const changes = this.#changes.get(node) ?? [];
    changes.push({ atMs: this.#nowMs(), before });
    this.#changes.set(node, changes);
  }

  #generationsAt(node: number, key: KeyState): number[] {
    return key.homes.map((home) => {
      const of = this.#nodes[home];
      return of === undefined ? 0 : (this.#nodes[node]?.generationOf(of) ?? 0);
    });
  }
}
