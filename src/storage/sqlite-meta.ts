/**
 * The table `meta`. Its values decide what a node promises and mints, and SQLite's main file has no checksums: a flipped bit
 * could give the node another layout under the version that all others hold. So each value is stored with a sum of its own. A page
 * that a disk did not write leaves values out, or older ones with sums that are right: so the table `counter`, on a page of its
 * own, holds the sum of all.
 */
import { equalBytes, utf8Encode } from "../core/bytes.ts";
import type { Hasher } from "../core/hasher.ts";
import { type SqliteDatabase, SqliteError, type SqlRow } from "../env/sqlite.ts";
import { writeU32 } from "./row-bytes.ts";
import type { Statements } from "./statements.ts";

const SUM_BYTES = 8;
const NAME_LENGTH_BYTES = 4;

/** xxHash64 of nameBytes:4 name value; big-endian. */
export function metaSum(hasher: Hasher, name: string, value: Uint8Array): Uint8Array {
  const nameBytes = utf8Encode(name);
  const bytes = new Uint8Array(NAME_LENGTH_BYTES + nameBytes.length + value.length);
  writeU32(bytes, 0, nameBytes.length);
  bytes.set(nameBytes, NAME_LENGTH_BYTES);
  bytes.set(value, NAME_LENGTH_BYTES + nameBytes.length);
  const { hi, lo } = hasher.hash64(bytes);
  const sum = new Uint8Array(SUM_BYTES);
  writeU32(sum, 0, hi);
  writeU32(sum, 4, lo);
  return sum;
}

/** Looks at every value: says the names of those that are not what was written. @throws SqliteError */
export function damagedMeta(database: SqliteDatabase, hasher: Hasher): string[] {
  return database
    .prepare("SELECT name, sum, value FROM meta")
    .all()
    .filter((row) => !isWhole(hasher, row["name"] as string, row))
    .map((row) => row["name"] as string);
}

/** The sums of all values, added without carry: whoever changes one takes the old away and adds the new. */
function sumOfMeta(database: SqliteDatabase): Uint8Array {
  let all: Uint8Array = new Uint8Array(SUM_BYTES);
  for (const row of database.prepare("SELECT sum FROM meta").all()) {
    all = combine(all, row["sum"] as Uint8Array);
  }
  return all;
}

/** What the last commit left, that of the values as they are where it left none. */
export function storedSumOfMeta(database: SqliteDatabase): Uint8Array {
  const stored = database.prepare("SELECT meta FROM counter WHERE id = 0").get()?.["meta"];
  return stored instanceof Uint8Array ? stored : sumOfMeta(database);
}

/** False when values are missing, or older than they were, or added: each of them may be whole. @throws SqliteError */
export function isMetaComplete(database: SqliteDatabase): boolean {
  return equalBytes(storedSumOfMeta(database), sumOfMeta(database));
}

export function damageOf(name: string): SqliteError {
  return new SqliteError("corrupt", `the checksum of the small value ${name} does not match`);
}

function isWhole(hasher: Hasher, name: string, row: SqlRow): boolean {
  return equalBytes(metaSum(hasher, name, row["value"] as Uint8Array), row["sum"] as Uint8Array);
}

function combine(a: Uint8Array, b: Uint8Array | undefined): Uint8Array {
  return b === undefined ? a : a.map((byte, i) => byte ^ (b[i] ?? 0));
}

export class SqliteMeta {
  readonly #statements: Statements;
  readonly #hasher: Hasher;
  #committedSum: Uint8Array;
  #sum: Uint8Array;

  /** @param sum storedSumOfMeta: what was missing at the open is still missing at the next. */
  constructor(statements: Statements, hasher: Hasher, sum: Uint8Array) {
    this.#statements = statements;
    this.#hasher = hasher;
    this.#committedSum = sum;
    this.#sum = sum;
  }

  /** Of all values, with those of the open transaction. */
  get sum(): Uint8Array {
    return this.#sum;
  }

  committed(): void {
    this.#committedSum = this.#sum;
  }

  rolledBack(): void {
    this.#sum = this.#committedSum;
  }

  /** @throws SqliteError "corrupt" for a value that is not what was written. */
  get(name: string): Uint8Array | undefined {
    const row = this.#statements.getMeta.get(name);
    if (row === undefined) return undefined;
    if (isWhole(this.#hasher, name, row)) return row["value"] as Uint8Array;
    throw damageOf(name);
  }

  set(name: string, value: Uint8Array): void {
    const old = this.#sumOf(name);
    const sum = metaSum(this.#hasher, name, value);
    this.#statements.setMeta.run(name, sum, value);
    this.#sum = combine(combine(this.#sum, old), sum);
  }

  delete(name: string): void {
    const old = this.#sumOf(name);
    this.#statements.deleteMeta.run(name);
    this.#sum = combine(this.#sum, old);
  }

  names(prefix: string): string[] {
    return this.#statements.metaNames.all(prefix, prefix).map((row) => row["name"] as string);
  }

  #sumOf(name: string): Uint8Array | undefined {
    return this.#statements.getMetaSum.get(name)?.["sum"] as Uint8Array | undefined;
  }
}
