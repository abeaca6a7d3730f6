/**
 * The rows of a restored backup, held apart in tables of their own. A restore marks the database (RESTORED_META); the next open
 * renames the tables and makes empty ones, in one transaction whatever their size, so that a node with a million restored
 * rows starts at once and none of them can be read as the node's own. Replication then takes row after row from here.
 */
import { bytesToHex } from "../core/bytes.ts";
import type { Hasher } from "../core/hasher.ts";
import type { AsideRow } from "../env/disk.ts";
import type { SqliteDatabase, SqliteStatement, SqlRow } from "../env/sqlite.ts";
import { RESTORED_META } from "./meta-names.ts";
import { unpackHead } from "./row-bytes.ts";
import { metaSum } from "./sqlite-meta.ts";

/** What the mark says: a backup was restored and nothing was done yet; its rows are held apart. */
export const RESTORED_MARK = 1;
const APART_MARK = 2;

const TABLES = ["record", "aside"] as const;
const NO_NOTE = new Uint8Array(0);

/**
 * Holds rows apart if the database was just restored; drops the tables when all rows have been taken, which only a complete
 * `meta` can say.
 */
export function holdRestoredApart(
  database: SqliteDatabase,
  hasher: Hasher,
  isMetaComplete: boolean,
): void {
  const mark = markOf(database);
  const areApart = hasRestoredTables(database);
  if (mark === RESTORED_MARK) {
    // The sum of the small values is taken anew: after lost commits they may be of two times, which the new actor answers for.
    const apart = new Uint8Array([APART_MARK]);
    const sum = metaSum(hasher, RESTORED_META, apart);
    database.exec(`BEGIN IMMEDIATE;
      ${TABLES.map((table) => (areApart ? addTo(table) : rename(database, table))).join(";\n")};
      UPDATE counter SET rows = 0, bytes = 0, meta = NULL WHERE id = 0;
      UPDATE meta SET sum = x'${bytesToHex(sum)}', value = x'${bytesToHex(apart)}' WHERE name = '${RESTORED_META}';
      COMMIT`);
  } else if (mark === null && areApart && isMetaComplete) {
    database.exec(TABLES.map((table) => `DROP TABLE restored_${table}`).join(";\n"));
  }
}

function markOf(database: SqliteDatabase): number | null {
  const row = database.prepare("SELECT value FROM meta WHERE name = ?").get(RESTORED_META);
  return (row?.["value"] as Uint8Array | undefined)?.[0] ?? null;
}

/** The new table is made by the words that made the old one. Its index goes with the old one, which needs none. */
function rename(database: SqliteDatabase, table: string): string {
  const [create, index] = [table, `${table}_place`].map((name) => {
    const row = database.prepare("SELECT sql FROM sqlite_schema WHERE name = ?").get(name);
    return String(row?.["sql"]);
  });
  return `DROP INDEX ${table}_place; ALTER TABLE ${table} RENAME TO restored_${table}; ${create}; ${index}`;
}

/** A backup of a node that had not looked at all of an earlier backup: the newer row speaks for both. */
function addTo(table: string): string {
  return `INSERT OR REPLACE INTO restored_${table} SELECT * FROM ${table}; DELETE FROM ${table}`;
}

/** Whether there are rows that are held apart, or what a crash has left of their tables. */
export function hasRestoredTables(database: SqliteDatabase): boolean {
  return hasTable(database, "restored_record");
}

function hasTable(database: SqliteDatabase, name: string): boolean {
  return database.prepare("SELECT 1 FROM sqlite_schema WHERE name = ?").get(name) !== undefined;
}

/** What is still to be taken. */
export class RestoredTables {
  readonly #statements: {
    readonly records: SqliteStatement;
    readonly asides: SqliteStatement;
    readonly deleteRecord: SqliteStatement;
    readonly deleteAside: SqliteStatement;
  } | null;

  constructor(database: SqliteDatabase) {
    this.#statements = hasTable(database, "restored_record")
      ? {
          records: database.prepare("SELECT * FROM restored_record LIMIT ?"),
          asides: database.prepare("SELECT * FROM restored_aside LIMIT ?"),
          deleteRecord: database.prepare(
            "DELETE FROM restored_record WHERE namespace = ? AND key = ?",
          ),
          deleteAside: database.prepare(
            "DELETE FROM restored_aside WHERE namespace = ? AND key = ? AND shelf = ?",
          ),
        }
      : null;
  }

  /** As Disk.restored. */
  next(limit: number): AsideRow[] {
    if (this.#statements === null) return [];
    const records = this.#statements.records.all(limit);
    return (records.length > 0 ? records : this.#statements.asides.all(limit)).map(rowOf);
  }

  /** As Disk.deleteRestored. */
  delete({ shelf, namespace, key }: Pick<AsideRow, "shelf" | "namespace" | "key">): void {
    if (shelf === "") this.#statements?.deleteRecord.run(namespace, key);
    else this.#statements?.deleteAside.run(namespace, key, shelf);
  }
}

function rowOf(row: SqlRow): AsideRow {
  return {
    shelf: (row["shelf"] as string | undefined) ?? "",
    namespace: row["namespace"] as number,
    key: row["key"] as Uint8Array,
    place: row["place"] as number,
    sequence: row["sequence"] as number,
    note: (row["note"] as Uint8Array | undefined) ?? NO_NOTE,
    ...unpackHead(row["head"] as Uint8Array),
    body: row["body"] as Uint8Array,
  };
}
