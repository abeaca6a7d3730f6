/**
 * The algebra of records: a dotted version vector set (Almeida et al. 2014, section 4). Merge is commutative,
 * associative and idempotent, and never refuses; equal records have equal bytes.
 */
import { assert } from "./assert.ts";
import {
  compareDots,
  covers,
  descends,
  equalContexts,
  equalDots,
  mergeContexts,
  withDot,
} from "./context.ts";
import { COPIES_MAX, VALUE_BYTES_MAX } from "./limits.ts";
import type { CausalRecord, Context, Sibling, Stamp } from "./version.ts";

/** What a node holds of a key that it has never heard of. */
export const EMPTY_RECORD: CausalRecord = { context: [], siblings: [] };

/** What an entry and a sibling cost in memory besides their bytes: objects, strings, slots. An estimate. */
const RECORD_OVERHEAD_BYTES = 128;
const ENTRY_OVERHEAD_BYTES = 96;
const SIBLING_OVERHEAD_BYTES = 320;

/**
 * Keeps a sibling iff both sides hold it, or the other side's context does not cover its dot. Of two copies the one
 * that has its value is kept. Returns `a` itself when `b` adds nothing, else `b` itself when `a` adds nothing: callers
 * skip writes by identity.
 */
export function mergeRecords(a: CausalRecord, b: CausalRecord): CausalRecord {
  if (a === b) return a;
  const context = mergeContexts(a.context, b.context);
  const kept: Sibling[] = [];
  let sameAsA = context === a.context;
  let sameAsB = context === b.context || descends(b.context, context);
  let i = 0;
  let j = 0;
  while (i < a.siblings.length || j < b.siblings.length) {
    const left = a.siblings[i];
    const right = b.siblings[j];
    const order = compareSiblings(left, right);
    if (order <= 0) i++;
    if (order >= 0) j++;
    const sibling = mergeSibling(
      a,
      b,
      order <= 0 ? left : undefined,
      order >= 0 ? right : undefined,
    );
    if (sibling !== undefined) kept.push(sibling);
    if (order > 0 ? sibling !== undefined : sibling !== left) sameAsA = false;
    if (order < 0 ? sibling !== undefined : !isCopy(sibling, right)) sameAsB = false;
  }
  if (sameAsA) return a;
  if (sameAsB) return b;
  return { context, siblings: kept };
}

/** An absent sibling stands behind all others. REQUIRES: at least one is present. */
function compareSiblings(left: Sibling | undefined, right: Sibling | undefined): number {
  if (left === undefined) return 1;
  if (right === undefined) return -1;
  return compareDots(left.dot, right.dot);
}

/** What becomes of one dot, held by one side or by both. */
function mergeSibling(
  a: CausalRecord,
  b: CausalRecord,
  left: Sibling | undefined,
  right: Sibling | undefined,
): Sibling | undefined {
  if (left === undefined)
    return right !== undefined && covers(a.context, right.dot) ? undefined : right;
  if (right === undefined) return covers(b.context, left.dot) ? undefined : left;
  return left.value === null && right.value !== null ? right : left;
}

/** True when `right` may stand for `sibling`: the same dot, and no value less. */
function isCopy(sibling: Sibling | undefined, right: Sibling | undefined): boolean {
  if (sibling === right) return true;
  if (sibling === undefined || right === undefined) return false;
  return right.value !== null || sibling.value === null;
}

/**
 * A put at its coordinator. `context` is what the client has seen: exactly the siblings it covers are replaced, and the
 * new one stands beside the rest. `null` is a blind put: it replaces all that its coordinator holds at this moment.
 */
export function putSibling(
  local: CausalRecord | null,
  context: Context | null,
  sibling: Sibling,
): CausalRecord {
  const held = local ?? EMPTY_RECORD;
  assertStorable(sibling);
  assert(!covers(held.context, sibling.dot), "a new dot must be unseen by the record");
  assert(
    context === null || !covers(context, sibling.dot),
    "a new dot must be unseen by the client",
  );
  if (context === null) {
    return { context: withDot(held.context, sibling.dot), siblings: [sibling] };
  }
  const siblings: Sibling[] = [];
  let placed = false;
  for (const old of held.siblings) {
    if (covers(context, old.dot)) continue;
    if (!placed && compareDots(sibling.dot, old.dot) < 0) {
      siblings.push(sibling);
      placed = true;
    }
    siblings.push(old);
  }
  if (!placed) siblings.push(sibling);
  return { context: withDot(mergeContexts(held.context, context), sibling.dot), siblings };
}

/** The other door, the decoder, refuses what this would let in: such a row could be written but never read again. */
function assertStorable(sibling: Sibling): void {
  const { value, valueBytes, expiresAtMs, writeQuorum } = sibling;
  assert(value !== null && value.length === valueBytes, "a new sibling must bring its value");
  assert(valueBytes <= VALUE_BYTES_MAX, "a value must be within its limit");
  assert(Number.isSafeInteger(sibling.stamp) && sibling.stamp >= 0, "a stamp must be an integer");
  assert(
    Number.isSafeInteger(expiresAtMs) && expiresAtMs >= 0,
    "an expiry must be an integer of ms",
  );
  assert(writeQuorum >= 0 && writeQuorum <= COPIES_MAX, "a write quorum must be within the copies");
  assert(
    !sibling.deleted || (valueBytes === 0 && sibling.contentType === "" && sibling.metadata === ""),
    "a tombstone must be empty",
  );
}

/** True when merging `b` into `a` would change nothing, whether or not values were fetched. */
export function recordDescends(a: CausalRecord, b: CausalRecord): boolean {
  if (a === b) return true;
  if (!descends(a.context, b.context)) return false;
  for (const sibling of a.siblings) {
    if (covers(b.context, sibling.dot) && !holds(b, sibling)) return false;
  }
  return b.siblings.every((sibling) => covers(a.context, sibling.dot));
}

/** True when the record holds the very sibling; one dot, one value. */
export function holds(record: CausalRecord, sibling: Sibling): boolean {
  for (const other of record.siblings) if (equalDots(other.dot, sibling.dot)) return true;
  return false;
}

/** True when both encode to the same bytes; values are compared by their hashes, fetched or not. */
export function equalRecords(a: CausalRecord, b: CausalRecord): boolean {
  if (a === b) return true;
  if (a.siblings.length !== b.siblings.length || !equalContexts(a.context, b.context)) return false;
  for (let i = 0; i < a.siblings.length; i++) {
    if (!equalSiblings(a.siblings[i] as Sibling, b.siblings[i] as Sibling)) return false;
  }
  return true;
}

function equalSiblings(a: Sibling, b: Sibling): boolean {
  if (a === b) return true;
  return (
    equalDots(a.dot, b.dot) &&
    a.stamp === b.stamp &&
    a.deleted === b.deleted &&
    a.valueBytes === b.valueBytes &&
    a.valueHash.hi === b.valueHash.hi &&
    a.valueHash.lo === b.valueHash.lo &&
    a.contentType === b.contentType &&
    a.metadata === b.metadata &&
    a.expiresAtMs === b.expiresAtMs &&
    a.writeQuorum === b.writeQuorum &&
    a.sloppy === b.sloppy &&
    a.idempotencyKey === b.idempotencyKey &&
    a.bodyDigest === b.bodyDigest
  );
}

/** The highest stamp among the siblings, 0 for an empty record. */
export function newestStamp(record: CausalRecord): Stamp {
  let newest = 0;
  for (const sibling of record.siblings) if (sibling.stamp > newest) newest = sibling.stamp;
  return newest;
}

/** Neither deleted nor expired. */
export function isLive(sibling: Sibling, nowMs: number): boolean {
  return !sibling.deleted && (sibling.expiresAtMs === 0 || sibling.expiresAtMs > nowMs);
}

/** The record's own array when all are live. */
export function liveSiblings(record: CausalRecord, nowMs: number): readonly Sibling[] {
  for (const sibling of record.siblings) {
    if (!isLive(sibling, nowMs)) return record.siblings.filter((other) => isLive(other, nowMs));
  }
  return record.siblings;
}

/** The record as a digest read returns it: each sibling's value is null. The record itself when it has none. */
export function withoutValues(record: CausalRecord): CausalRecord {
  if (record.siblings.every((sibling) => sibling.value === null)) return record;
  const siblings = record.siblings.map((sibling) => ({ ...sibling, value: null }));
  return { context: record.context, siblings };
}

/** What the record costs in memory, in bytes: its values, fetched or not, its texts, and an estimate of the rest. */
export function recordBytes(record: CausalRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + record.context.length * ENTRY_OVERHEAD_BYTES;
  for (const sibling of record.siblings) {
    bytes += SIBLING_OVERHEAD_BYTES + sibling.valueBytes;
    bytes += sibling.contentType.length + sibling.metadata.length;
  }
  return bytes;
}
