import { compareBytes, utf8Decode } from "../core/bytes.ts";
import { FormatError } from "../core/errors.ts";
import type { Hasher } from "../core/hasher.ts";
import { parseNamespaceId } from "../core/ids.ts";
import { makeKey, placeOf } from "../core/key.ts";
import { decodeRecord, valuesIntact } from "../core/record-codec.ts";
import type { AsideRow } from "../env/disk.ts";
import {
  type SqliteDatabase,
  SqliteError,
  type SqliteStatement,
  type SqlRow,
} from "../env/sqlite.ts";
import { RowChecksum } from "./checksum.ts";
import { ACTOR_META, EPOCH_LEASE_META, NODE_META } from "./meta-names.ts";
import { LOCAL_BYTES, unpackHead } from "./row-bytes.ts";
import { APPLICATION_ID, SCHEMA_VERSION } from "./schema.ts";
import { damagedMeta, isMetaComplete } from "./sqlite-meta.ts";

/** `damage`: what is there cannot be what was written. `note`: worth knowing, nothing is wrong. */
export interface Finding {
  readonly kind: "damage" | "note";
  /** A file, a table or a row. */
  readonly where: string;
  readonly what: string;
}

export interface DatabaseFigures {
  readonly rows: number;
  /** Heads and values. */
  readonly bytes: number;
  readonly asideRows: number;
  readonly values: number;
  readonly damagedRows: number;
  readonly sequence: number;
  /** The number of the newest commit. */
  readonly commits: number;
}

export interface VerifyDatabaseParts {
  readonly database: SqliteDatabase;
  readonly hasher: Hasher;
  readonly onFinding: (finding: Finding) => void;
  /** Called now and then; lets others run in between. */
  readonly onProgress: (rowsDone: number, rowsTotal: number) => Promise<void>;
  /** SQLite's own check of the tree as well: thorough, and in one piece. */
  readonly structure: boolean;
}

const SLICE_ROWS = 256;
/** Faults of the tree that SQLite names before it stops. */
const STRUCTURE_FAULTS_MAX = 20;
/** Damaged rows that are named one by one. */
const ROWS_NAMED_MAX = 100;

type Counter = { -readonly [Name in keyof DatabaseFigures]: number };

/** Reads everything in a database and trusts nothing. Changes nothing. */
export async function verifyDatabase(parts: VerifyDatabaseParts): Promise<DatabaseFigures> {
  return await new Verification(parts).run();
}

class Verification {
  readonly #parts: VerifyDatabaseParts;
  readonly #checksum: RowChecksum;
  readonly #figures: Counter = {
    rows: 0,
    bytes: 0,
    asideRows: 0,
    values: 0,
    damagedRows: 0,
    sequence: 0,
    commits: 0,
  };

  constructor(parts: VerifyDatabaseParts) {
    this.#parts = parts;
    this.#checksum = new RowChecksum(parts.hasher);
  }

  async run(): Promise<DatabaseFigures> {
    const { structure } = this.#parts;
    if (!this.#guard("header", () => this.#header())) return this.#figures;
    if (structure) this.#guard("tree", () => this.#structure());
    const total = this.#counter("rows") + this.#count("aside");
    await this.#records(total);
    await this.#asides(total);
    this.#guard("counter", () => this.#usage());
    this.#guard("meta", () => this.#meta());
    return this.#figures;
  }

  /** False when SQLite could not read on. */
  #guard(where: string, run: () => void): boolean {
    try {
      run();
      return true;
    } catch (error) {
      if (!(error instanceof SqliteError)) throw error;
      this.#damage(where, error.message);
      return false;
    }
  }

  #damage(where: string, what: string): void {
    this.#parts.onFinding({ kind: "damage", where, what });
  }

  #header(): void {
    if (this.#pragma("application_id") !== APPLICATION_ID) {
      throw new SqliteError("not-a-database", "it is not a database of Gyre's");
    }
    const version = this.#pragma("user_version");
    if (version !== SCHEMA_VERSION) {
      throw new SqliteError("other", `its format is ${version}, this Gyre's ${SCHEMA_VERSION}`);
    }
  }

  #structure(): void {
    const { database } = this.#parts;
    const sql = `PRAGMA integrity_check(${STRUCTURE_FAULTS_MAX})`;
    for (const row of database.prepare(sql).all()) {
      const fault = String(row["integrity_check"]);
      if (fault !== "ok") this.#damage("tree", fault);
    }
  }

  async #records(total: number): Promise<void> {
    const columns = "namespace, key, place, sequence, head, body";
    const first = `SELECT ${columns} FROM record ORDER BY namespace, key LIMIT ?`;
    const next = `SELECT ${columns} FROM record WHERE (namespace, key) > (?, ?) ORDER BY namespace, key LIMIT ?`;
    let last: SqlRow | null = null;
    await this.#slices("record", first, next, total, ["namespace", "key"], (row) => {
      const key = row["key"] as Uint8Array;
      const isLater: boolean =
        last === null ||
        (row["namespace"] as number) > (last["namespace"] as number) ||
        compareBytes(key, last["key"] as Uint8Array) > 0;
      if (!isLater) this.#damagedRow(row, "it stands out of order: reads may miss its neighbours");
      last = row;
      this.#figures.rows++;
      this.#figures.bytes +=
        (row["head"] as Uint8Array).length - LOCAL_BYTES + (row["body"] as Uint8Array).length;
      this.#row(row, {});
    });
  }

  async #asides(total: number): Promise<void> {
    const columns = "namespace, key, shelf, place, sequence, note, head, body";
    const order = "ORDER BY namespace, key, shelf LIMIT ?";
    const first = `SELECT ${columns} FROM aside ${order}`;
    const next = `SELECT ${columns} FROM aside WHERE (namespace, key, shelf) > (?, ?, ?) ${order}`;
    await this.#slices("aside", first, next, total, ["namespace", "key", "shelf"], (row) => {
      this.#figures.asideRows++;
      this.#row(row, { shelf: row["shelf"] as string, note: row["note"] as Uint8Array });
    });
  }

  async #slices(
    table: string,
    first: string,
    next: string,
    total: number,
    names: readonly string[],
    look: (row: SqlRow) => void,
  ): Promise<void> {
    const { database, onProgress } = this.#parts;
    let after: SqlRow | undefined;
    for (;;) {
      let rows: SqlRow[] = [];
      const read = this.#guard(table, () => {
        const statement: SqliteStatement = database.prepare(after === undefined ? first : next);
        const from = names.map((name) => after?.[name] ?? null);
        rows = after === undefined ? statement.all(SLICE_ROWS) : statement.all(...from, SLICE_ROWS);
      });
      if (!read) return;
      for (const row of rows) look(row);
      await onProgress(this.#figures.rows + this.#figures.asideRows, total);
      after = rows.at(-1);
      if (rows.length < SLICE_ROWS || after === undefined) return;
    }
  }

  #row(row: SqlRow, aside: Partial<Pick<AsideRow, "shelf" | "note">>): void {
    const namespace = row["namespace"] as number;
    const key = row["key"] as Uint8Array;
    const place = row["place"] as number;
    const sequence = row["sequence"] as number;
    const parts = unpackHead(row["head"] as Uint8Array);
    if (sequence > this.#figures.sequence) this.#figures.sequence = sequence;
    if (!this.#checksum.matches({ namespace, key, place, sequence, ...parts, ...aside })) {
      this.#damagedRow(row, "its checksum does not match");
      return;
    }
    try {
      const record = decodeRecord(parts.head, row["body"] as Uint8Array);
      this.#figures.values += record.siblings.length;
      const known = makeKey(this.#parts.hasher, parseNamespaceId(namespace), utf8Decode(key));
      if (!valuesIntact(this.#parts.hasher, record)) this.#damagedRow(row, "a value is damaged");
      else if (placeOf(known.hash) !== place) this.#damagedRow(row, "it stands at a wrong place");
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof TypeError)) throw error;
      this.#damagedRow(row, error.message);
    }
  }

  #damagedRow(row: SqlRow, what: string): void {
    this.#figures.damagedRows++;
    if (this.#figures.damagedRows > ROWS_NAMED_MAX) return;
    const { hash64 } = this.#parts.hasher;
    const { hi } = hash64(row["key"] as Uint8Array);
    // Keys may be personal: the log and this report name hashes.
    this.#damage(`row ${row["namespace"]}/${hi.toString(16).padStart(8, "0")}`, what);
  }

  #usage(): void {
    const { rows, bytes, sequence } = this.#figures;
    const compare = (name: string, found: number): void => {
      const said = this.#counter(name);
      if (said !== found) this.#damage("counter", `${name} is ${said}, and there are ${found}`);
    };
    compare("rows", rows);
    compare("bytes", bytes);
    if (this.#counter("sequence") < sequence) {
      this.#damage("counter", `sequence is ${this.#counter("sequence")}, a row has ${sequence}`);
    }
    this.#figures.sequence = this.#counter("sequence");
    this.#figures.commits = this.#counter("commits");
    if (this.#counter("clean") !== 1) {
      this.#parts.onFinding({
        kind: "note",
        where: "counter",
        what: "the last process did not stop in order",
      });
    }
  }

  #meta(): void {
    const bytesOf = (name: string): number | undefined => {
      const row = this.#parts.database.prepare("SELECT value FROM meta WHERE name = ?").get(name);
      return (row?.["value"] as Uint8Array | undefined)?.length;
    };
    const want = (name: string, bytes: number): void => {
      const found = bytesOf(name);
      if (found === undefined || found === bytes) return;
      this.#damage(`meta ${name}`, `it has ${found} bytes instead of ${bytes}`);
    };
    want(ACTOR_META, 16);
    want(EPOCH_LEASE_META, 8);
    want(NODE_META, 32);
    for (const name of damagedMeta(this.#parts.database, this.#parts.hasher)) {
      this.#damage(`meta ${name}`, "its checksum does not match");
    }
    if (!isMetaComplete(this.#parts.database)) {
      this.#damage("meta", "values are missing, or older than they were");
    }
    if (bytesOf(NODE_META) === undefined) this.#damage("meta", "it does not say whose it is");
  }

  #pragma(name: string): number {
    return Number(this.#parts.database.prepare(`PRAGMA ${name}`).get()?.[name] ?? 0);
  }

  #counter(name: string): number {
    let value = 0;
    this.#guard("counter", () => {
      const sql = "SELECT rows, bytes, sequence, commits, clean FROM counter WHERE id = 0";
      value = Number(this.#parts.database.prepare(sql).get()?.[name] ?? 0);
    });
    return value;
  }

  #count(table: "aside"): number {
    let count = 0;
    this.#guard(table, () => {
      const sql = `SELECT count(*) AS count FROM ${table}`;
      count = Number(this.#parts.database.prepare(sql).get()?.["count"] ?? 0);
    });
    return count;
  }
}
