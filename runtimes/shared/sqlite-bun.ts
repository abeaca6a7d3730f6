import { Database, type Statement } from "bun:sqlite";
import type { SqliteDriver } from "../../src/env/sqlite.ts";
import { type LibraryDatabase, openSqlite } from "./sqlite-connection.ts";

/** The driver on Bun. It has no backup in slices. */
export function loadBunSqlite(): Promise<SqliteDriver> {
  const probe = new Database(":memory:");
  const row = probe.query("SELECT sqlite_version() AS version").get() as { version: string };
  probe.close();
  return Promise.resolve({
    name: `bun:sqlite, SQLite ${row.version}`,
    open: (path, { readOnly } = { readOnly: false }) => {
      const how = readOnly ? { readonly: true } : { create: true, readwrite: true };
      return openSqlite(() => closingStatements(new Database(path, how)));
    },
  });
}

/** A statement that is left open would keep the file open, and locked, until it is garbage-collected. */
function closingStatements(database: Database): LibraryDatabase {
  const statements: Statement[] = [];
  return {
    exec: (sql) => database.run(sql),
    prepare: (sql) => {
      const statement = database.prepare(sql);
      statements.push(statement);
      return statement;
    },
    close: () => {
      for (const statement of statements) statement.finalize();
      statements.length = 0;
      database.close(true);
    },
  };
}
