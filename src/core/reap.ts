/**
 * When a record may be forgotten. What asks everybody for the proof is replication/reaper.ts; here is only what one node can
 * tell from a record and its own clock.
 */
import { isLive, newestStamp } from "./record.ts";
import type { CausalRecord, Sibling, Stamp } from "./version.ts";

const STAMPS_PER_MS = 1_000;

/**
 * True when every sibling is a tombstone or expired, and has been for longer than `graceMs`. Each owner judges by its own
 * clock, so a clock that runs ahead can forget nothing alone.
 */
export function isReapable(record: CausalRecord, nowMs: number, graceMs: number): boolean {
  if (record.siblings.length === 0) return false;
  return record.siblings.every(
    (sibling) => endedMs(sibling) + graceMs < nowMs && !isLive(sibling, nowMs),
  );
}

/** True when nothing was written for longer than `graceMs`: sessions that have seen what came before have forgotten it. */
export function isSettled(record: CausalRecord, nowMs: number, graceMs: number): boolean {
  return newestStamp(record) / STAMPS_PER_MS + graceMs < nowMs;
}

/** When the sibling ceased to be live, by the clocks that wrote it; Infinity for a value that never does. */
function endedMs(sibling: Sibling): number {
  const writtenMs = sibling.stamp / STAMPS_PER_MS;
  if (sibling.deleted) return writtenMs;
  if (sibling.expiresAtMs === 0) return Number.POSITIVE_INFINITY;
  return Math.max(writtenMs, sibling.expiresAtMs);
}

/** The lowest stamp among the siblings, Infinity for an empty record. */
export function oldestStamp(record: CausalRecord): Stamp {
  let oldest = Number.POSITIVE_INFINITY;
  for (const sibling of record.siblings) if (sibling.stamp < oldest) oldest = sibling.stamp;
  return oldest;
}

/**
 * True when a row that a member keeps aside may hold what the reaped record has replaced: one of its siblings is as old. A
 * record's stamps are above those of all that it covers, so a row with nothing so old was written after it.
 */
export function mayReturn(aside: CausalRecord, reaped: Stamp): boolean {
  return oldestStamp(aside) <= reaped;
}

/** Why a member's answer keeps a key from being reaped. The numbers go over the wire. */
export const REAP_ANSWERS = {
  agreed: 0,
  /** Its row is another one, or none. */
  different: 1,
  /** Its row, or what it kept aside, changed within 4 x D, or it has not run for so long. */
  unquiet: 2,
  /** It is in doubt of the unit, or cannot read the row. */
  unknown: 3,
  /** It keeps a hint, a left-over or a restored row that may hold what the record replaced. */
  aside: 4,
  /** By its clock the record is alive, or not dead for long enough. */
  early: 5,
} as const;

export type ReapAnswer = keyof typeof REAP_ANSWERS;
