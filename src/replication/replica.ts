/**
 * This node's own share of the data. Every method is one synchronous step: nothing can run between the read of a record
 * and the write that depends on it. Nothing here may leave the node before the returned sequence is durable.
 */
import type { HybridClock } from "../core/clock.ts";
import type { Hasher } from "../core/hasher.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { RECORD_BYTES_MAX, SIBLINGS_MAX } from "../core/limits.ts";
import { decideDot, mintedAfterReplication } from "../core/mint.ts";
import {
  EMPTY_RECORD,
  mergeRecords,
  newestStamp,
  putSibling,
  recordBytes,
} from "../core/record.ts";
import { encodeHead } from "../core/record-codec.ts";
import type { SessionDemand } from "../core/session.ts";
import type { CausalRecord, Context, Dot, Sibling, Stamp } from "../core/version.ts";
import type { RecordStore, StoredRecord } from "../storage/record-store.ts";
import { asidesWithHints, hintFor, withHints, writeHint } from "./hint-rows.ts";

/** A put that has reached its coordinator. */
export interface CoordinatedPut {
  readonly key: Key;
  readonly deleted: boolean;
  readonly value: Uint8Array;
  readonly contentType: string;
  readonly metadata: string;
  readonly expiresAtMs: number;
  readonly context: { readonly entries: Context; readonly newestStamp: Stamp } | null;
  readonly session: SessionDemand | null;
  readonly writeQuorum: number;
  readonly sloppy: boolean;
  readonly idempotencyKey: string;
  readonly bodyDigest: string;
}

export type CoordinatedOutcome =
  | {
      readonly status: "written";
      readonly record: CausalRecord;
      /** The record's, encoded once for the disk and all homes. */
      readonly head: Uint8Array;
      /** What the put left: for one that is repeated under its Idempotency-Key the first one's. */
      readonly sibling: Sibling;
      readonly sequence: number;
    }
  | { readonly status: "too-many-siblings"; readonly siblings: number }
  | { readonly status: "idempotency-mismatch" };

const NO_CONTEXT: Context = [];

export class Replica {
  readonly #store: RecordStore;
  readonly #clock: HybridClock;
  readonly #hasher: Hasher;
  readonly #beforeMint: () => void;
  readonly #beforeOverwrite: (key: Key) => void;

  constructor(parts: {
    readonly store: RecordStore;
    readonly clock: HybridClock;
    readonly hasher: Hasher;
    /** Called before a dot is minted, under the actor that the store has then (copy-check.ts). @throws DiskFullError */
    readonly beforeMint: () => void;
    /** Called before an unreadable row is written anew: from then on it must not be trusted (doubt.ts). */
    readonly beforeOverwrite: (key: Key) => void;
  }) {
    this.#store = parts.store;
    this.#clock = parts.clock;
    this.#hasher = parts.hasher;
    this.#beforeMint = parts.beforeMint;
    this.#beforeOverwrite = parts.beforeOverwrite;
  }

  read(key: Key): StoredRecord {
    return this.#store.read(key);
  }

  /**
   * Mints a dot, merges the new sibling with what is held, writes. (Riak's "coordinated put".) `standsFor`: this node is no
   * home of the key, and keeps the record for that one, in a row that has its own `minted`: each row counts in epochs that
   * were taken for it alone, so that one which outlives another cannot go on where that had been.
   */
  coordinate(put: CoordinatedPut, standsFor: NodeId | null = null): CoordinatedOutcome {
    // This commits, once in a start. So before anything is read that a commit which fails may take back.
    this.#beforeMint();
    const stored = this.#store.read(put.key);
    let local = stored.state === "record" ? stored.record : null;
    let { sequence } = stored;
    // This commits. So before hints are read, which a commit that fails may take back, and before an epoch is taken, whose
    // lease it would take back.
    if (standsFor === null && stored.state === "unknown") this.#beforeOverwrite(put.key);
    const asides = asidesWithHints(this.#store, put.key);
    if (asides.length > 0) ({ record: local, sequence } = withHints(local, sequence, asides));
    if (put.idempotencyKey !== "" && local !== null) {
      const first = local.siblings.find((sibling) => sibling.idempotencyKey === put.idempotencyKey);
      if (first !== undefined) return this.#answerAgain(put, local, first, sequence, standsFor);
    }
    const hint = standsFor === null ? null : hintFor(asides, standsFor);
    const replaced = standsFor === null ? stored : hint;
    const dot = decideDot({
      actorId: this.#store.actorId,
      firstEpoch: this.#store.firstEpoch,
      minted: replaced !== null && "minted" in replaced ? replaced.minted : null,
      localContext: local?.context ?? NO_CONTEXT,
      incomingContext: put.context?.entries ?? NO_CONTEXT,
      takeEpoch: () => this.#store.takeEpoch(),
    });
    const stamp = this.#clock.stampAfter(
      put.context?.newestStamp ?? 0,
      put.session?.newestStamp ?? 0,
      local === null ? 0 : newestStamp(local),
    );
    const sibling = this.#siblingOf(put, dot, stamp);
    const record = putSibling(local, put.context?.entries ?? null, sibling);
    if (record.siblings.length > 1) {
      const tooMany =
        record.siblings.length > SIBLINGS_MAX || recordBytes(record) > RECORD_BYTES_MAX;
      if (tooMany) return { status: "too-many-siblings", siblings: record.siblings.length };
    }
    const minted = { actor: dot.actor, epoch: dot.epoch, counter: dot.counter };
    const head = encodeHead(record);
    if (standsFor === null) sequence = this.#store.write(put.key, record, minted, head);
    else {
      sequence = writeHint(this.#store, {
        key: put.key,
        target: standsFor,
        record,
        minted,
        needed: put.writeQuorum,
        before: hint,
        nowMs: Math.floor(this.#clock.nowForExpiryMs()),
      });
    }
    return { status: "written", record, head, sibling, sequence };
  }

  /**
   * Merges a record from a peer: a fan-out, a read repair. Commutative and idempotent, never refuses. Returns the
   * sequence that must be durable before the merge is acknowledged.
   * REQUIRES: the values of `incoming` are not views of a larger buffer, since they are kept. `incomingHead`, for a caller
   * who has it, is what encodeHead makes of it.
   */
  merge(
    key: Key,
    incoming: CausalRecord,
    incomingHead?: Uint8Array,
  ): { readonly sequence: number; readonly changed: boolean } {
    const stored = this.#store.read(key);
    this.#clock.observe(newestStamp(incoming));
    const local = stored.state === "record" ? stored.record : EMPTY_RECORD;
    const merged = mergeRecords(local, incoming);
    if (merged === local && stored.state === "record")
      return { sequence: stored.sequence, changed: false };
    const minted =
      stored.state === "record"
        ? mintedAfterReplication({
            actorId: this.#store.actorId,
            minted: stored.minted,
            incomingContext: incoming.context,
          })
        : null;
    if (stored.state === "unknown") this.#beforeOverwrite(key);
    const head = merged === incoming ? incomingHead : undefined;
    return { sequence: this.#store.write(key, merged, minted, head), changed: true };
  }

  #siblingOf(put: CoordinatedPut, dot: Dot, stamp: Stamp): Sibling {
    return {
      dot,
      stamp,
      deleted: put.deleted,
      value: put.value,
      valueBytes: put.value.length,
      valueHash: this.#hasher.hash64(put.value),
      contentType: put.contentType,
      metadata: put.metadata,
      expiresAtMs: put.expiresAtMs,
      writeQuorum: put.writeQuorum,
      sloppy: put.sloppy,
      idempotencyKey: put.idempotencyKey,
      bodyDigest: put.bodyDigest,
    };
  }

  /**
   * A repeat of a put that this record already holds: nothing new is minted; the record is sent round once more. It is kept
   * once more as well: what holds it may be a hint for another home, or one that may go when fewer have it than this asks for.
   */
  #answerAgain(
    put: CoordinatedPut,
    record: CausalRecord,
    first: Sibling,
    sequence: number,
    standsFor: NodeId | null,
  ): CoordinatedOutcome {
    if (first.bodyDigest !== put.bodyDigest) return { status: "idempotency-mismatch" };
    const kept =
      standsFor === null
        ? this.merge(put.key, record).sequence
        : this.#keepAgain(put, record, standsFor);
    const head = encodeHead(record);
    return { status: "written", record, head, sibling: first, sequence: Math.max(sequence, kept) };
  }

  #keepAgain(put: CoordinatedPut, record: CausalRecord, target: NodeId): number {
    const { key, writeQuorum: needed } = put;
    const before = hintFor(this.#store.asides(key), target);
    const minted = mintedAfterReplication({
      actorId: this.#store.actorId,
      minted: before?.minted ?? null,
      incomingContext: record.context,
    });
    const nowMs = Math.floor(this.#clock.nowForExpiryMs());
    return writeHint(this.#store, { key, target, record, minted, needed, before, nowMs });
  }
}
