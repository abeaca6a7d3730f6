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
  /** From the beginning of a range of places, and after a row. */
  readonly scanPlaces: readonly SqliteStatement[];
  readonly putAside: SqliteStatement;
  readonly sizeAside: SqliteStatement;
  readonly deleteAside: SqliteStatement;
  readonly asides: SqliteStatement;
  /** From the beginning of a shelf, and after a row. */
  readonly scanAside: readonly SqliteStatement[];
  readonly readShelves: SqliteStatement;
  readonly readCounter: SqliteStatement;
  readonly writeCounter: SqliteStatement;
  readonly getMeta: SqliteStatement;
  readonly getMetaSum: SqliteStatement;
  readonly setMeta: SqliteStatement;
  readonly deleteMeta: SqliteStatement;
  readonly metaNames: SqliteStatement;
}

const ASIDE_COLUMNS = "namespace, key, shelf, place, sequence, note, head, body";
const ASIDE_BYTES = `length(head) - ${LOCAL_BYTES} + length(body) + length(note)`;

export function prepareStatements(database: SqliteDatabase): Statements {
  const scan = (end: string, order: string): SqliteStatement =>
    database.prepare(
      `SELECT key, place, sequence, head FROM record
       WHERE namespace = ? AND key >= ?${end} ORDER BY key ${order} LIMIT ?`,
    );
  const scanPlaces = (after: string): SqliteStatement =>
    database.prepare(
      `SELECT namespace, key, place, sequence, head FROM record
       WHERE ${after} AND place < ? ORDER BY place, namespace, key LIMIT ?`,
    );
  const scanAside = (after: string): SqliteStatement =>
    database.prepare(
      `SELECT ${ASIDE_COLUMNS} FROM aside
       WHERE shelf = ?${after} ORDER BY place, namespace, key LIMIT ?`,
    );
  return {
    begin: database.prepare("BEGIN IMMEDIATE"),
    commit: database.prepare("COMMIT"),
    rollback: database.prepare("ROLLBACK"),
    checkpoint: database.prepare("PRAGMA wal_checkpoint(PASSIVE)"),
    get: database.prepare(
      "SELECT place, sequence, head, body FROM record WHERE namespace = ? AND key = ?",
    ),
    size: database.prepare(
      `SELECT length(head) - ${LOCAL_BYTES} + length(body) AS bytes FROM record
       WHERE namespace = ? AND key = ?`,
    ),
    put: database.prepare(
      `INSERT INTO record VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET sequence = excluded.sequence, head = excluded.head, body = excluded.body`,
    ),
    delete: database.prepare("DELETE FROM record WHERE namespace = ? AND key = ?"),
    scan: [
      scan("", "ASC"),
      scan(" AND key < ?", "ASC"),
      scan("", "DESC"),
      scan(" AND key < ?", "DESC"),
    ],
    scanPlaces: [scanPlaces("place >= ?"), scanPlaces("(place, namespace, key) > (?, ?, ?)")],
    putAside: database.prepare(
      `INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET
         sequence = excluded.sequence, note = excluded.note, head = excluded.head, body = excluded.body`,
    ),
    sizeAside: database.prepare(
      `SELECT ${ASIDE_BYTES} AS bytes FROM aside WHERE namespace = ? AND key = ? AND shelf = ?`,
    ),
    deleteAside: database.prepare(
      "DELETE FROM aside WHERE namespace = ? AND key = ? AND shelf = ?",
    ),
    asides: database.prepare(
      `SELECT ${ASIDE_COLUMNS} FROM aside WHERE namespace = ? AND key = ? ORDER BY shelf`,
    ),
    scanAside: [scanAside(""), scanAside(" AND (place, namespace, key) > (?, ?, ?)")],
    readShelves: database.prepare(
      `SELECT shelf, count(*) AS rows, sum(${ASIDE_BYTES}) AS bytes FROM aside GROUP BY shelf`,
    ),
    readCounter: database.prepare(
      "SELECT rows, bytes, sequence, commits, clean, meta FROM counter WHERE id = 0",
    ),
    writeCounter: database.prepare(
      "UPDATE counter SET rows = ?, bytes = ?, sequence = ?, commits = ?, clean = ?, meta = ? WHERE id = 0",
    ),
    getMeta: database.prepare("SELECT sum, value FROM meta WHERE name = ?"),
    getMetaSum: database.prepare("SELECT sum FROM meta WHERE name = ?"),
    setMeta: database.prepare("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)"),
    deleteMeta: database.prepare("DELETE FROM meta WHERE name = ?"),
    metaNames: database.prepare(
      "SELECT name FROM meta WHERE substr(name, 1, length(?)) = ? ORDER BY name",
    ),
  };
}
