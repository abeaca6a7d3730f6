/**
 * The row store under a node: SQLite in production, a crashing and rotting map in the simulator. Synchronous, one
 * writer, no reader sees an uncommitted row of another process. Rows are opaque here: checksums are made and verified
 * one floor up, in storage/store.ts.
 */

/** (actor, epoch, counter) of the newest dot that this very database minted for the key; local, never replicated. */
export interface Minted {
  /** 16 bytes, one character each. */
  readonly actor: string;
  readonly epoch: number;
  readonly counter: number;
}

export interface DiskRow {
  readonly namespace: number;
  /** UTF-8 bytes of the key; ordered bytewise. */
  readonly key: Uint8Array;
  /** Where the key stands on the ring (core/key.ts placeOf): a function of namespace and key, so it never changes. */
  readonly place: number;
  /** Per-database change number, rising with each write. */
  readonly sequence: number;
  readonly minted: Minted | null;
  /** Record without values, beginning with its version byte (docs/storage-format.md). */
  readonly head: Uint8Array;
  /** Checksum over namespace, key, place, sequence, minted and head: 8 bytes. A rotten `minted` would reuse dots. */
  readonly headSum: Uint8Array;
  /** The values of the siblings, one after another. */
  readonly body: Uint8Array;
}

/** A row without its values: what a scan returns. */
export type DiskRowHead = Omit<DiskRow, "body">;

export interface DiskScan {
  readonly namespace: number;
  /** Inclusive lower bound. */
  readonly start: Uint8Array;
  /** Exclusive upper bound, or null for none. */
  readonly end: Uint8Array | null;
  readonly reverse: boolean;
  readonly limit: number;
}

/** The row from which a scan in the order of places goes on, exclusive. */
export interface PlaceCursor {
  readonly place: number;
  readonly namespace: number;
  readonly keyBytes: Uint8Array;
}

/** Rows with from <= place < to, after the cursor, in the order (place, namespace, key). */
export interface PlaceScan {
  readonly from: number;
  readonly to: number;
  readonly after: PlaceCursor | null;
  readonly limit: number;
}

/** A row that is kept apart from the node's own: one for each (namespace, key, shelf). */
export interface AsideRow extends DiskRow {
  /** ASCII: what it is kept for. */
  readonly shelf: string;
  /** The owner's, opaque. The checksum covers shelf and note too. */
  readonly note: Uint8Array;
}

export interface AsideUsage {
  readonly rows: number;
  /** Of heads, bodies and notes. */
  readonly bytes: number;
}

/** The write failed because there is no room: the transaction can be rolled back cleanly and the node goes on. */
export class DiskFullError extends Error {
  override readonly name = "DiskFullError";
}

export interface Disk {
  /**
   * Opens the write transaction. At most one is open. `full` asks for a commit that is synced whatever the durability
   * mode: votes and promises must not be forgotten in a power cut.
   */
  begin(full?: boolean): void;
  /**
   * Makes everything since `begin` durable (fsync with `durability=power`).
   * @throws DiskFullError after which `rollback` must be called; any other error means that durability is unknown.
   */
  commit(): void;
  rollback(): void;
  /** Sees uncommitted rows of the open transaction. Undefined when absent. May throw on I/O errors or corruption. */
  get(namespace: number, key: Uint8Array): DiskRow | undefined;
  /**
   * Inserts or replaces; a row that is there stays in its place. REQUIRES an open transaction. The disk keeps the arrays: do
   * not change them afterwards. `replacedBytes` is what the row replaces, head and body together, or null for nothing, when
   * the caller knows; without it the disk looks for itself.
   */
  put(row: DiskRow, replacedBytes?: number | null): void;
  delete(namespace: number, key: Uint8Array): void;
  /** In key order (bytewise), at most `limit`. */
  scan(range: DiskScan): DiskRowHead[];
  /** Through the index on `place`. */
  scanPlaces(scan: PlaceScan): DiskRowHead[];
  /** Inserts or replaces. REQUIRES an open transaction. The disk keeps the arrays. */
  putAside(row: AsideRow): void;
  deleteAside(shelf: string, namespace: number, key: Uint8Array): void;
  /** All shelves' rows of the key, in the order of shelves. */
  asides(namespace: number, key: Uint8Array): AsideRow[];
  /** Rows of one shelf after the cursor, in the order (place, namespace, key). */
  scanAside(shelf: string, after: PlaceCursor | null, limit: number): AsideRow[];
  /** By shelf, exact, O(1) after opening; a shelf without rows is not in it. */
  asideUsage(): ReadonlyMap<string, AsideUsage>;
  /**
   * Rows of a restored backup that nobody has taken yet, at most `limit`; `shelf` is "" for what was a row of the node's own.
   * They are not among the rows, nor aside, from the first open after the restore on. [] when there are no more.
   */
  restored(limit: number): AsideRow[];
  /** REQUIRES an open transaction. */
  deleteRestored(row: Pick<AsideRow, "shelf" | "namespace" | "key">): void;
  /** Number of rows and the bytes of heads and bodies, exact, O(1) after opening; without what is kept aside. */
  usage(): { readonly rows: number; readonly bytes: number };
  /** The highest sequence ever committed, 0 for a new database. */
  lastSequence(): number;
  /** Small durable values by name: epoch lease, layout document, promises, namespace settings, boot counter. */
  getMeta(name: string): Uint8Array | undefined;
  /** REQUIRES an open transaction. */
  setMeta(name: string, value: Uint8Array): void;
  deleteMeta(name: string): void;
  /** All names beginning with the prefix, in order. */
  metaNames(prefix: string): string[];
  /** The log has grown enough that `maintain` is worth its time. */
  readonly maintenanceDue: boolean;
  /**
   * Moves the log's pages into the database: bounded, and no part of a commit, so that no answer waits for it. REQUIRES no
   * open transaction. Throws as `commit` does, but never DiskFullError.
   */
  maintain(): void;
  /** Has the next start set this database aside, unread: its structure is broken. Nothing is answered from it afterwards. */
  condemn(reason: string): void;
  /** Checkpoints and closes; after a clean close the next open finds `unclean` false. */
  close(): void;
}
