/** A value that goes in or comes out of SQLite here. Integers stay below 2^53: drivers round beyond it. */
export type SqlValue = string | number | Uint8Array | null;
export type SqlRow = Readonly<Record<string, SqlValue>>;

export interface SqliteStatement {
  run(...values: SqlValue[]): void;
  /** Undefined on all drivers when there is no row. Blobs are plain Uint8Arrays that the caller may keep. */
  get(...values: SqlValue[]): SqlRow | undefined;
  all(...values: SqlValue[]): SqlRow[];
}

/** One connection, synchronous. The drivers are runtimes/shared/sqlite-*.ts; one contract suite runs against all. */
export interface SqliteDatabase {
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  /**
   * Makes a consistent copy of the database, log included, at a path where nothing is. The connection may be used while it
   * runs, but not closed. In slices where the driver can (better-sqlite3); the others hold up the process until
   * it is done. REQUIRES no open transaction. @throws SqliteError; what is at the path is then of no use.
   */
  backupTo(path: string): Promise<void>;
  close(): void;
}

/** What went wrong, in one vocabulary for all drivers. */
export class SqliteError extends Error {
  override readonly name = "SqliteError";
  readonly kind: "full" | "corrupt" | "not-a-database" | "busy" | "io" | "other";
  constructor(kind: SqliteError["kind"], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.kind = kind;
  }
}

export interface SqliteDriver {
  /** Such as `better-sqlite3 13.2.0, SQLite 3.53.4`. */
  readonly name: string;
  /**
   * Makes the file if there is none. `readOnly` leaves the database and its log as they are, and wants the file to be there.
   * @throws SqliteError. All statements of the database throw SqliteError too.
   */
  open(path: string, options?: { readonly readOnly: boolean }): SqliteDatabase;
}
