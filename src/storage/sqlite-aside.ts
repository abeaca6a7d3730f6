import type { AsideRow, AsideUsage, PlaceCursor } from "../env/disk.ts";
import type { SqliteStatement, SqlRow } from "../env/sqlite.ts";
import { packHead, unpackHead } from "./row-bytes.ts";
import type { Statements } from "./statements.ts";

/** The rows kept aside in one database, and what each shelf holds, counted once when the database is opened. */
export class SqliteAside {
  readonly #statements: Statements;
  readonly #usage = new Map<string, AsideUsage>();
  /** What each shelf held before the open transaction changed it. */
  readonly #before = new Map<string, AsideUsage | undefined>();

  constructor(statements: Statements) {
    this.#statements = statements;
    this.count();
  }

  /** Counts all shelves anew. */
  count(): void {
    this.#usage.clear();
    for (const row of this.#statements.readShelves.all()) {
      const usage = { rows: row["rows"] as number, bytes: row["bytes"] as number };
      this.#usage.set(row["shelf"] as string, usage);
    }
  }

  usage(): ReadonlyMap<string, AsideUsage> {
    return this.#usage;
  }

  /** Returns the bytes written. */
  put(row: AsideRow): number {
    const { shelf, namespace, key, head, body, note } = row;
    const old = this.#bytesOf(shelf, namespace, key);
    this.#statements.putAside.run(
      namespace,
      key,
      shelf,
      row.place,
      row.sequence,
      note,
      packHead(row),
      body,
    );
    const bytes = head.length + body.length + note.length;
    this.#account(shelf, old === undefined ? 1 : 0, bytes - (old ?? 0));
    return bytes;
  }

  delete(shelf: string, namespace: number, key: Uint8Array): void {
    const old = this.#bytesOf(shelf, namespace, key);
    if (old === undefined) return;
    this.#statements.deleteAside.run(namespace, key, shelf);
    this.#account(shelf, -1, -old);
  }

  ofKey(namespace: number, key: Uint8Array): AsideRow[] {
    return this.#statements.asides.all(namespace, key).map(asideRow);
  }

  scan(shelf: string, after: PlaceCursor | null, limit: number): AsideRow[] {
    const [first, next] = this.#statements.scanAside as [SqliteStatement, SqliteStatement];
    const rows =
      after === null
        ? first.all(shelf, limit)
        : next.all(shelf, after.place, after.namespace, after.keyBytes, limit);
    return rows.map(asideRow);
  }

  committed(): void {
    this.#before.clear();
  }

  rolledBack(): void {
    for (const [shelf, usage] of this.#before) {
      if (usage === undefined) this.#usage.delete(shelf);
      else this.#usage.set(shelf, usage);
    }
    this.#before.clear();
  }

  #bytesOf(shelf: string, namespace: number, key: Uint8Array): number | undefined {
    return this.#statements.sizeAside.get(namespace, key, shelf)?.["bytes"] as number | undefined;
  }

  #account(shelf: string, rows: number, bytes: number): void {
    const old = this.#usage.get(shelf);
    if (!this.#before.has(shelf)) this.#before.set(shelf, old);
    const now = { rows: (old?.rows ?? 0) + rows, bytes: (old?.bytes ?? 0) + bytes };
    if (now.rows === 0) this.#usage.delete(shelf);
    else this.#usage.set(shelf, now);
  }
}

function asideRow(row: SqlRow): AsideRow {
  return {
    shelf: row["shelf"] as string,
    namespace: row["namespace"] as number,
    key: row["key"] as Uint8Array,
    place: row["place"] as number,
    sequence: row["sequence"] as number,
    note: row["note"] as Uint8Array,
    ...unpackHead(row["head"] as Uint8Array),
    body: row["body"] as Uint8Array,
  };
}
