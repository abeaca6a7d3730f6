import { NONE, type Operation, type Writes } from "../history.ts";

/** What each put of a key had seen, by its number. Writes that were certainly not stored have none. */
export function pastsOf(operations: readonly Operation[]): Map<number, Writes> {
  const pasts = new Map<number, Writes>();
  for (const { kind, write, past, outcome } of operations) {
    if (kind === "put" && write !== null && outcome !== "fail") pasts.set(write, past);
  }
  return pasts;
}

/** All that the shown values had seen; without themselves. */
export function seenBy(shown: readonly number[], pasts: ReadonlyMap<number, Writes>): Writes {
  let seen = NONE;
  for (const write of shown) seen |= pasts.get(write) ?? NONE;
  return seen;
}

/** All that deletes which may have taken effect by then had seen. */
export function deletedBy(operations: readonly Operation[], byMs: number): Writes {
  let deleted = NONE;
  for (const { kind, outcome, invokedMs, past } of operations) {
    if (kind === "delete" && outcome !== "fail" && invokedMs < byMs) deleted |= past;
  }
  return deleted;
}
