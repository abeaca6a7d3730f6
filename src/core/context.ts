/**
 * The algebra of causal contexts: version vectors as sorted arrays (types: version.ts). Contexts have a handful of
 * entries, so every walk is linear. Functions return an argument itself, not a copy, when it is already the answer.
 */
import { FormatError } from "./errors.ts";
import type { ActorId } from "./ids.ts";
import { COUNTER_MAX, EPOCH_MAX } from "./limits.ts";
import type { Context, Dot } from "./version.ts";

/** By actor bytes, then epoch, then counter. Negative, zero or positive. */
export function compareDots(a: Dot, b: Dot): number {
  return compareColumns(a, b) || a.counter - b.counter;
}

function compareColumns(a: Dot, b: Dot): number {
  if (a.actor === b.actor) return a.epoch - b.epoch;
  return a.actor < b.actor ? -1 : 1;
}

export function equalDots(a: Dot, b: Dot): boolean {
  return a.counter === b.counter && a.epoch === b.epoch && a.actor === b.actor;
}

/** The highest counter seen of one column, 0 for none. */
export function entryOf(context: Context, actor: ActorId, epoch: number): number {
  for (const entry of context) {
    if (entry.epoch === epoch && entry.actor === actor) return entry.counter;
  }
  return 0;
}

/** True when the holder of the context has seen the dot. */
export function covers(context: Context, dot: Dot): boolean {
  return entryOf(context, dot.actor, dot.epoch) >= dot.counter;
}

/** The newest (epoch, counter) of one actor; null when the context has none of it. */
export function highestOf(
  context: Context,
  actor: ActorId,
): { readonly epoch: number; readonly counter: number } | null {
  let highest: Dot | null = null;
  for (const entry of context) {
    // The epochs of an actor stand together and rise.
    if (entry.actor === actor) highest = entry;
  }
  return highest;
}

/** True when `a` has seen everything that `b` has. */
export function descends(a: Context, b: Context): boolean {
  if (a === b) return true;
  if (a.length < b.length) return false;
  let at = 0;
  for (const entry of b) {
    let own = a[at];
    while (own !== undefined && compareColumns(own, entry) < 0) own = a[++at];
    if (own === undefined || own.epoch !== entry.epoch || own.actor !== entry.actor) return false;
    if (own.counter < entry.counter) return false;
    at++;
  }
  return true;
}

export function equalContexts(a: Context, b: Context): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) {
    if (!equalDots(a[i] as Dot, b[i] as Dot)) return false;
  }
  return true;
}

/** The least context that has seen what either has. Returns `a` when it has seen all, else `b` when that has. */
export function mergeContexts(a: Context, b: Context): Context {
  if (descends(a, b)) return a;
  if (descends(b, a)) return b;
  const merged: Dot[] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    const left = a[i];
    const right = b[j];
    const order = orderOf(left, right);
    if (order < 0) merged.push(left as Dot);
    else if (order > 0) merged.push(right as Dot);
    else
      merged.push((left as Dot).counter >= (right as Dot).counter ? (left as Dot) : (right as Dot));
    if (order <= 0) i++;
    if (order >= 0) j++;
  }
  return merged;
}

/** An absent entry stands behind all others. */
function orderOf(left: Dot | undefined, right: Dot | undefined): number {
  if (left === undefined) return 1;
  if (right === undefined) return -1;
  return compareColumns(left, right);
}

/** The context that has seen the dot as well; `context` itself when it has already. */
export function withDot(context: Context, dot: Dot): Context {
  return covers(context, dot) ? context : mergeContexts(context, [dot]);
}

/** @throws FormatError unless sorted, each column once, and all numbers in range: what a stranger claims is a context. */
export function validateContext(context: Context): void {
  for (let i = 0; i < context.length; i++) {
    const entry = context[i] as Dot;
    if (entry.actor.length !== 16)
      throw new FormatError(`Cannot accept context: actor of entry ${i}`);
    if (!isWithin(entry.epoch, 0, EPOCH_MAX) || !isWithin(entry.counter, 1, COUNTER_MAX)) {
      throw new FormatError(
        `Cannot accept context, number out of range: ${entry.epoch}/${entry.counter}`,
      );
    }
    if (i > 0 && compareColumns(context[i - 1] as Dot, entry) >= 0) {
      throw new FormatError(`Cannot accept context: entry ${i} is out of order`);
    }
  }
}

function isWithin(value: number, min: number, max: number): boolean {
  return Number.isInteger(value) && value >= min && value <= max;
}
