import { SqliteError } from "../../src/env/sqlite.ts";

type Kind = SqliteError["kind"];

/** Primary result codes of SQLite, https://www.sqlite.org/rescode.html */
const KIND_OF_RESULT: ReadonlyMap<number, Kind> = new Map([
  [5, "busy"],
  [6, "busy"],
  [10, "io"],
  [11, "corrupt"],
  [13, "full"],
  [26, "not-a-database"],
]);

const KIND_OF_NAME: ReadonlyMap<string, Kind> = new Map([
  ["SQLITE_BUSY", "busy"],
  ["SQLITE_LOCKED", "busy"],
  ["SQLITE_IOERR", "io"],
  ["SQLITE_CORRUPT", "corrupt"],
  ["SQLITE_FULL", "full"],
  ["SQLITE_NOTADB", "not-a-database"],
]);

/** A page that should be there is not: the file was cut off. The disk itself has not failed. */
const SHORT_READ = 522;

/** The texts of sqlite3_errstr: all that Deno's node:sqlite gives. */
const KIND_OF_TEXT: readonly (readonly [string, Kind])[] = [
  ["database is locked", "busy"],
  ["database table is locked", "busy"],
  ["disk I/O error", "io"],
  ["database disk image is malformed", "corrupt"],
  ["malformed database schema", "corrupt"],
  ["database or disk is full", "full"],
  ["file is not a database", "not-a-database"],
];

/**
 * One vocabulary for four drivers: better-sqlite3 and bun:sqlite name the extended code (`SQLITE_IOERR_FSYNC`), Node's
 * node:sqlite numbers it, Deno's has only the text.
 */
export function toSqliteError(error: unknown): SqliteError {
  if (error instanceof SqliteError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new SqliteError(kindOf(error, message), message, { cause: error });
}

function kindOf(error: unknown, message: string): Kind {
  const { code, errcode } = error as { readonly code?: unknown; readonly errcode?: unknown };
  if (errcode === SHORT_READ || code === "SQLITE_IOERR_SHORT_READ") return "corrupt";
  if (typeof errcode === "number") {
    const kind = KIND_OF_RESULT.get(errcode & 0xff);
    if (kind !== undefined) return kind;
  }
  if (typeof code === "string" && code.startsWith("SQLITE_")) {
    const primary = code.split("_").slice(0, 2).join("_");
    const kind = KIND_OF_NAME.get(primary);
    if (kind !== undefined) return kind;
  }
  for (const [text, kind] of KIND_OF_TEXT) if (message.includes(text)) return kind;
  return "other";
}
