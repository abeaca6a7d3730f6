/**
 * Nothing acknowledged is lost, nothing comes back (research/reliability.md 2.1): what all replicas show in the end, against
 * all that was acknowledged. Exact, because every write of these keys carried a context and so says what it replaced.
 */
import { has, NONE, type Operation, withWrite } from "../history.ts";
import { deletedBy, pastsOf, seenBy } from "./pasts.ts";
import type { Violation } from "./violation.ts";

const CHECKER = "final state";

export function checkFinalState(
  key: string,
  operations: readonly Operation[],
  visible: readonly number[],
): Violation[] {
  const violations: Violation[] = [];
  const report = (text: string): void => void violations.push({ checker: CHECKER, key, text });
  const pasts = pastsOf(operations);
  const explained = seenBy(visible, pasts) | deletedBy(operations, Number.POSITIVE_INFINITY);
  let replaced = NONE;
  let shown = NONE;
  for (const { kind, outcome, past } of operations) {
    if (kind !== "get" && outcome === "ok") replaced |= past;
  }
  for (const write of visible) {
    if (!pasts.has(write)) report(`phantom: ${write} is there, and nobody may have stored it`);
    if (has(shown, write)) report(`twice: ${write} is there more than once`);
    shown = withWrite(shown, write);
    if (has(replaced, write)) report(`resurrected: ${write} was replaced by an acknowledged write`);
  }
  for (const { kind, outcome, write, node, completedMs } of operations) {
    if (kind !== "put" || outcome !== "ok" || write === null) continue;
    if (has(shown, write) || has(explained, write)) continue;
    report(`lost: ${write}, acknowledged by node ${node} at ${Math.round(completedMs)} ms`);
  }
  return violations;
}
