/** Looks at a whole database: for one that may have lost commits, or parts of them. */
import type { SqliteDatabase } from "../env/sqlite.ts";
import { LOCAL_BYTES } from "./row-bytes.ts";

/** The row of the table `counter`. */
export interface Counters {
  readonly rows: number;
  readonly bytes: number;
  readonly sequence: number;
  /** How many transactions were ever committed; that of a clean stop is not counted, which changes nothing else. */
  readonly commits: number;
  readonly clean: boolean;
}

/** Its structure holds together; says nothing about the content of its rows. */
export function isSound(database: SqliteDatabase): boolean {
  return database.prepare("PRAGMA quick_check(1)").get()?.["quick_check"] === "ok";
}

/** Number and bytes of the rows, and the newest sequence of these and of what is kept aside. */
export function countRecords(
  database: SqliteDatabase,
): Pick<Counters, "rows" | "bytes" | "sequence"> {
  const count = database
    .prepare(
      `SELECT count(*) AS rows, ifnull(sum(length(head) - ${LOCAL_BYTES} + length(body)), 0) AS bytes,
         max(ifnull(max(sequence), 0), (SELECT ifnull(max(sequence), 0) FROM aside)) AS sequence FROM record`,
    )
    .get();
  return {
    rows: count?.["rows"] as number,
    bytes: count?.["bytes"] as number,
    sequence: count?.["sequence"] as number,
  };
}
