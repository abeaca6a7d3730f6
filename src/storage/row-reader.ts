import type { Hasher } from "../core/hasher.ts";
import type { Key } from "../core/key.ts";
import { decodeHead, decodeRecord, valuesIntact } from "../core/record-codec.ts";
import type { Disk, DiskRow, DiskRowHead } from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import type { Logger } from "../env/logger.ts";
import { SqliteError } from "../env/sqlite.ts";
import type { BrokenPages } from "./broken-pages.ts";
import type { RowChecksum } from "./checksum.ts";
import type {
  PlacedRow,
  PlaceScanAnswer,
  PlaceScanRequest,
  ScannedRow,
  ScanRequest,
  StoredRecord,
} from "./record-store.ts";
import type { RowDigest } from "./row-digest.ts";

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
  /** Made when it is first asked for. */
  digest: RowDigest | null;
};

/** A row that is about to be replaced. */
export interface ReplacedRow {
  readonly head: Uint8Array;
  readonly encodedBytes: number;
}

/** Reads rows from the disk and trusts none: SQLite has no checksums in its main file (reliability.md 0, finding 3). */
export class RowReader {
  /** Rows met that could not be trusted. */
  unknownReads = 0;

  readonly #disk: Disk;
  readonly #hasher: Hasher;
  readonly #checksum: RowChecksum;
  readonly #logger: Logger;
  readonly #failStop: Env["failStop"];
  readonly #pages: BrokenPages;
  readonly #damaged = new Set<string>();

  constructor(
    options: {
      readonly disk: Disk;
      readonly hasher: Hasher;
      readonly logger: Logger;
      readonly failStop: Env["failStop"];
    },
    checksum: RowChecksum,
    pages: BrokenPages,
  ) {
    this.#disk = options.disk;
    this.#hasher = options.hasher;
    this.#checksum = checksum;
    this.#logger = options.logger;
    this.#failStop = options.failStop;
    this.#pages = pages;
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
      return { state: "record", record, minted, sequence, encodedBytes, digest: null };
    } catch (error) {
      return this.#unknown(key, error instanceof Error ? error.message : String(error));
    }
  }

  /** @throws SqliteError when pages cannot be read: a list with a hole would look complete. */
  scan(request: ScanRequest): { readonly rows: readonly ScannedRow[]; readonly sequence: number } {
    let sequence = 0;
    const rows = this.#scanned(request).map((row) => {
      const scanned = this.#trusted(row);
      if (scanned.state === "record" && row.sequence > sequence) sequence = row.sequence;
      return scanned;
    });
    return { rows, sequence };
  }

  /** The row as far as its checksum holds, without a word in log or counters. */
  head(key: Key): ReplacedRow | null | "unknown" {
    try {
      const row = this.#disk.get(key.namespace, key.bytes);
      if (row === undefined) return null;
      if (!this.#checksum.matches(row)) return "unknown";
      return { head: row.head, encodedBytes: row.head.length + row.body.length };
    } catch (error) {
      if (error instanceof SqliteError && error.kind !== "other") return "unknown";
      return this.#failStop("cannot read a row", error);
    }
  }

  /** @throws SqliteError when pages cannot be read. */
  scanPlaces(request: PlaceScanRequest): PlaceScanAnswer {
    const { rows, sequence } = this.#placed(this.#pages.met(() => this.#disk.scanPlaces(request)));
    const last = rows.at(-1);
    const next =
      last === undefined || rows.length < request.limit
        ? null
        : { place: last.place, namespace: last.namespace, keyBytes: last.keyBytes };
    return { rows, sequence, next };
  }

  /** @throws SqliteError when pages cannot be read. */
  scanHeads(request: ScanRequest): Pick<PlaceScanAnswer, "rows" | "sequence"> {
    return this.#placed(this.#scanned(request));
  }

  #placed(found: readonly DiskRowHead[]): Pick<PlaceScanAnswer, "rows" | "sequence"> {
    let newest = 0;
    const rows = found.map((row): PlacedRow => {
      const { namespace, key: keyBytes, place, sequence, head } = row;
      const name = { namespace, keyBytes, place, sequence };
      if (!this.#checksum.matches(row)) return { ...name, state: "unknown" };
      if (sequence > newest) newest = sequence;
      return { ...name, state: "record", head };
    });
    return { rows, sequence: newest };
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

  #scanned(request: ScanRequest): DiskRowHead[] {
    return this.#pages.met(() => this.#disk.scan(request));
  }

  #trusted(row: DiskRowHead): ScannedRow {
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
