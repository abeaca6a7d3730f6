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
  readonly partition: number;
  /** Per-database change number, rising with each write. */
  readonly sequence: number;
  readonly minted: Minted | null;
  /** Record without values, beginning with its version byte (docs/storage-format.md). */
  readonly head: Uint8Array;
  /** Checksum over namespace, key, partition, sequence, minted and head: 8 bytes. A rotten `minted` would reuse dots. */
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
   * Inserts or replaces. REQUIRES an open transaction. The disk keeps the arrays: do not change them afterwards.
   * `replacedBytes` is what the row replaces, head and body together, for a caller who has it in memory; without it the
   * disk looks for itself.
   */
  put(row: DiskRow, replacedBytes?: number): void;
  delete(namespace: number, key: Uint8Array): void;
  /** In key order (bytewise), at most `limit`. */
  scan(range: DiskScan): DiskRowHead[];
  /** Number of rows and the bytes of heads and bodies, exact, O(1) after opening. */
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
  /** Checkpoints and closes; after a clean close the next open finds `unclean` false. */
  close(): void;
}
