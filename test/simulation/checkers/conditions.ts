/**
 * What a write under a condition replaces is what its condition spoke of (api.md, "If-Match is not a lock"). Its past is what
 * its record covers, for its coordinator has read for it: so what it replaces is held to the values that its client named.
 */
import type { Op } from "../history.ts";
import { isDoubled, type KeyState } from "../key-state.ts";
import type { Ledger, Minted } from "../ledger.ts";
import type { Report } from "./report.ts";

/** Says nothing of a write without a condition, or with a context of its client's. */
export function judgeReplaced(
  ledger: Ledger,
  report: Report,
  op: Op,
  key: KeyState,
  minted: Minted,
): void {
  if (op.condition === "none" || op.seen !== null) return;
  const replaced = replacedBy(ledger, key, minted);
  const isMortal = (other: Op): boolean => other.kind === "delete" || other.ttlMs > 0;
  // A tombstone may have won the election over those that stood beside it: then the key was absent, and the choice was left to
  // the policy. Another write may have replaced it since.
  if (op.condition === "create") {
    const older = new Set(replaced.flatMap((other) => [...(other.past ?? [])]));
    const covered = key.dots.covered(minted.record.context).map((mint) => ledger.op(mint.op));
    const mayHaveStood = (other: Op): boolean => !older.has(other.id) || isDoubled(key, other.id);
    if (covered.some((other) => isMortal(other) && mayHaveStood(other))) return;
  }
  for (const other of replaced) {
    const isNamed = op.condition === "match" && op.matched.includes(other.id);
    if (isNamed || isMortal(other) || isDoubled(key, other.id)) continue;
    report(
      "unseen-replaced",
      `op ${op.id} of ${key.name} (${op.condition} ${op.matched.join(" ")}) replaced op ${other.id}, of which its condition does not speak`,
    );
  }
}

/** What the new record covers, does not show, and nothing before this write had replaced. */
function replacedBy(ledger: Ledger, key: KeyState, { mint, record }: Minted): Op[] {
  const covered = key.dots.covered(record.context).filter((other) => other !== mint);
  const gone = new Set(covered.flatMap((other) => [...other.past]));
  for (const sibling of record.siblings) gone.add(ledger.opOf(sibling));
  const ids = new Set(covered.map((other) => other.op).filter((id) => !gone.has(id)));
  return [...ids].map((id) => ledger.op(id));
}
