import process from "node:process";
import type { SqliteDriver } from "../../src/env/sqlite.ts";
import { openSqlite } from "./sqlite-connection.ts";

/**
 * The driver on Deno, and the fallback on Node where better-sqlite3 has no binary.
 * @throws Error where the runtime has no node:sqlite (Node before 22.5).
 */
export async function loadNodeSqlite(): Promise<SqliteDriver> {
  const { DatabaseSync } = await import("node:sqlite").catch((cause: unknown) => {
    throw new Error(
      `Cannot load node:sqlite on Node ${process.versions.node}: Gyre needs Node 22.13 or newer.`,
      { cause },
    );
  });
  const probe = new DatabaseSync(":memory:");
  const row = probe.prepare("SELECT sqlite_version() AS version").get() as { version: string };
  probe.close();
  return {
    name: `node:sqlite, SQLite ${row.version}`,
    // Its own backup is not used: it works on another thread, on this very connection, and a write that falls into it now and
    // then made it fail with "not an error" (Node 24.21).
    open: (path, { readOnly } = { readOnly: false }) =>
      openSqlite(() => new DatabaseSync(path, { readOnly })),
  };
}
