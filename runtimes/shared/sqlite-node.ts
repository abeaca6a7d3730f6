import process from "node:process";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import type {
  SqliteDatabase,
  SqliteDriver,
  SqliteStatement,
  SqlRow,
  SqlValue,
} from "../../src/env/sqlite.ts";
import { toSqliteError } from "./sqlite-errors.ts";

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
    open: (path, { readOnly } = { readOnly: false }) => {
      try {
        return new NodeDatabase(new DatabaseSync(path, { readOnly }));
      } catch (error) {
        throw toSqliteError(error);
      }
    },
  };
}

class NodeDatabase implements SqliteDatabase {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  exec(sql: string): void {
    try {
      this.#database.exec(sql);
    } catch (error) {
      throw toSqliteError(error);
    }
  }

  prepare(sql: string): SqliteStatement {
    try {
      return new NodeStatement(this.#database.prepare(sql));
    } catch (error) {
      throw toSqliteError(error);
    }
  }

  /**
   * VACUUM INTO, which holds up the process. node:sqlite's own backup works on another thread, on this very connection: a
   * write that falls into it now and then made it fail with "not an error" (Node 24.21).
   */
  backupTo(path: string): Promise<void> {
    try {
      this.#database.prepare("VACUUM INTO ?").run(path);
      return Promise.resolve();
    } catch (error) {
      return Promise.reject(toSqliteError(error));
    }
  }

  close(): void {
    try {
      this.#database.close();
    } catch (error) {
      throw toSqliteError(error);
    }
  }
}

class NodeStatement implements SqliteStatement {
  readonly #statement: StatementSync;

  constructor(statement: StatementSync) {
    this.#statement = statement;
  }

  run(...values: SqlValue[]): void {
    try {
      this.#statement.run(...values);
    } catch (error) {
      throw toSqliteError(error);
    }
  }

  get(...values: SqlValue[]): SqlRow | undefined {
    try {
      return this.#statement.get(...values) as SqlRow | undefined;
    } catch (error) {
      throw toSqliteError(error);
    }
  }

  all(...values: SqlValue[]): SqlRow[] {
    try {
      return this.#statement.all(...values) as SqlRow[];
    } catch (error) {
      throw toSqliteError(error);
    }
  }
}
