/**
 * Each answer by itself: is it one that api.md allows, does it show only what was written, does its context say no more than
 * the answer showed, and does a strict read reflect what a majority had acknowledged before it began (reliability.md 2.3)?
 */

import { covers } from "../../../src/core/context.ts";
import type { Context } from "../../../src/core/version.ts";
import type { Op } from "../history.ts";
import { isDoubled, type KeyState, metWeakHome } from "../key-state.ts";
import type { Ledger } from "../ledger.ts";
import { isSurelyLive } from "../lifetimes.ts";
import { majority } from "../terms.ts";
import type { World } from "../world.ts";
import type { Mint } from "./dot-reuse.ts";
import type { Report } from "./report.ts";

export interface ReadAnswer {
  readonly status: number;
  /** The writes whose values were shown. */
  readonly values: readonly number[];
  readonly context: Context | null;
  /** What Gyre-Siblings and Gyre-Deleted-Siblings counted. */
  readonly live: number;
  readonly deleted: number;
  /** Home replicas that answered. */
  readonly acks: number;
}

export function judgeRead(
  ledger: Ledger,
  report: Report,
  op: Op,
  key: KeyState,
  answer: ReadAnswer,
): void {
  judgeValues(ledger, report, op, key, answer.values);
  judgeWholeness(report, op, key, answer);
  if (answer.context !== null) judgeContext(ledger, report, op, key, answer, answer.context);
  else if (answer.values.length > 0) {
    report("honest-answers", `get ${op.id} of ${key.name} shows a value without a context`);
  }
  const isAbsent = answer.status === 404 && answer.context === null;
  if (isAbsent && answer.acks < op.needed) {
    report(
      "honest-answers",
      `get ${op.id} (${op.terms}) of ${key.name} is a 404 on the word of ${answer.acks} home replicas`,
    );
  }
  if (op.strict && op.needed >= majority(key.homes.length) && !metWeakHome(key, op)) {
    judgeStrict(ledger, report, op, key, answer);
  }
}

/** What counted is what was asked for, or more: a strict request counts home replicas only. */
export function judgeAcks(
  report: Report,
  op: Op,
  answer: { readonly acks: number; readonly fallbacks: number },
): void {
  const counted = answer.acks + (op.strict ? 0 : answer.fallbacks);
  if (counted >= op.needed && !(op.strict && answer.fallbacks > 0)) return;
  report(
    "honest-answers",
    `${op.kind} ${op.id} (${op.terms}) succeeded with ${answer.acks} home replicas and ${answer.fallbacks} stand-ins`,
  );
}

function judgeValues(
  ledger: Ledger,
  report: Report,
  op: Op,
  key: KeyState,
  values: readonly number[],
): void {
  for (const id of values) {
    const write = ledger.ops[id];
    if (write === undefined || write.key !== key.name || write.kind !== "put") {
      report("phantom", `get ${op.id} of ${key.name} shows a value that nobody put there`);
    } else if (write.status === "fail") {
      report("phantom", `get ${op.id} of ${key.name} shows op ${id}, which had been refused`);
    }
  }
  if (new Set(values).size !== values.length) {
    report("duplicates", `get ${op.id} of ${key.name} shows one value twice`);
  }
}

/** Who delegates no choice is shown all siblings: the answer's context lets him replace each of them. */
function judgeWholeness(report: Report, op: Op, key: KeyState, answer: ReadAnswer): void {
  const { status, values, live } = answer;
  const isWhole = status === 300 || (status === 200 && op.terms.includes("conflict=siblings"));
  if (!isWhole || values.length === live) return;
  report(
    "honest-answers",
    `get ${op.id} (${op.terms}) of ${key.name} shows ${values.length} of ${live} siblings`,
  );
}

/** Its holder may replace all that the context covers: every sibling it speaks of must have been shown or counted. */
function judgeContext(
  ledger: Ledger,
  report: Report,
  op: Op,
  key: KeyState,
  answer: ReadAnswer,
  context: Context,
): void {
  const spokenOf = new Set(
    ledger
      .maximal(key, context)
      .filter((mint) => !isReplaced(key, mint))
      .map((mint) => mint.op),
  );
  if (spokenOf.size > answer.live + answer.deleted) {
    const ids = [...spokenOf].join(" ");
    report(
      "contexts",
      `the context of get ${op.id} of ${key.name} covers ops ${ids}, but counts ${answer.live} + ${answer.deleted} siblings`,
    );
  }
  for (const id of answer.values) {
    const mints = key.mintsOf.get(id) ?? [];
    if (mints.some((mint) => covers(context, mint.dot))) continue;
    report("contexts", `get ${op.id} of ${key.name} shows op ${id}, its context does not`);
  }
}

function judgeStrict(
  ledger: Ledger,
  report: Report,
  op: Op,
  key: KeyState,
  answer: ReadAnswer,
): void {
  for (const write of key.strong.slice(0, op.mark)) {
    // Of one that was executed twice, the first attempt may have reached nobody.
    const mints = key.mintsOf.get(write.id) ?? [];
    const { context } = answer;
    const isReflected = context !== null && mints.some((mint) => covers(context, mint.dot));
    if (!isReflected && !ledger.mayBeReaped(key, write.id)) {
      report(
        "strict-reads",
        `get ${op.id} (${op.terms}) of ${key.name} does not reflect op ${write.id}, acknowledged at ${write.endMs} by ${write.acks}`,
      );
    }
    for (const id of answer.values) {
      // One that was executed twice may stand beside, or after, what had replaced it the first time.
      if (write.past?.has(id) !== true || isDoubled(key, id) || isDoubled(key, write.id)) continue;
      report(
        "strict-reads",
        `get ${op.id} of ${key.name} shows op ${id}, which op ${write.id} had replaced`,
      );
    }
  }
}

/** `If-Match` cannot succeed on the tag of a value that a write had replaced which a majority held before it began. */
export function judgeMatch(world: World, op: Op, key: KeyState): void {
  if (metWeakHome(key, op)) return;
  for (const write of key.strong.slice(0, op.mark)) {
    for (const id of op.matched) {
      if (write.past?.has(id) !== true || isDoubled(key, id) || isDoubled(key, write.id)) continue;
      world.violate(
        "preconditions",
        `op ${op.id} of ${key.name} took op ${id} for the present value, which op ${write.id} had replaced before`,
      );
    }
  }
}

/**
 * By any write that is stored: a row from before, merged with what the others have since, covers what it had held and what they
 * have replaced, but not the write that did so.
 */
function isReplaced(key: KeyState, mint: Mint): boolean {
  for (const other of key.dots.mints) if (other.durable && other.past.has(mint.op)) return true;
  return false;
}

/** A put's context may cover what its client had seen and the put itself, nothing else: "mine but not yours". */
export function judgeWriteContext(report: Report, op: Op, key: KeyState, context: Context): void {
  for (const mint of key.dots.covered(context)) {
    if (mint.op === op.id || op.past?.has(mint.op) === true || isReplaced(key, mint)) continue;
    report(
      "contexts",
      `the answer to op ${op.id} of ${key.name} has a context over op ${mint.op}, which its client has not seen`,
    );
  }
}

const STATUSES: Readonly<Record<string, readonly number[]>> = {
  put: [204, 409, 412, 503, 507],
  delete: [204, 409, 412, 503, 507],
  get: [200, 300, 404, 503],
  list: [200, 503],
};

export function judgeStatus(report: Report, kind: string, status: number, what: string): void {
  if (STATUSES[kind]?.includes(status) === true) return;
  report("honest-answers", `${what} was answered ${status}`);
}

/** `If-None-Match: *` cannot succeed on a key that has had a value since before it began. */
export function judgeCreation(world: World, op: Op, key: KeyState): void {
  if (metWeakHome(key, op)) return;
  for (const write of key.strong.slice(0, op.mark)) {
    if (!isAlive(world, key, write, op)) continue;
    world.violate(
      "preconditions",
      `op ${op.id} created ${key.name}, where a majority held op ${write.id} before it began`,
    );
  }
}

/**
 * The key has had a value since this put, as far as `op` could see: it has not ended, and whatever else deletes or has an end by
 * now it has itself replaced. REQUIRES: called when `op` has ended.
 */
export function isAlive(world: World, key: KeyState, put: Op, op: Op): boolean {
  const isMortal = (write: Op): boolean =>
    write.kind === "delete"
      ? write.status !== "fail"
      : !isSurelyLive(world.options, write, op.endMs);
  if (put.kind !== "put" || isMortal(put) || isDoubled(key, put.id)) return false;
  return world.ledger.ops.every((other) => {
    if (other.key !== key.name || other.id === op.id || !isMortal(other)) return true;
    return put.past?.has(other.id) === true && !isDoubled(key, other.id);
  });
}
