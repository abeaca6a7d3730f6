import { Database, type Statement } from "bun:sqlite";
import type {
  SqliteDatabase,
  SqliteDriver,
  SqliteStatement,
  SqlRow,
  SqlValue,
} from "../../src/env/sqlite.ts";
import { toSqliteError } from "./sqlite-errors.ts";

/** The driver on Bun. */
export function loadBunSqlite(): Promise<SqliteDriver> {
  const probe = new Database(":memory:");
  const row = probe.query("SELECT sqlite_version() AS version").get() as { version: string };
  probe.close();
  return Promise.resolve({
    name: `bun:sqlite, SQLite ${row.version}`,
    open: (path: string, { readOnly } = { readOnly: false }) => {
      try {
        const how = readOnly ? { readonly: true } : { create: true, readwrite: true };
        return new BunDatabase(new Database(path, how));
      } catch (error) {
        throw toSqliteError(error);
      }
    },
  });
}

class BunDatabase implements SqliteDatabase {
  readonly #database: Database;
  readonly #statements: Statement[] = [];

  constructor(database: Database) {
    this.#database = database;
  }

  exec(sql: string): void {
    try {
      this.#database.run(sql);
    } catch (error) {
      throw toSqliteError(error);
    }
  }

  prepare(sql: string): SqliteStatement {
    try {
      const statement = this.#database.prepare(sql);
      this.#statements.push(statement);
      return new BunStatement(statement);
    } catch (error) {
      throw toSqliteError(error);
    }
  }

  /** VACUUM INTO: bun:sqlite has no backup in steps. */
  backupTo(path: string): Promise<void> {
    const statement = this.prepare("VACUUM INTO ?");
    return new Promise((resolve) => resolve(statement.run(path)));
  }

  /** A statement that is left open would keep the file open, and locked, until it is garbage-collected. */
  close(): void {
    try {
      for (const statement of this.#statements) statement.finalize();
      this.#statements.length = 0;
      this.#database.close(true);
    } catch (error) {
      throw toSqliteError(error);
    }
  }
}

class BunStatement implements SqliteStatement {
  readonly #statement: Statement;

  constructor(statement: Statement) {
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
      return (this.#statement.get(...values) as SqlRow | null) ?? undefined;
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
