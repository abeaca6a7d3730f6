import {
  type AsideRow,
  type AsideUsage,
  type Disk,
  DiskFullError,
  type DiskRow,
  type DiskRowHead,
  type DiskScan,
  type PlaceCursor,
  type PlaceScan,
} from "../env/disk.ts";
import { type SqliteDatabase, type SqliteDriver, SqliteError } from "../env/sqlite.ts";
import { checkMeta, type MetaCheck } from "./meta-damage.ts";
import { holdRestoredApart, RestoredTables } from "./restored-tables.ts";
import { packHead, unpackHead } from "./row-bytes.ts";
import { assertSqliteVersion, configureConnection, type Durability, migrate } from "./schema.ts";
import { SqliteAside } from "./sqlite-aside.ts";
import { type Counters, countRecords, isSound } from "./sqlite-count.ts";
import { isMetaComplete, SqliteMeta, storedSumOfMeta } from "./sqlite-meta.ts";
import { scanKeys, scanPlaces } from "./sqlite-scan.ts";
import { prepareStatements, type Statements } from "./statements.ts";

export interface SqliteDiskOptions extends MetaCheck {
  readonly durability: Durability;
  /** The file must hold a database already: an empty one is damage, not a beginning. */
  readonly expectData?: boolean;
  /** Told after each commit, with its number. */
  readonly onCommit?: (commit: number) => void;
  /** Told when the file's structure is found broken: by a write, which throws all the same, or by `condemn`. */
  readonly onCorruption?: (reason: string) => void;
}

/**
 * Pages in the log, by estimate, after which `maintain` moves them into the database: 8 MiB. Less, and hot pages are
 * moved again and again; more, and one move takes more than some 50 ms.
 */
const CHECKPOINT_PAGES = 2000;
const PAGE_BYTES = 4096;
/** Bytes of a row's small columns and of the frame around it in a page. */
const ROW_OVERHEAD_BYTES = 64;

/**
 * Opens or creates a database file.
 * @throws SqliteError; NewerSchemaError for a file of a newer Gyre.
 */
export function openSqliteDisk(
  driver: SqliteDriver,
  path: string,
  options: SqliteDiskOptions,
): SqliteDisk {
  const database = driver.open(path);
  try {
    configureConnection(database, options.durability);
    const version = String(
      database.prepare("SELECT sqlite_version() AS version").get()?.["version"],
    );
    assertSqliteVersion(version);
    migrate(database, options.expectData ?? false);
    checkMeta(database, options);
    const isComplete = isMetaComplete(database);
    holdRestoredApart(database, options.hasher, isComplete);
    return new SqliteDisk(database, options, version, isComplete);
  } catch (error) {
    database.close();
    throw error;
  }
}

/** The Disk port over one SQLite connection that alone writes and checkpoints its file. */
export class SqliteDisk implements Disk {
  readonly sqliteVersion: string;
  /** False when the open found small values missing, or older than they were. */
  readonly isMetaComplete: boolean;
  /** The last process did not close this database: it was killed, or the power was cut. */
  readonly uncleanStop: boolean;

  readonly #database: SqliteDatabase;
  readonly #durability: Durability;
  readonly #onCommit: ((commit: number) => void) | undefined;
  readonly #onCorruption: ((reason: string) => void) | undefined;
  readonly #statements: Statements;
  readonly #aside: SqliteAside;
  readonly #meta: SqliteMeta;
  readonly #restored: RestoredTables;

  // As of the last commit.
  #committed: Counters;
  // With the open transaction.
  #rows: number;
  #bytes: number;
  #sequence: number;
  #logPages = 0;
  #openPages = 0;
  #openFull = false;
  #inTransaction = false;
  #closed = false;

  /** Takes over the connection. Use openSqliteDisk. */
  constructor(
    database: SqliteDatabase,
    options: SqliteDiskOptions,
    sqliteVersion: string,
    isComplete: boolean,
  ) {
    this.#database = database;
    this.#durability = options.durability;
    this.#onCommit = options.onCommit;
    this.#onCorruption = options.onCorruption;
    this.#statements = prepareStatements(database);
    this.#aside = new SqliteAside(this.#statements);
    this.#meta = new SqliteMeta(this.#statements, options.hasher, storedSumOfMeta(database));
    this.#restored = new RestoredTables(database);
    this.sqliteVersion = sqliteVersion;
    this.isMetaComplete = isComplete;
    const row = this.#statements.readCounter.get();
    if (row === undefined) throw new SqliteError("corrupt", "the counter row is missing");
    this.#rows = row["rows"] as number;
    this.#bytes = row["bytes"] as number;
    this.#sequence = row["sequence"] as number;
    this.uncleanStop = row["clean"] !== 1;
    this.#committed = this.#counters(row["commits"] as number, !this.uncleanStop);
  }

  #counters(commits: number, clean: boolean): Counters {
    return { rows: this.#rows, bytes: this.#bytes, sequence: this.#sequence, commits, clean };
  }

  begin(full = false): void {
    this.#openFull = full && this.#durability !== "power";
    // The pragma is ignored inside a transaction.
    if (this.#openFull) this.#database.exec("PRAGMA synchronous=FULL");
    this.#statements.begin.run();
    this.#inTransaction = true;
    this.#openPages = 0;
  }

  commit(): void {
    const counters = this.#counters(this.#committed.commits + 1, false);
    try {
      this.#writeCounter(counters);
      this.#statements.commit.run();
    } catch (error) {
      throw this.#failedWrite(error);
    }
    this.#committed = counters;
    this.#aside.committed();
    this.#meta.committed();
    this.#logPages += this.#openPages + 1;
    this.#endTransaction();
    this.#onCommit?.(counters.commits);
  }

  rollback(): void {
    try {
      this.#statements.rollback.run();
    } catch (error) {
      // SQLite rolls back by itself on some failures (https://www.sqlite.org/lang_transaction.html section 3).
      if (!(error instanceof SqliteError && error.message.includes("no transaction is active")))
        throw error;
    }
    this.#rows = this.#committed.rows;
    this.#bytes = this.#committed.bytes;
    this.#sequence = this.#committed.sequence;
    this.#aside.rolledBack();
    this.#meta.rolledBack();
    // A full disk: moving the log's pages lets it start anew in the room it has.
    this.#logPages = CHECKPOINT_PAGES;
    this.#endTransaction();
  }

  get(namespace: number, key: Uint8Array): DiskRow | undefined {
    const row = this.#statements.get.get(namespace, key);
    if (row === undefined) return undefined;
    return {
      namespace,
      key,
      place: row["place"] as number,
      sequence: row["sequence"] as number,
      ...unpackHead(row["head"] as Uint8Array),
      body: row["body"] as Uint8Array,
    };
  }

  put(row: DiskRow, replacedBytes?: number | null): void {
    const { namespace, key, head, body } = row;
    try {
      const old = replacedBytes === undefined ? this.#rowBytes(namespace, key) : replacedBytes;
      this.#statements.put.run(namespace, key, row.place, row.sequence, packHead(row), body);
      this.#account(old, head.byteLength + body.byteLength);
      if (old === null) this.#rows++;
      if (row.sequence > this.#sequence) this.#sequence = row.sequence;
    } catch (error) {
      throw this.#failedWrite(error);
    }
  }

  delete(namespace: number, key: Uint8Array): void {
    try {
      const old = this.#rowBytes(namespace, key);
      if (old === null) return;
      this.#statements.delete.run(namespace, key);
      this.#account(old, 0);
      this.#rows--;
    } catch (error) {
      throw this.#failedWrite(error);
    }
  }

  scan(range: DiskScan): DiskRowHead[] {
    return scanKeys(this.#statements, range);
  }

  scanPlaces(scan: PlaceScan): DiskRowHead[] {
    return scanPlaces(this.#statements, scan);
  }

  putAside(row: AsideRow): void {
    try {
      const bytes = this.#aside.put(row);
      this.#openPages += 2 + Math.floor((bytes + ROW_OVERHEAD_BYTES) / PAGE_BYTES);
      if (row.sequence > this.#sequence) this.#sequence = row.sequence;
    } catch (error) {
      throw this.#failedWrite(error);
    }
  }

  deleteAside(shelf: string, namespace: number, key: Uint8Array): void {
    this.#write(() => this.#aside.delete(shelf, namespace, key));
    this.#openPages += 2;
  }

  asides(namespace: number, key: Uint8Array): AsideRow[] {
    return this.#aside.ofKey(namespace, key);
  }

  scanAside(shelf: string, after: PlaceCursor | null, limit: number): AsideRow[] {
    return this.#aside.scan(shelf, after, limit);
  }

  asideUsage(): ReadonlyMap<string, AsideUsage> {
    return this.#aside.usage();
  }

  restored: Disk["restored"] = (limit) => this.#restored.next(limit);

  deleteRestored(row: Pick<AsideRow, "shelf" | "namespace" | "key">): void {
    this.#write(() => this.#restored.delete(row));
    this.#openPages++;
  }

  usage(): { readonly rows: number; readonly bytes: number } {
    return { rows: this.#rows, bytes: this.#bytes };
  }

  lastSequence(): number {
    return this.#committed.sequence;
  }

  /** The number of the newest commit, 0 for a new database. */
  get lastCommit(): number {
    return this.#committed.commits;
  }

  getMeta: Disk["getMeta"] = (name) => this.#meta.get(name);

  setMeta(name: string, value: Uint8Array): void {
    this.#write(() => this.#meta.set(name, value));
    this.#openPages += 1 + Math.ceil(value.byteLength / PAGE_BYTES);
  }

  deleteMeta(name: string): void {
    this.#write(() => this.#meta.delete(name));
    this.#openPages++;
  }

  metaNames: Disk["metaNames"] = (prefix) => this.#meta.names(prefix);

  /**
   * For a database that may have lost commits, or parts of them: true if its structure is sound, with usage and sequence
   * counted anew. Reads all of it. REQUIRES no open transaction.
   */
  verify(): boolean {
    if (!isSound(this.#database)) return false;
    const { rows, bytes, sequence } = countRecords(this.#database);
    this.#aside.count();
    this.begin(true);
    this.#rows = rows;
    this.#bytes = bytes;
    this.#sequence = Math.max(this.#sequence, sequence);
    this.commit();
    return true;
  }

  /** See SqliteDatabase.backupTo. Null while a transaction is open: ask again when it has ended. */
  backupTo(path: string): Promise<void> | null {
    return this.#inTransaction ? null : this.#database.backupTo(path);
  }

  get maintenanceDue(): boolean {
    return this.#logPages >= CHECKPOINT_PAGES;
  }

  maintain(): void {
    this.#logPages = 0;
    try {
      this.#statements.checkpoint.all();
    } catch (error) {
      // No room to let the database grow: the log keeps everything, and the next round tries again.
      if (!(error instanceof SqliteError && error.kind === "full")) throw error;
    }
  }

  condemn: Disk["condemn"] = (reason) => this.#onCorruption?.(reason);

  /**
   * A second call does nothing. In the middle of a transaction, which is undone, and on a full disk it closes without the
   * mark of a clean stop.
   */
  close(): void {
    if (this.#closed) return;
    try {
      if (this.#inTransaction) return;
      this.#statements.begin.run();
      this.#writeCounter(this.#counters(this.#committed.commits, true));
      this.#statements.commit.run();
      this.#database.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    } catch (error) {
      if (!(error instanceof SqliteError && error.kind === "full")) throw error;
    } finally {
      this.abandon();
    }
  }

  /**
   * Closes a database that is not gone on with: whoever opens it next finds the mark of the last stop as it was found. A second
   * call does nothing.
   */
  abandon(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#database.close();
  }

  /** Null when there is no such row. */
  #rowBytes(namespace: number, key: Uint8Array): number | null {
    return (this.#statements.size.get(namespace, key)?.["bytes"] as number | undefined) ?? null;
  }

  #account(old: number | null, bytes: number): void {
    this.#bytes += bytes - (old ?? 0);
    this.#openPages += 1 + Math.floor((bytes + ROW_OVERHEAD_BYTES) / PAGE_BYTES);
  }

  #writeCounter({ rows, bytes, sequence, commits, clean }: Counters): void {
    const { sum } = this.#meta;
    this.#statements.writeCounter.run(rows, bytes, sequence, commits, clean ? 1 : 0, sum);
  }

  #endTransaction(): void {
    this.#inTransaction = false;
    if (this.#openFull) this.#database.exec("PRAGMA synchronous=NORMAL");
    this.#openFull = false;
  }

  /** For what is written seldom: a closure for each row would show. */
  #write(run: () => void): void {
    try {
      run();
    } catch (error) {
      throw this.#failedWrite(error);
    }
  }

  /** What to throw for a failed write. */
  #failedWrite(error: unknown): unknown {
    if (!(error instanceof SqliteError)) return error;
    if (error.kind === "full") return new DiskFullError(error.message, { cause: error });
    if (error.kind === "corrupt" || error.kind === "not-a-database") this.condemn(error.message);
    return error;
  }
}
