/**
 * The table `meta`. Its values decide what a node promises and mints, and SQLite's main file has no checksums: a flipped bit
 * could give the node another layout under the version that all others hold. So each value is stored with a sum of its own.
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

/** @throws SqliteError "corrupt" when one of the values is not what was written. */
export function checkMeta(database: SqliteDatabase, hasher: Hasher): void {
  const [name] = damagedMeta(database, hasher);
  if (name !== undefined) throw damageOf(name);
}

function damageOf(name: string): SqliteError {
  return new SqliteError("corrupt", `the checksum of the small value ${name} does not match`);
}

function isWhole(hasher: Hasher, name: string, row: SqlRow): boolean {
  return equalBytes(metaSum(hasher, name, row["value"] as Uint8Array), row["sum"] as Uint8Array);
}

export class SqliteMeta {
  readonly #statements: Statements;
  readonly #hasher: Hasher;

  constructor(statements: Statements, hasher: Hasher) {
    this.#statements = statements;
    this.#hasher = hasher;
  }

  /** @throws SqliteError "corrupt" for a value that is not what was written. */
  get(name: string): Uint8Array | undefined {
    const row = this.#statements.getMeta.get(name);
    if (row === undefined) return undefined;
    if (isWhole(this.#hasher, name, row)) return row["value"] as Uint8Array;
    throw damageOf(name);
  }

  set(name: string, value: Uint8Array): void {
    this.#statements.setMeta.run(name, metaSum(this.#hasher, name, value), value);
  }

  delete(name: string): void {
    this.#statements.deleteMeta.run(name);
  }

  names(prefix: string): string[] {
    return this.#statements.metaNames.all(prefix, prefix).map((row) => row["name"] as string);
  }
}
