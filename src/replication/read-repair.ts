/** Read repair: whoever was seen to be behind is sent the merged record. In the background, but for sessions (reader.ts). */

import { PeerError } from "../cluster/peer-channel.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { READ_REPAIRS_MAX, REQUEST_TIMEOUT_DEFAULT_MS } from "../core/limits.ts";
import { equalRecords, mergeRecords } from "../core/record.ts";
import type { CausalRecord } from "../core/version.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Replication } from "./context.ts";
import { encodeWrite, type ReadAnswer } from "./data-messages.ts";
import { fetchWhole } from "./fetch-whole.ts";
import { mergeAnswers } from "./read-round.ts";
import type { Route } from "./route.ts";

export class ReadRepair {
  readonly #r: Replication;
  readonly #running = new Set<Promise<void>>();

  constructor(r: Replication) {
    this.#r = r;
  }

  /**
   * Runs `repair` after `settled`, unless too many wait already: the next read of the key will try again. Resolves, and
   * never rejects, when it has ended.
   */
  after(settled: Promise<void>, repair: () => Promise<void>): Promise<void> {
    if (this.#running.size >= READ_REPAIRS_MAX) {
      this.#r.counters.readRepairsDropped++;
      return Promise.resolve();
    }
    const running: Promise<void> = settled
      .then(repair)
      .catch((error: unknown) => {
        this.#r.env.logger.warn("read-repair-failed", { error: String(error) });
      })
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
    return running;
  }

  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** `beganMs`: when the read began (monotonic). What it heard may not be repeated for longer than D after that. */
  async run(
    key: Key,
    route: Route,
    answers: ReadonlyMap<NodeId, ReadAnswer>,
    beganMs: number,
  ): Promise<void> {
    const merged = mergeAnswers(answers);
    if (merged === null) return;
    const behind: NodeId[] = [];
    for (const [node, answer] of answers) {
      // A stand-in brings its hint to the homes; it is not brought up to date itself.
      if (!route.homes.includes(node)) continue;
      if (
        answer.record !== merged &&
        (answer.record === null || !equalRecords(answer.record, merged))
      ) {
        behind.push(node);
      }
    }
    if (behind.length === 0) return;
    const whole = await this.#wholeOf(key, route, merged, answers);
    if (whole === null) return;
    // A process that was stopped wakes with old answers in its hands, and their key may be reaped by now.
    if (this.#r.env.clock.monotonicMs() - beganMs > this.#r.lifeMs) {
      this.#r.counters.readRepairsDropped++;
      return;
    }
    this.#r.counters.readRepairs += behind.length;
    await Promise.all(behind.map((node) => this.#send(key, route, node, whole)));
  }

  /** The merged record with every value, or null when a holder no longer answers. */
  async #wholeOf(
    key: Key,
    route: Route,
    merged: CausalRecord,
    answers: ReadonlyMap<NodeId, ReadAnswer>,
  ): Promise<CausalRecord | null> {
    let whole = merged;
    const deadlineMs = this.#r.env.clock.monotonicMs() + REQUEST_TIMEOUT_DEFAULT_MS;
    for (const [node, answer] of answers) {
      if (!lacksValues(whole)) return whole;
      if (answer.record === null || !lacksValues(answer.record)) continue;
      const fetched = await fetchWhole(this.#r, route, key, node, deadlineMs);
      if (fetched !== null) whole = mergeRecords(whole, fetched);
    }
    return lacksValues(whole) ? null : whole;
  }

  async #send(key: Key, route: Route, node: NodeId, record: CausalRecord): Promise<void> {
    try {
      if (node === this.#r.self) {
        await this.#r.store.whenDurable(this.#r.replica.merge(key, record).sequence);
        return;
      }
      await this.#r.channel.send(node, "write", encodeWrite(route.layout.version, key, record), {
        timeoutMs: REQUEST_TIMEOUT_DEFAULT_MS,
        lane: "batch",
      });
    } catch (error) {
      // A node that cannot be repaired now stays behind and is found again by a later read. That this one's own disk is full
      // has been said by the store (chaos: 36 warnings of repairs in six seconds, and nothing that anybody could do).
      if (!(error instanceof PeerError || error instanceof DiskFullError)) throw error;
    }
  }
}

function lacksValues(record: CausalRecord): boolean {
  return record.siblings.some((sibling) => sibling.value === null);
}
