/** What this node keeps for absent homes: it takes new hints up to a budget, and never drops one that it has taken. */
import type { HybridClock } from "../core/clock.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { HINT_BYTES_MAX, HINT_DISK_PERCENT } from "../core/limits.ts";
import { mintedAfterReplication } from "../core/mint.ts";
import { mergeRecords, newestStamp } from "../core/record.ts";
import type { CausalRecord } from "../core/version.ts";
import type { RecordStore } from "../storage/record-store.ts";
import type { Counters } from "./counters.ts";
import { decodeHintNote } from "./hint-note.ts";
import { type HintUsage, hintFor, hintTargets, hintUsage, writeHint } from "./hint-rows.ts";

/** Bytes of hints that a node keeps on a disk of so many bytes; 0 for one that does not tell. */
export function hintBudget(diskBytes: number): number {
  if (diskBytes <= 0) return HINT_BYTES_MAX;
  return Math.min(HINT_BYTES_MAX, Math.floor((diskBytes * HINT_DISK_PERCENT) / 100));
}

export class Hints {
  readonly #store: RecordStore;
  readonly #clock: HybridClock;
  readonly #counters: Counters;
  /** Bytes of hints from which on new ones are refused. */
  readonly bytesMax: number;
  /** How long a hint waits for its target before that is left to anti-entropy. */
  readonly ageMs: number;

  constructor(parts: {
    readonly store: RecordStore;
    readonly clock: HybridClock;
    readonly counters: Counters;
    readonly bytesMax: number;
    readonly ageMs: number;
  }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#counters = parts.counters;
    this.bytesMax = parts.bytesMax;
    this.ageMs = parts.ageMs;
  }

  /**
   * Merges a record into what is kept for `target`. Returns the sequence that must be durable before it is acknowledged, or
   * null when the budget is used up: then nothing was stored. One synchronous step. @throws DiskFullError
   */
  keep(key: Key, target: NodeId, incoming: CausalRecord, needed: number): number | null {
    const before = hintFor(this.#store.asides(key), target);
    this.#clock.observe(newestStamp(incoming));
    const record = before === null ? incoming : mergeRecords(before.record, incoming);
    if (before !== null && record === before.record) {
      if (decodeHintNote(before.note).needed >= needed) return before.sequence;
    } else if (this.isFull) {
      this.#counters.hintsRefused++;
      return null;
    }
    const minted =
      before === null
        ? null
        : mintedAfterReplication({
            actorId: this.#store.actorId,
            minted: before.minted,
            incomingContext: incoming.context,
          });
    this.#counters.hintsStored++;
    const nowMs = Math.floor(this.#clock.nowForExpiryMs());
    return writeHint(this.#store, { key, target, record, minted, needed, before, nowMs });
  }

  /** For whom writes of the key are kept here. */
  targets(key: Key): NodeId[] {
    return hintTargets(this.#store.asides(key));
  }

  get isFull(): boolean {
    return this.usage().bytes >= this.bytesMax;
  }

  /** Exact, also after a restart. */
  usage(): HintUsage {
    return hintUsage(this.#store);
  }
}
