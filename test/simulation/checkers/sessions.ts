/**
 * Read your writes, monotonic reads (Terry et al. 1994; reliability.md 2.5): an answer of a session reflects every write that an
 * earlier answer of it had shown, and every write of its own that was acknowledged.
 */
import { covers, equalContexts, mergeContexts } from "../../../src/core/context.ts";
import type { Context } from "../../../src/core/version.ts";
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

/**
 * The token of the session's newest answer asks for all that the session has seen: whatever replica is read next, be it one that
 * lacks it or one that has it. `dots` are what it asks for of this key.
 */
export function judgeToken(
  ledger: Ledger,
  report: Report,
  op: Op,
  key: KeyState,
  seen: Iterable<number>,
  dots: Context,
): void {
  const asked = withWhatTheyReplaced(key, dots);
  for (const id of seen) {
    const mints = key.mintsOf.get(id) ?? [];
    if (mints.some((mint) => covers(asked, mint.dot)) || ledger.mayBeReaped(key, id)) continue;
    report(
      "sessions",
      `the session after op ${op.id} asks for ${key.name} without op ${id}, which it had seen`,
    );
  }
}

/** Whoever has a dot has merged the record that it was minted with, and those of all dots that this one covered. */
function withWhatTheyReplaced(key: KeyState, dots: Context): Context {
  let context = dots;
  for (;;) {
    const before = context;
    for (const mint of key.dots.covered(before)) context = mergeContexts(context, mint.context);
    if (equalContexts(before, context)) return context;
  }
}
