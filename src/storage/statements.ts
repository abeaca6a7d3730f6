import type { SqliteDatabase, SqliteStatement } from "../env/sqlite.ts";
import { LOCAL_BYTES } from "./row-bytes.ts";

/** Every statement of the disk, prepared once for the life of the connection. */
export interface Statements {
  readonly begin: SqliteStatement;
  readonly commit: SqliteStatement;
  readonly rollback: SqliteStatement;
  readonly checkpoint: SqliteStatement;
  readonly get: SqliteStatement;
  readonly size: SqliteStatement;
  readonly put: SqliteStatement;
  readonly delete: SqliteStatement;
  /** Forwards open, forwards bounded, backwards open, backwards bounded. */
  readonly scan: readonly SqliteStatement[];
  readonly readCounter: SqliteStatement;
  readonly writeCounter: SqliteStatement;
  readonly getMeta: SqliteStatement;
  readonly setMeta: SqliteStatement;
  readonly deleteMeta: SqliteStatement;
  readonly metaNames: SqliteStatement;
}

export function prepareStatements(database: SqliteDatabase): Statements {
  const scan = (end: string, order: string): SqliteStatement =>
    database.prepare(
      `SELECT key, partition, sequence, head FROM record
       WHERE namespace = ? AND key >= ?${end} ORDER BY key ${order} LIMIT ?`,
    );
  return {
    begin: database.prepare("BEGIN IMMEDIATE"),
    commit: database.prepare("COMMIT"),
    rollback: database.prepare("ROLLBACK"),
    checkpoint: database.prepare("PRAGMA wal_checkpoint(PASSIVE)"),
    get: database.prepare(
      "SELECT partition, sequence, head, body FROM record WHERE namespace = ? AND key = ?",
    ),
    size: database.prepare(
      `SELECT length(head) - ${LOCAL_BYTES} + length(body) AS bytes FROM record
       WHERE namespace = ? AND key = ?`,
    ),
    put: database.prepare("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?, ?, ?)"),
    delete: database.prepare("DELETE FROM record WHERE namespace = ? AND key = ?"),
    scan: [
      scan("", "ASC"),
      scan(" AND key < ?", "ASC"),
      scan("", "DESC"),
      scan(" AND key < ?", "DESC"),
    ],
    readCounter: database.prepare("SELECT rows, bytes, sequence, clean FROM counter WHERE id = 0"),
    writeCounter: database.prepare(
      "UPDATE counter SET rows = ?, bytes = ?, sequence = ?, clean = ? WHERE id = 0",
    ),
    getMeta: database.prepare("SELECT value FROM meta WHERE name = ?"),
    setMeta: database.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?)"),
    deleteMeta: database.prepare("DELETE FROM meta WHERE name = ?"),
    metaNames: database.prepare(
      "SELECT name FROM meta WHERE substr(name, 1, length(?)) = ? ORDER BY name",
    ),
  };
}
