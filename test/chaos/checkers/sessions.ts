/**
 * Read your writes and monotonic reads (research/reliability.md 2.5), in any mode: each read of a session reflects what the
 * session has written and seen of the key, and shows nothing that it knows to be replaced.
 */
import { has, NONE, type Operation, type Writes, withWrite } from "../history.ts";
import { deletedBy, pastsOf, seenBy } from "./pasts.ts";
import type { Violation } from "./violation.ts";

const CHECKER = "sessions";

interface Known {
  seen: Writes;
  replaced: Writes;
}

/** The operations of one key; those of one session follow one another. */
export function checkSessions(key: string, operations: readonly Operation[]): Violation[] {
  const violations: Violation[] = [];
  const pasts = pastsOf(operations);
  const sessions = new Map<number, Known>();
  const ordered = [...operations].sort((a, b) => a.invokedMs - b.invokedMs);
  for (const operation of ordered) {
    const { session, outcome, kind, write, past, shown } = operation;
    if (session === null || outcome !== "ok") continue;
    const known = sessions.get(session) ?? { seen: NONE, replaced: NONE };
    sessions.set(session, known);
    if (kind === "get") {
      for (const text of faultsOf(operation, known, pasts, operations)) {
        violations.push({ checker: CHECKER, key, text });
      }
      for (const each of shown) known.seen = withWrite(known.seen, each);
      known.replaced |= seenBy(shown, pasts);
    } else {
      known.replaced |= past;
      if (write !== null) known.seen = withWrite(known.seen, write);
    }
  }
  return violations;
}

function faultsOf(
  read: Operation,
  known: Known,
  pasts: ReadonlyMap<number, Writes>,
  operations: readonly Operation[],
): string[] {
  const at = `session ${read.session}, read of node ${read.node} at ${Math.round(read.invokedMs)} ms`;
  const faults: string[] = [];
  let reflected = seenBy(read.shown, pasts) | deletedBy(operations, read.completedMs);
  for (const write of read.shown) reflected = withWrite(reflected, write);
  for (const write of pasts.keys()) {
    if (!has(known.seen, write) || has(reflected, write)) continue;
    faults.push(
      `went back: ${write} was seen or written before and is neither shown nor replaced (${at})`,
    );
  }
  for (const write of read.shown) {
    if (has(known.replaced, write))
      faults.push(`went back: ${write} was known to be replaced (${at})`);
  }
  return faults;
}
