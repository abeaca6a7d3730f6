/**
 * Read your writes, monotonic reads (Terry et al. 1994; reliability.md 2.5): an answer of a session reflects every write that an
 * earlier answer of it had shown, and every write of its own that was acknowledged.
 */
import { covers } from "../../../src/core/context.ts";
import type { Op } from "../history.ts";
import type { KeyState } from "../key-state.ts";
import type { Ledger } from "../ledger.ts";
import type { ReadAnswer } from "./answers.ts";
import type { Report } from "./report.ts";

export function judgeSession(
  ledger: Ledger,
  report: Report,
  op: Op,
  key: KeyState,
  seen: Iterable<number>,
  answer: Pick<ReadAnswer, "context">,
): void {
  for (const id of seen) {
    const mints = key.mintsOf.get(id) ?? [];
    const { context } = answer;
    if (context !== null && mints.some((mint) => covers(context, mint.dot))) continue;
    if (ledger.mayBeReaped(key, id)) continue;
    report(
      "sessions",
      `get ${op.id} (${op.terms}) of ${key.name} does not reflect op ${id}, which its session had seen`,
    );
  }
}
