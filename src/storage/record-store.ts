/**
 * What replication may ask of storage. Synchronous: nothing between a read and the write that depends on it can run.
 * Implemented by store.ts (cache, group commit, checksums, epochs) over the Disk port.
 */
import type { ActorId, PartitionId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import type { CausalRecord } from "../core/version.ts";
import type { Minted } from "../env/disk.ts";
import type { MetaStore } from "../env/meta-store.ts";

/** `unknown`: a row is there but cannot be trusted (checksum, I/O); it never counts to R and is repaired from peers. */
export type StoredRecord =
  | {
      readonly state: "record";
      readonly record: CausalRecord;
      readonly minted: Minted | null;
      readonly sequence: number;
    }
  | { readonly state: "absent" | "unknown"; readonly sequence: number };

export interface ScanRequest {
  readonly namespace: number;
  readonly start: Uint8Array;
  /** Exclusive; null for the end of the namespace. */
  readonly end: Uint8Array | null;
  readonly reverse: boolean;
  readonly limit: number;
}

/** A row's record without values (each sibling's `value` is null); `unknown` rows are reported, never skipped. */
export type ScannedRow =
  | {
      readonly state: "record";
      readonly keyBytes: Uint8Array;
      readonly record: CausalRecord;
      readonly head: Uint8Array;
    }
  | { readonly state: "unknown"; readonly keyBytes: Uint8Array };

export interface RecordStore {
  /** The actor of this database's dots. A new one after any loss or unclean stop that may forget. */
  readonly actorId: ActorId;
  read(key: Key): StoredRecord;
  /**
   * Puts the record into the turn's transaction and into the cache; durable when `whenDurable(sequence)` resolves.
   * `minted` is what the local column becomes. Returns the row's new sequence.
   * @throws DiskFullError only when the transaction could not even hold it; the turn is then rolled back.
   */
  write(key: Key, partition: PartitionId, record: CausalRecord, minted: Minted | null): number;
  /**
   * Deletes a row that cannot be read and that no other owner holds either: from then on it is absent. Durable when it
   * returns. REQUIRES: `read` says unknown. @throws DiskFullError
   */
  discard(key: Key): void;
  /** The next epoch of this actor, never given out before by this database; durable with the turn. */
  takeEpoch(): number;
  /** True when rows up to `sequence` are committed. */
  isDurable(sequence: number): boolean;
  /**
   * Resolves when all rows up to `sequence` are durable. Rejects with DiskFullError when their turn was rolled back:
   * nothing was stored and nothing had left the node. Never rejects otherwise: other failures end the process.
   */
  whenDurable(sequence: number): Promise<void>;
  scan(request: ScanRequest): { readonly rows: readonly ScannedRow[]; readonly sequence: number };
  usage(): { readonly rows: number; readonly bytes: number };
  /** Small durable values; `set` and `delete` are committed (FULL) before they return. */
  readonly meta: MetaStore;
  close(): void;
}
