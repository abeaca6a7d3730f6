import process from "node:process";
import type BetterSqlite3 from "better-sqlite3";
import type { SqliteDriver, SqlValue } from "../../src/env/sqlite.ts";
import { type LibraryStatement, openSqlite } from "./sqlite-connection.ts";

/** better-sqlite3 13 ends the process with a segmentation fault on older ones, so we look before we load it. */
const NODE_MAJOR_MIN = 22;
const NODE_MINOR_MIN = 13;

/** @throws Error with what to do unless this is Node 22.13 or newer. */
export function assertNodeVersion(version: string): void {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > NODE_MAJOR_MIN || (major === NODE_MAJOR_MIN && minor >= NODE_MINOR_MIN)) return;
  throw new Error(
    `Cannot start on Node ${version}: Gyre needs Node ${NODE_MAJOR_MIN}.${NODE_MINOR_MIN} or newer. ` +
      "Install a current Node, or run it with Bun or Deno.",
  );
}

/**
 * The driver on Node. A single-file binary cannot resolve the addon by path and passes it loaded, as `nativeBinding`.
 * @throws Error when Node is too old or the addon does not load.
 */
export async function loadBetterSqlite(nativeBinding?: object): Promise<SqliteDriver> {
  assertNodeVersion(process.versions.node);
  const { default: Database } = await import("better-sqlite3");
  // A busy database is an answer and not worth a wait, as with the other drivers. The option nativeBinding takes the
  // loaded addon too; its types know only the path.
  const options = {
    timeout: 0,
    ...(nativeBinding !== undefined && { nativeBinding }),
  } as object as BetterSqlite3.Options;
  const probe = new Database(":memory:", options);
  const { version } = probe.prepare("SELECT sqlite_version() AS version").get() as {
    version: string;
  };
  probe.close();
  return {
    name: `better-sqlite3, SQLite ${version}`,
    open: (path, { readOnly } = { readOnly: false }) =>
      openSqlite(() => {
        const database = new Database(path, { ...options, readonly: readOnly });
        return {
          exec: (sql) => database.exec(sql),
          prepare: (sql) => database.prepare(sql) as LibraryStatement,
          close: () => void database.close(),
          backup: (to) => database.backup(to),
          tidyRow: makeBlobsPlain,
        };
      }),
  };
}

/** Blobs come as Buffers, whose `slice` is a view: callers expect a Uint8Array's. */
function makeBlobsPlain(row: Record<string, SqlValue>): void {
  for (const column in row) {
    const value = row[column];
    if (value instanceof Uint8Array) {
      row[column] = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    }
  }
}
