import type { SqliteDatabase, SqliteStatement, SqlRow, SqlValue } from "../../src/env/sqlite.ts";
import { toSqliteError } from "./sqlite-errors.ts";

/** As all three libraries have it. No row is null with one of them, undefined with the others. */
export interface LibraryStatement {
  run(...values: SqlValue[]): unknown;
  get(...values: SqlValue[]): unknown;
  all(...values: SqlValue[]): unknown[];
}

/** An open database of one of the libraries. */
export interface LibraryDatabase {
  exec(sql: string): unknown;
  prepare(sql: string): LibraryStatement;
  close(): void;
  /** Where the library can copy a database in slices. Else it is VACUUM INTO, which holds up the process. */
  readonly backup?: (path: string) => Promise<unknown>;
  /** Makes the library's row what SqlRow says, in place. */
  readonly tidyRow?: (row: Record<string, SqlValue>) => void;
}

/** @throws SqliteError */
export function openSqlite(open: () => LibraryDatabase): SqliteDatabase {
  return new Connection(translated(open));
}

function translated<Result>(act: () => Result): Result {
  try {
    return act();
  } catch (error) {
    throw toSqliteError(error);
  }
}

class Connection implements SqliteDatabase {
  readonly #database: LibraryDatabase;

  constructor(database: LibraryDatabase) {
    this.#database = database;
  }

  exec(sql: string): void {
    translated(() => this.#database.exec(sql));
  }

  prepare(sql: string): SqliteStatement {
    const statement = translated(() => this.#database.prepare(sql));
    return new Statement(statement, this.#database.tidyRow ?? null);
  }

  async backupTo(path: string): Promise<void> {
    const { backup } = this.#database;
    if (backup === undefined) return this.prepare("VACUUM INTO ?").run(path);
    try {
      await backup(path);
    } catch (error) {
      throw toSqliteError(error);
    }
  }

  close(): void {
    translated(() => this.#database.close());
  }
}

/** Spelt out, without a function for each call: a put runs three of them. */
class Statement implements SqliteStatement {
  readonly #statement: LibraryStatement;
  readonly #tidyRow: LibraryDatabase["tidyRow"] | null;

  constructor(statement: LibraryStatement, tidyRow: LibraryDatabase["tidyRow"] | null) {
    this.#statement = statement;
    this.#tidyRow = tidyRow;
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
      const row = this.#statement.get(...values) as Record<string, SqlValue> | null | undefined;
      if (row === null || row === undefined) return undefined;
      this.#tidyRow?.(row);
      return row;
    } catch (error) {
      throw toSqliteError(error);
    }
  }

  all(...values: SqlValue[]): SqlRow[] {
    try {
      const rows = this.#statement.all(...values) as Record<string, SqlValue>[];
      if (this.#tidyRow !== null) for (const row of rows) this.#tidyRow?.(row);
      return rows;
    } catch (error) {
      throw toSqliteError(error);
    }
  }
}
