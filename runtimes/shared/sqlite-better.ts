import process from "node:process";
import type BetterSqlite3 from "better-sqlite3";
import type {
  SqliteDatabase,
  SqliteDriver,
  SqliteStatement,
  SqlRow,
  SqlValue,
} from "../../src/env/sqlite.ts";
import { toSqliteError } from "./sqlite-errors.ts";

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
    open: (path, { readOnly } = { readOnly: false }) => {
      try {
        return new BetterDatabase(new Database(path, { ...options, readonly: readOnly }));
      } catch (error) {
        throw toSqliteError(error);
      }
    },
  };
}

class BetterDatabase implements SqliteDatabase {
  readonly #database: BetterSqlite3.Database;

  constructor(database: BetterSqlite3.Database) {
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
      return new BetterStatement(this.#database.prepare(sql));
    } catch (error) {
      throw toSqliteError(error);
    }
  }

  async backupTo(path: string): Promise<void> {
    try {
      await this.#database.backup(path);
    } catch (error) {
      throw toSqliteError(error);
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

class BetterStatement implements SqliteStatement {
  readonly #statement: BetterSqlite3.Statement<SqlValue[], Record<string, SqlValue>>;

  constructor(statement: BetterSqlite3.Statement) {
    this.#statement = statement as BetterSqlite3.Statement<SqlValue[], Record<string, SqlValue>>;
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
      const row = this.#statement.get(...values);
      return row === undefined ? undefined : withPlainBlobs(row);
    } catch (error) {
      throw toSqliteError(error);
    }
  }

  all(...values: SqlValue[]): SqlRow[] {
    try {
      const rows = this.#statement.all(...values);
      for (const row of rows) withPlainBlobs(row);
      return rows;
    } catch (error) {
      throw toSqliteError(error);
    }
  }
}

/** Blobs come as Buffers, whose `slice` is a view: callers expect a Uint8Array's. */
function withPlainBlobs(row: Record<string, SqlValue>): SqlRow {
  for (const column in row) {
    const value = row[column];
    if (value instanceof Uint8Array) {
      row[column] = new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
    }
  }
  return row;
}
