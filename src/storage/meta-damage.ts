/**
 * What an open does with small values that are not what was written. Where other nodes have all rows, the whole database is
 * given up. Where they have not, a flipped bit in one of them must not cost every row: it is dropped, and the node goes on under a
 * new actor id, as after any damage.
 */
import type { Hasher } from "../core/hasher.ts";
import type { SqliteDatabase } from "../env/sqlite.ts";
import { NODE_META, RESTORED_META } from "./meta-names.ts";
import { hasRestoredTables } from "./restored-tables.ts";
import { damagedMeta, damageOf, isMetaComplete } from "./sqlite-meta.ts";

export interface MetaCheck {
  readonly hasher: Hasher;
  /** Told the names of damaged values before they are dropped. Not given: they are damage to the whole database. */
  readonly onDroppedMeta?: (names: readonly string[]) => void;
  /** Names of values without which nothing could be made of the rows. */
  readonly vitalMeta?: readonly string[];
}

/** @throws SqliteError "corrupt" when a value is damaged and may not be dropped. */
export function checkMeta(database: SqliteDatabase, options: MetaCheck): void {
  const { hasher, onDroppedMeta, vitalMeta = [] } = options;
  const damaged = damagedMeta(database, hasher);
  const [first] = damaged;
  if (first === undefined) return;
  if (onDroppedMeta === undefined || !canGoWithout(database, damaged, [NODE_META, ...vitalMeta])) {
    throw damageOf(first);
  }
  onDroppedMeta(damaged);
  drop(database, damaged);
}

/** A damaged name hides which value it was, so it is asked what is still there, not only what is damaged. */
function canGoWithout(
  database: SqliteDatabase,
  damaged: readonly string[],
  vital: readonly string[],
): boolean {
  const rows = database.prepare("SELECT name FROM meta").all();
  const whole = new Set(rows.map((row) => row["name"] as string));
  for (const name of damaged) whole.delete(name);
  // Without the mark, rows that are held apart would be dropped.
  const isMarked = !hasRestoredTables(database) || whole.has(RESTORED_META);
  const isRestored = damaged.includes(RESTORED_META);
  return (
    isMetaComplete(database) && isMarked && !isRestored && vital.every((name) => whole.has(name))
  );
}

function drop(database: SqliteDatabase, names: readonly string[]): void {
  const remove = database.prepare("DELETE FROM meta WHERE name = ?");
  database.exec("BEGIN IMMEDIATE");
  for (const name of names) remove.run(name);
  database.exec("UPDATE counter SET meta = NULL WHERE id = 0; COMMIT");
}
