/** Heads of rows, in the order of keys and in that of places. */
import type { DiskRowHead, DiskScan, PlaceScan } from "../env/disk.ts";
import type { SqliteStatement, SqlRow } from "../env/sqlite.ts";
import { unpackHead } from "./row-bytes.ts";
import type { Statements } from "./statements.ts";

export function scanKeys(statements: Statements, range: DiskScan): DiskRowHead[] {
  const statement = statements.scan[
    (range.reverse ? 2 : 0) + (range.end === null ? 0 : 1)
  ] as SqliteStatement;
  const rows =
    range.end === null
      ? statement.all(range.namespace, range.start, range.limit)
      : statement.all(range.namespace, range.start, range.end, range.limit);
  return rows.map((row) => rowHead(range.namespace, row));
}

export function scanPlaces(
  statements: Statements,
  { from, to, after, limit }: PlaceScan,
): DiskRowHead[] {
  const [first, next] = statements.scanPlaces as [SqliteStatement, SqliteStatement];
  const rows =
    after === null || after.place < from
      ? first.all(from, to, limit)
      : next.all(after.place, after.namespace, after.keyBytes, to, limit);
  return rows.map((row) => rowHead(row["namespace"] as number, row));
}

function rowHead(namespace: number, row: SqlRow): DiskRowHead {
  return {
    namespace,
    key: row["key"] as Uint8Array,
    place: row["place"] as number,
    sequence: row["sequence"] as number,
    ...unpackHead(row["head"] as Uint8Array),
  };
}
