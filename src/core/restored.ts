/**
 * What becomes of a row of a restored backup (design 7, "Age alone never deletes data"). A backup may be behind a reap: it
 * may hold a value whose tombstone everybody has forgotten, and nothing but the reap horizon can tell that from a value that
 * only this backup still has.
 */
import { covers } from "./context.ts";
import { holds } from "./record.ts";
import type { CausalRecord, Sibling, Stamp } from "./version.ts";

/** What another owner said of the key, after the restore. */
export interface OwnerHeard {
  /** What it holds, values or not; null for nothing. */
  readonly record: CausalRecord | null;
  /** What it holds apart, because it was restored as well: neither proof that a sibling is known, nor a reason to drop one. */
  readonly restored: CausalRecord | null;
  /** The highest stamp that was ever reaped in the unit, as far as it knows. */
  readonly horizon: Stamp;
}

export type RestoredFate =
  | { readonly fate: "drop" }
  /** Never served, never dropped. */
  | { readonly fate: "quarantine" }
  | { readonly fate: "merge"; readonly record: CausalRecord };

/** REQUIRES: `heard` holds one answer of every other owner of the unit. */
export function decideRestored(row: CausalRecord, heard: readonly OwnerHeard[]): RestoredFate {
  const unknown = row.siblings.filter((sibling) => !heard.some((owner) => knows(owner, sibling)));
  if (unknown.some((sibling) => heard.some((owner) => mayHaveReaped(owner, sibling)))) {
    // The whole row: its context covers the doubtful sibling, and merged without it would delete every other copy.
    return { fate: "quarantine" };
  }
  // What an owner has seen replaced goes. What one holds stays: it is alive, a copy that was there is worth keeping, and the
  // row's context covers it, so that a merge without it would delete it.
  const siblings = row.siblings.filter(
    (sibling) => !heard.some((owner) => replaced(owner, sibling)),
  );
  if (siblings.length === 0) return { fate: "drop" };
  return { fate: "merge", record: { context: row.context, siblings } };
}

function knows({ record }: OwnerHeard, sibling: Sibling): boolean {
  return record !== null && covers(record.context, sibling.dot);
}

function replaced(owner: OwnerHeard, sibling: Sibling): boolean {
  return owner.record !== null && knows(owner, sibling) && !holds(owner.record, sibling);
}

/** An owner that was restored itself, and whose backup holds the very sibling, has not reaped it until then. */
function mayHaveReaped({ restored, horizon }: OwnerHeard, sibling: Sibling): boolean {
  if (sibling.stamp > horizon) return false;
  return restored === null || !holds(restored, sibling);
}
