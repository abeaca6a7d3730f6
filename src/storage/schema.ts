/** What a database file looks like and how an older one is brought up to date. docs/storage-format.md tells it in prose. */
import { type SqliteDatabase, SqliteError } from "../env/sqlite.ts";

/** `power`: a commit is on the disk when it returns. `process`: it survives kill -9, not a power cut. */
export type Durability = "power" | "process";

/** "GYRE" in ASCII: tells our files from anyone else's. */
export const APPLICATION_ID = 0x4759_5245;

/** Pages of this many bytes: a commit of one small row writes one page, and file systems move the same unit. */
const PAGE_BYTES = 4096;

/**
 * KiB of pages held by SQLite: the inner pages of a million small rows and a working set of leaves. Whole records are
 * held decoded in the cache above.
 */
const PAGE_CACHE_KIB = 32 * 1024;

/** A write-ahead log that one huge record has blown up is cut back to this when it starts anew. */
const LOG_BYTES_KEPT = 64 * 1024 * 1024;

/**
 * One step per entry; entry n takes a database from version n to n + 1. Never change a step that was released.
 * - `record`: `head` is packed (row-bytes.ts); small columns stand first, so that a scan or a digest reads no overflow page of `body`. WITHOUT ROWID: one
 *   tree, so an overwrite writes one page and a scan in key order reads neighbours. The index, which holds (place, namespace, key), is written when a row
 *   comes or goes: a row's place never changes.
 * - `aside`: rows that are kept apart from the node's own.
 * - `counter`: one row, written with each commit, so that usage and the sequence are exact after any stop without a count, and a commit
 *   that is missing shows. Its `meta` is the sum of the table `meta` (sqlite-meta.ts), null until the first commit.
 */
const MIGRATIONS: readonly string[] = [
  `CREATE TABLE record (
     namespace INTEGER NOT NULL,
     key BLOB NOT NULL,
     place INTEGER NOT NULL,
     sequence INTEGER NOT NULL,
     head BLOB NOT NULL,
     body BLOB NOT NULL,
     PRIMARY KEY (namespace, key)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX record_place ON record (place, namespace, key);
   CREATE TABLE aside (
     namespace INTEGER NOT NULL,
     key BLOB NOT NULL,
     shelf TEXT NOT NULL,
     place INTEGER NOT NULL,
     sequence INTEGER NOT NULL,
     note BLOB NOT NULL,
     head BLOB NOT NULL,
     body BLOB NOT NULL,
     PRIMARY KEY (namespace, key, shelf)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX aside_place ON aside (shelf, place, namespace, key);
   CREATE TABLE meta (name TEXT PRIMARY KEY, sum BLOB NOT NULL, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
   CREATE TABLE counter (
     id INTEGER PRIMARY KEY CHECK (id = 0),
     rows INTEGER NOT NULL,
     bytes INTEGER NOT NULL,
     sequence INTEGER NOT NULL,
     commits INTEGER NOT NULL,
     clean INTEGER NOT NULL,
     meta BLOB
   ) STRICT;
   INSERT INTO counter VALUES (0, 0, 0, 0, 0, 1, NULL);`,
];

export const SCHEMA_VERSION = MIGRATIONS.length;
const TABLES: readonly string[] = ["record", "aside", "meta", "counter"];

/** The database was written by a newer Gyre: it is whole, and this program must not touch it. */
export class NewerSchemaError extends Error {
  override readonly name = "NewerSchemaError";
}

/** SQLite before this has no STRICT tables. */
const SQLITE_VERSION_MIN = "3.37.0";
/** SQLite before this can corrupt a database when one connection resets the log while another checkpoints. */
const SQLITE_VERSION_WAL_RESET_FIXED = "3.51.3";

/** @throws SqliteError when this SQLite cannot hold our tables. */
export function assertSqliteVersion(version: string): void {
  if (compareVersions(version, SQLITE_VERSION_MIN) >= 0) return;
  throw new SqliteError(
    "other",
    `Cannot use SQLite ${version}: Gyre needs ${SQLITE_VERSION_MIN} or newer`,
  );
}

/**
 * True for 3.7.0 to 3.51.2 (and not their back-ported fixes 3.44.6 and 3.50.7). The defect needs two connections that
 * write and checkpoint one file; we open one, under an exclusive lock, so it is worth a warning and not a refusal.
 */
export function hasWalResetDefect(version: string): boolean {
  if (compareVersions(version, SQLITE_VERSION_WAL_RESET_FIXED) >= 0) return false;
  const [major, minor, patch] = version.split(".").map(Number);
  return !(
    major === 3 &&
    ((minor === 44 && (patch ?? 0) >= 6) || (minor === 50 && (patch ?? 0) >= 7))
  );
}

function compareVersions(a: string, b: string): number {
  const left = a.split(".").map(Number);
  const right = b.split(".").map(Number);
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/**
 * The settings of the connection; all but the page size are forgotten on close and so set on every open. The reasons stand
 * in docs/storage-format.md. The locking mode must stand before the first access: later, SQLite would make a shared memory
 * file, for which a full disk has no room.
 */
export function configureConnection(database: SqliteDatabase, durability: Durability): void {
  database.exec(`PRAGMA busy_timeout=0;
    PRAGMA locking_mode=EXCLUSIVE;
    PRAGMA page_size=${PAGE_BYTES};
    PRAGMA trusted_schema=OFF;
    PRAGMA cell_size_check=ON;
    PRAGMA mmap_size=0;
    PRAGMA cache_size=-${PAGE_CACHE_KIB};
    PRAGMA temp_store=MEMORY`);
  const mode = database.prepare("PRAGMA journal_mode=WAL").get();
  if (mode?.["journal_mode"] !== "wal") {
    throw new SqliteError(
      "other",
      "Cannot use a write-ahead log here: the file system does not support it",
    );
  }
  database.exec(`PRAGMA journal_size_limit=${LOG_BYTES_KEPT};
    PRAGMA wal_autocheckpoint=0;
    PRAGMA fullfsync=ON;
    PRAGMA checkpoint_fullfsync=ON;
    PRAGMA synchronous=${durability === "power" ? "FULL" : "NORMAL"}`);
}

/**
 * Brings the tables up to date, each step in its own transaction.
 * @throws NewerSchemaError, or SqliteError: "not-a-database" for another program's file, "corrupt" when `expectData` and
 * the file holds no tables of ours.
 */
export function migrate(database: SqliteDatabase, expectData: boolean): void {
  const version = pragmaNumber(database, "user_version");
  const application = pragmaNumber(database, "application_id");
  if (
    application !== APPLICATION_ID &&
    (application !== 0 || version !== 0 || countTables(database, null) > 0)
  ) {
    throw new SqliteError("not-a-database", "the file is a SQLite database of another program");
  }
  if (version > SCHEMA_VERSION) {
    throw new NewerSchemaError(
      `Cannot open a database of format ${version}: this Gyre knows formats up to ${SCHEMA_VERSION}. Start a newer Gyre.`,
    );
  }
  if (version === 0 && expectData) throw new SqliteError("corrupt", "the database is empty");
  if (version > 0) assertTables(database);
  for (let step = version; step < SCHEMA_VERSION; step++) {
    database.exec(`BEGIN IMMEDIATE;
      ${MIGRATIONS[step]};
      PRAGMA application_id=${APPLICATION_ID};
      PRAGMA user_version=${step + 1};
      COMMIT`);
  }
}

/** Every step works on the tables of the first one. @throws SqliteError "corrupt" */
function assertTables(database: SqliteDatabase): void {
  const missing = TABLES.length - countTables(database, TABLES);
  if (missing > 0) throw new SqliteError("corrupt", `${missing} of the tables are missing`);
}

function pragmaNumber(database: SqliteDatabase, name: string): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
}

function countTables(database: SqliteDatabase, names: readonly string[] | null): number {
  const filter = names === null ? "" : ` WHERE name IN ('${names.join("', '")}')`;
  const row = database.prepare(`SELECT count(*) AS tables FROM sqlite_schema${filter}`).get();
  return Number(row?.["tables"] ?? 0);
}
