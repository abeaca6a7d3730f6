/**
 * What replication may ask of storage. Synchronous: nothing between a read and the write that depends on it can run.
 * Implemented by store.ts (cache, group commit, checksums, epochs) over the Disk port.
 */
import type { ActorId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import type { CausalRecord } from "../core/version.ts";
import type { AsideUsage, Minted, PlaceCursor } from "../env/disk.ts";
import type { MetaStore, MetaValues } from "../env/meta-store.ts";
import type { RowDigest } from "./row-digest.ts";

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

export interface PlaceScanRequest {
  /** Places on the ring (core/key.ts placeOf): from <= place < to. */
  readonly from: number;
  readonly to: number;
  /** Exclusive; null for the beginning. */
  readonly after: PlaceCursor | null;
  readonly limit: number;
}

/** One row of a scan in the order of places. `head` is as record-codec.ts wrote it, checked but not decoded. */
export type PlacedRow = {
  readonly namespace: number;
  readonly keyBytes: Uint8Array;
  readonly place: number;
  readonly sequence: number;
} & ({ readonly state: "record"; readonly head: Uint8Array } | { readonly state: "unknown" });

export interface PlaceScanAnswer {
  readonly rows: readonly PlacedRow[];
  /** The newest among the rows: durable before any of them may leave the node. */
  readonly sequence: number;
  /** Where the next scan goes on; null after the last row. */
  readonly next: PlaceCursor | null;
}

/** What names a row; a Key is one. */
export interface RowName {
  readonly namespace: number;
  readonly bytes: Uint8Array;
}

/** A record that this node keeps apart from its own rows, such as a hint for another node. */
export interface AsideRecord {
  /** `hint/<node id>`, `restored` or `quarantine`. */
  readonly shelf: string;
  readonly key: Key;
  readonly record: CausalRecord;
  readonly minted: Minted | null;
  /** The owner's, opaque. */
  readonly note: Uint8Array;
  readonly sequence: number;
}

/** `unknown`: it is there and cannot be trusted; its name may be damaged too. */
export type AsideFound =
  | ({ readonly state: "record" } & AsideRecord)
  | {
      readonly state: "unknown";
      readonly shelf: string;
      readonly key: RowName;
      readonly sequence: number;
    };

/**
 * Told of each change of a row in the turn in which it happens, before it is durable. What a turn that is rolled back had
 * changed is told again the other way round.
 */
export interface RowWatcher {
  /** Null for no row. */
  changed(key: Key, before: RowDigest | null, after: RowDigest | null): void;
  /** The row was replaced or deleted, and what it had been could not be read. */
  lost(key: Key): void;
}

export interface RecordStore {
  /** The actor of this database's dots. A new one after any loss or unclean stop that may forget. */
  readonly actorId: ActorId;
  /** As which peers know this database: it outlives an actor that was taken only to mint, and ends where rows may be missing. */
  readonly databaseId: ActorId;
  /** Every epoch that this database has given out under its actor is below it. */
  readonly epochEnd: number;
  /** Every epoch that this start of the database gives out is this one or above. */
  readonly firstEpoch: number;
  /** This database was found to be a copy of another: from now on it mints under a new actor, in doubt. Durable when it returns. */
  renewActor(): void;
  /**
   * From now on this start mints under an actor that no other start and no copy of the database has; its rows are what they
   * were. Durable when it returns. @throws DiskFullError
   */
  takeActor(): void;
  read(key: Key): StoredRecord;
  /**
   * Puts the record into the turn's transaction and into the cache; durable when `whenDurable(sequence)` resolves.
   * `minted` is what the local column becomes; `head`, for a caller who has it, is encodeHead of the record. Returns the
   * row's new sequence.
   * @throws DiskFullError only when the transaction could not even hold it; the turn is then rolled back.
   */
  write(key: Key, record: CausalRecord, minted: Minted | null, head?: Uint8Array): number;
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
  /**
   * As whenDurable, of each of several writes. A large turn is committed in parts, of which an early one may fail and a later
   * one not: the newest sequence does not speak for the others.
   */
  whenAllDurable(sequences: readonly number[]): Promise<void>;
  scan(request: ScanRequest): { readonly rows: readonly ScannedRow[]; readonly sequence: number };
  /** Heads in the order (place, namespace, key), which is that of the ring. @throws SqliteError as `scan` */
  scanPlaces(request: PlaceScanRequest): PlaceScanAnswer;
  /** As `scan`, in key order, but heads that are checked and not decoded. */
  scanHeads(request: ScanRequest): {
    readonly rows: readonly PlacedRow[];
    readonly sequence: number;
  };
  /**
   * Looks at the row on the disk, past the cache, values included. `healed`: it was bad, and has been written anew from
   * memory.
   */
  checkRow(key: Key): "sound" | "absent" | "unknown" | "healed";
  /**
   * Deletes rows, each only if it is a readable record of the given sequence; says which. `values` are set in the same
   * commit, whatever becomes of the rows. Durable when it returns. @throws DiskFullError
   */
  remove(
    rows: readonly { readonly key: Key; readonly sequence: number }[],
    values?: MetaValues,
  ): boolean[];
  /**
   * Inserts or replaces the key's row on the shelf. Part of the turn's transaction like `write`; returns the sequence to
   * wait for. REQUIRES: values and note that own their memory. @throws DiskFullError as `write`
   */
  setAside(
    shelf: string,
    key: Key,
    record: CausalRecord,
    minted: Minted | null,
    note: Uint8Array,
  ): number;
  /** All that is kept aside for the key, on any shelf. Costs nothing while nothing at all is aside. */
  asides(key: Key): readonly AsideFound[];
  /** What is on one shelf, in the order (place, namespace, key). */
  scanAside(
    shelf: string,
    after: PlaceCursor | null,
    limit: number,
  ): { readonly rows: readonly AsideFound[]; readonly next: PlaceCursor | null };
  /** As `remove`, also of rows that cannot be read. @throws DiskFullError */
  dropAside(
    rows: readonly { readonly shelf: string; readonly key: RowName; readonly sequence: number }[],
  ): boolean[];
  /** By shelf, exact, from memory; a shelf without rows is not in it. */
  asideUsage(): ReadonlyMap<string, AsideUsage>;
  /** The newest sequence given out. */
  lastSequence(): number;
  /** 16 bytes that are equal for equal (namespace, key, head), under a secret; null unless there is a readable record. */
  digestOf(key: Key): Uint8Array | null;
  watchRows(watcher: RowWatcher): void;
  /** Told of each row that is set aside or dropped from there, before it is durable. */
  watchAsides(watcher: (name: RowName) => void): void;
  /** Rows of a restored backup still wait to be put on the shelf `restored`, where `asides` and `scanAside` find them. */
  readonly isRestoring: boolean;
  /** Puts at most `limit` of them there, in the turn's transaction. @throws DiskFullError */
  shelveRestored(limit: number): void;
  usage(): { readonly rows: number; readonly bytes: number };
  /** Small durable values; `set` and `delete` are committed (FULL) before they return. */
  readonly meta: MetaStore;
  close(): void;
}
