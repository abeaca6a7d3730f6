import type { Hasher } from "../core/hasher.ts";
import type { Key } from "../core/key.ts";
import { decodeHead, decodeRecord, valuesIntact } from "../core/record-codec.ts";
import type { Disk, DiskRow, DiskRowHead } from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import type { Logger } from "../env/logger.ts";
import { SqliteError } from "../env/sqlite.ts";
import type { RowChecksum } from "./checksum.ts";
import type { ScannedRow, ScanRequest, StoredRecord } from "./record-store.ts";

/** Damaged keys that are told in the log; beyond, only the counter tells. */
const DAMAGE_LOGGED_MAX = 1000;

/**
 * Absence rests on no uncommitted row, since rows are never deleted in an open turn, and nobody acts on a damaged one: for
 * neither is there a commit to wait for.
 */
const ABSENT = { state: "absent", sequence: 0 } as const;
const UNKNOWN = { state: "unknown", sequence: 0 } as const;

/** A record with what the disk counts for it: its bytes of head and body. */
export type FoundRecord = Extract<StoredRecord, { state: "record" }> & {
  readonly encodedBytes: number;
};

/** Reads rows from the disk and trusts none: SQLite has no checksums in its main file (reliability.md 0, finding 3). */
export class RowReader {
  /** Rows met that could not be trusted. */
  unknownReads = 0;

  readonly #disk: Disk;
  readonly #hasher: Hasher;
  readonly #checksum: RowChecksum;
  readonly #logger: Logger;
  readonly #failStop: Env["failStop"];
  readonly #damaged = new Set<string>();

  constructor(
    options: {
      readonly disk: Disk;
      readonly hasher: Hasher;
      readonly logger: Logger;
      readonly failStop: Env["failStop"];
    },
    checksum: RowChecksum,
  ) {
    this.#disk = options.disk;
    this.#hasher = options.hasher;
    this.#checksum = checksum;
    this.#logger = options.logger;
    this.#failStop = options.failStop;
  }

  read(key: Key): FoundRecord | typeof ABSENT | typeof UNKNOWN {
    let row: DiskRow | undefined;
    try {
      row = this.#disk.get(key.namespace, key.bytes);
    } catch (error) {
      return this.#unreadable(key, error);
    }
    if (row === undefined) return ABSENT;
    if (!this.#checksum.matches(row))
      return this.#unknown(key, "the row's checksum does not match");
    try {
      const record = decodeRecord(row.head, row.body);
      if (!valuesIntact(this.#hasher, record))
        return this.#unknown(key, "a value's hash does not match");
      const encodedBytes = row.head.length + row.body.length;
      const { minted, sequence } = row;
      return { state: "record", record, minted, sequence, encodedBytes };
    } catch (error) {
      return this.#unknown(key, error instanceof Error ? error.message : String(error));
    }
  }

  /** @throws SqliteError when pages cannot be read: a list with a hole would look complete. */
  scan(request: ScanRequest): { readonly rows: readonly ScannedRow[]; readonly sequence: number } {
    let sequence = 0;
    const rows = this.#disk.scan(request).map((row) => {
      const scanned = this.#scanned(row);
      if (scanned.state === "record" && row.sequence > sequence) sequence = row.sequence;
      return scanned;
    });
    return { rows, sequence };
  }

  /** The key was written anew: should it rot again, that is news. */
  forget(id: string): void {
    if (this.#damaged.size > 0) this.#damaged.delete(id);
  }

  /** A page that cannot be read is a row that cannot be trusted; what else can fail here is a bug. */
  #unreadable(key: Key, error: unknown): typeof UNKNOWN {
    if (error instanceof SqliteError && error.kind !== "other")
      return this.#unknown(key, error.message);
    return this.#failStop("cannot read a row", error);
  }

  #unknown(key: Key, reason: string): typeof UNKNOWN {
    this.unknownReads++;
    if (!this.#damaged.has(key.id) && this.#damaged.size < DAMAGE_LOGGED_MAX) {
      this.#damaged.add(key.id);
      this.#logger.error("row-damaged", {
        namespace: key.namespace,
        keyHash:
          key.hash.hi.toString(16).padStart(8, "0") + key.hash.lo.toString(16).padStart(8, "0"),
        reason,
      });
    }
    return UNKNOWN;
  }

  #scanned(row: DiskRowHead): ScannedRow {
    if (this.#checksum.matches(row)) {
      try {
        return { state: "record", keyBytes: row.key, record: decodeHead(row.head), head: row.head };
      } catch (error) {
        this.#logger.error("row-undecodable", { namespace: row.namespace, reason: String(error) });
      }
    }
    this.unknownReads++;
    return { state: "unknown", keyBytes: row.key };
  }
}
