/**
 * Sets whose siblings are merged by the clients (research/reliability.md 2.7): each put adds its own number to the union of
 * all siblings that its client had read. Knows nothing of contexts, so it also catches what the other checkers would
 * believe a context about.
 */
import type { Operation } from "../history.ts";
import type { Violation } from "./violation.ts";

const CHECKER = "sets";

export function checkSet(
  key: string,
  operations: readonly Operation[],
  elements: ReadonlySet<number>,
): Violation[] {
  const violations: Violation[] = [];
  const report = (text: string): void => void violations.push({ checker: CHECKER, key, text });
  const attempted = new Set<number>();
  for (const { kind, outcome, write } of operations) {
    if (kind !== "put" || write === null) continue;
    if (outcome !== "fail") attempted.add(write);
    if (outcome === "ok" && !elements.has(write))
      report(`lost: ${write} was added and is not there`);
  }
  for (const element of elements) {
    if (!attempted.has(element))
      report(`phantom: ${element} is there and nobody may have added it`);
  }
  return violations;
}
