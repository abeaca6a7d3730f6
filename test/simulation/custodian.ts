/** Writes down who has committed what, and has every ack and every hint that goes judged by it (checkers/custody.ts). */
import { covers } from "../../src/core/context.ts";
import { decodeHead } from "../../src/core/record-codec.ts";
import type { Context } from "../../src/core/version.ts";
import type { PeerRequest, PeerResponse } from "../../src/env/transport.ts";
import { judgeCountedAcks, judgeDroppedHint, judgeLeavingAcks } from "./checkers/custody.ts";
import type { Report } from "./checkers/report.ts";
import type { Op } from "./history.ts";
import { OWN_ROWS } from "./holdings.ts";
import type { KeyState } from "./key-state.ts";
import type { Ledger } from "./ledger.ts";
import { generationMeta, type SimNode } from "./sim-node.ts";

const MESSAGES = /\/messages$/;

export class Custodian {
  readonly #ledger: Ledger;
  readonly #nodes: readonly SimNode[];
  readonly #report: Report;

  constructor(ledger: Ledger, nodes: readonly SimNode[], report: Report) {
    this.#ledger = ledger;
    this.#nodes = nodes;
    this.#report = report;
    ledger.startOf = (node) => nodes[node]?.incarnation ?? 0;
    ledger.onCommitted.push((node, key, context, shelf) => {
      key.holdings.push({ node, shelf, context, generations: this.#generationsAt(node, key) });
    });
    ledger.onHintDropped = (node, row) => judgeDroppedHint(ledger, report, node, row);
    ledger.onNoted = (node, name) => this.#noted(node, name);
  }

  leaves(node: number, request: PeerRequest, response: PeerResponse): void {
    if (response.status !== 200 || !MESSAGES.test(request.path)) return;
    judgeLeavingAcks(this.#ledger, this.#report, node, request.body, response.body);
  }

  acknowledged(
    op: Op,
    key: KeyState,
    answer: { readonly acks: number; readonly fallbacks: number },
  ): void {
    judgeCountedAcks(this.#report, op, key, answer, (home, dot) => {
      const context = this.#contextAt(home, key);
      return context !== null && covers(context, dot);
    });
  }

  /** Its acks name a newer generation from now on, also those of rows that it has had all along. */
  #noted(node: number, name: string): void {
    const one = this.#nodes[node];
    if (one === undefined || name !== generationMeta(one)) return;
    for (const key of this.#ledger.keys.values()) {
      const context = key.homes.includes(node) ? this.#contextAt(node, key) : null;
      if (context === null) continue;
      const generations = this.#generationsAt(node, key);
      key.holdings.push({ node, shelf: OWN_ROWS, context, generations });
    }
  }

  #contextAt(node: number, key: KeyState): Context | null {
    if (this.#ledger.rotten.has(`${node}/${key.name}`)) return null;
    const row = this.#nodes[node]?.rowOf(key);
    return row === undefined ? null : decodeHead(row.head).context;
  }

  #generationsAt(node: number, key: KeyState): number[] {
    return key.homes.map((home) => {
      const of = this.#nodes[home];
      return of === undefined ? 0 : (this.#nodes[node]?.generationOf(of) ?? 0);
    });
  }
}
