/**
 * Strict reads and writes of a majority (research/reliability.md 2.3): a regular register with siblings. A read reflects every
 * write that was acknowledged before it began, and shows nothing that an acknowledged write had replaced by then.
 */
import { has, NONE, type Operation, type Writes } from "../history.ts";
import { deletedBy, pastsOf, seenBy } from "./pasts.ts";
import type { Violation } from "./violation.ts";

const CHECKER = "strict reads";

export function checkStrictReads(key: string, operations: readonly Operation[]): Violation[] {
  const violations: Violation[] = [];
  const pasts = pastsOf(operations);
  const invoked = new Map<number, number>();
  for (const { write, invokedMs } of operations) if (write !== null) invoked.set(write, invokedMs);
  const acknowledged = operations
    .filter(({ kind, outcome }) => kind !== "get" && outcome === "ok")
    .sort((a, b) => a.completedMs - b.completedMs);
  const reads = operations
    .filter(({ kind, outcome }) => kind === "get" && outcome === "ok")
    .sort((a, b) => a.invokedMs - b.invokedMs);
  const before: number[] = [];
  let replaced: Writes = NONE;
  let next = 0;
  for (const read of reads) {
    const report = (text: string): void => {
      const at = `read of node ${read.node} at ${Math.round(read.invokedMs)} ms`;
      violations.push({ checker: CHECKER, key, text: `${text} (${at})` });
    };
    for (; next < acknowledged.length; next++) {
      const done = acknowledged[next] as Operation;
      if (done.completedMs >= read.invokedMs) break;
      replaced |= done.past;
      if (done.write !== null) before.push(done.write);
    }
    const reflected = seenBy(read.shown, pasts) | deletedBy(operations, read.completedMs);
    for (const write of before) {
      if (read.shown.includes(write) || has(reflected, write)) continue;
      report(`stale: ${write} was acknowledged before, and is neither shown nor replaced`);
    }
    for (const write of read.shown) {
      if (has(replaced, write)) report(`zombie: ${write} had been replaced before`);
      const sinceMs = invoked.get(write);
      if (!pasts.has(write) || sinceMs === undefined || sinceMs > read.completedMs) {
        report(`phantom: ${write} was not being written yet, or was refused`);
      }
    }
  }
  return violations;
}
