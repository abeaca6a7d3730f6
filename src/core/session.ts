/**
 * What a session has seen, key by key, so that a later read of the session shows no less: read your writes and monotonic
 * reads (Terry et al., "Session Guarantees for Weakly Consistent Replicated Data", 1994). Immutable values; the token that
 * carries one is in session-codec.ts.
 */
import { descends, mergeContexts } from "./context.ts";
import type { Hash64 } from "./hasher.ts";
import { SESSION_ENTRIES_MAX } from "./limits.ts";
import { newestStamp } from "./record.ts";
import type { CausalRecord, Context, Sibling, Stamp } from "./version.ts";

/** What the merged record of a read must have in it. */
export interface Minimum {
  /**
   * The dots of the siblings that were seen, not the whole context: a record that covers a dot has merged the record it
   * came with, and so all that it replaced. They are few, and the reaper's compaction of old columns leaves them alone.
   */
  readonly dots: Context;
  /**
   * From when on there is nothing to be seen of them, in ms since 1970: 0 for tombstones, the last expiry for values that
   * expire, null for never. Then a replica without the key shows no less: the record may have been reaped.
   */
  readonly goneFromMs: number | null;
}

export interface SessionEntry extends Minimum {
  /** Of the namespace id and the key. */
  readonly hash: Hash64;
  /** When the session last read or wrote the key, in the monotonic time of the node that answers: negative when long ago. */
  readonly usedAtMs: number;
}

/** The time of one answer, in whole ms. */
export interface SessionTime {
  /** Monotonic. */
  readonly nowMs: number;
  /** Since 1970; null while nobody vouches for this node's wall clock: then a session does not age from here, or to here. */
  readonly confirmedMs: number | null;
}

export interface Session {
  /** The newest stamp that was read or written: a write of the session is newer, whatever the clocks say. */
  readonly newestStamp: Stamp;
  /** The most recently used first. A key may have several: what a write need not have replaced ages for itself. */
  readonly entries: readonly SessionEntry[];
}

/** What a session asks of one request. */
export interface SessionDemand {
  readonly newestStamp: Stamp;
  /** Null when the session has not seen the key. */
  readonly minimum: Minimum | null;
}

export const NEW_SESSION: Session = { newestStamp: 0, entries: [] };

export function demandOf(session: Session, hash: Hash64): SessionDemand {
  let minimum: Minimum | null = null;
  for (const entry of session.entries) {
    if (!sameHash(entry.hash, hash)) continue;
    minimum = minimum === null ? entry : bothOf(minimum, entry);
  }
  return { newestStamp: session.newestStamp, minimum };
}

function bothOf(a: Minimum, b: Minimum): Minimum {
  return {
    dots: mergeContexts(a.dots, b.dots),
    goneFromMs: laterOf(a.goneFromMs, b.goneFromMs),
  };
}

/** True when a read that found `record` (null for none) shows all that the session has seen of the key. */
export function reaches(record: CausalRecord | null, minimum: Minimum, nowMs: number): boolean {
  if (record !== null) return descends(record.context, minimum.dots);
  return minimum.goneFromMs !== null && minimum.goneFromMs <= nowMs;
}

/**
 * The session after a read that reached its minimum. A key that was nowhere leaves the entry, if there is one, to age:
 * it asks for no less than before.
 */
export function afterRead(
  session: Session,
  hash: Hash64,
  record: CausalRecord | null,
  nowMs: number,
): Session {
  if (record === null || record.siblings.length === 0) return session;
  let dots: Context = [];
  for (const sibling of record.siblings) dots = mergeContexts(dots, [sibling.dot]);
  const seen = { dots, goneFromMs: goneFromOf(record.siblings) };
  const others = session.entries.filter((entry) => !sameHash(entry.hash, hash));
  return withEntry(session, newestStamp(record), { hash, usedAtMs: nowMs, ...seen }, others);
}

/** A write as its coordinator acknowledged it. */
export interface WrittenSibling extends Pick<Sibling, "dot" | "stamp" | "deleted" | "expiresAtMs"> {
  /** Of the record that the write left, if it left no other sibling; else null. */
  readonly context: Context | null;
}

/**
 * The session after its write was acknowledged. Unless the write is known to have replaced what the session had seen before
 * (a blind one at another node need not have), both are asked for. What was seen before ages on: a tombstone that was reaped
 * since is in no record any more, and a session that only writes would be asking for it for ever.
 */
export function afterWrite(
  session: Session,
  hash: Hash64,
  written: WrittenSibling,
  nowMs: number,
): Session {
  const dots = [written.dot];
  let goneFromMs = goneFromOf([written]);
  const others: SessionEntry[] = [];
  for (const entry of session.entries) {
    const isOfKey = sameHash(entry.hash, hash);
    if (isOfKey && written.context !== null && descends(written.context, entry.dots)) continue;
    if (!isOfKey || !descends(dots, entry.dots)) others.push(entry);
    // An earlier dot of the same coordinator: whoever has the later one has it, or what replaced it.
    else goneFromMs = laterOf(goneFromMs, entry.goneFromMs);
  }
  return withEntry(session, written.stamp, { hash, usedAtMs: nowMs, dots, goneFromMs }, others);
}

/** The session without the entries that were last used before then. */
export function withoutOld(session: Session, usedSinceMs: number): Session {
  if (session.entries.every((entry) => entry.usedAtMs >= usedSinceMs)) return session;
  return {
    newestStamp: session.newestStamp,
    entries: session.entries.filter((entry) => entry.usedAtMs >= usedSinceMs),
  };
}

function sameHash(a: Hash64, b: Hash64): boolean {
  return a.lo === b.lo && a.hi === b.hi;
}

function withEntry(
  session: Session,
  stamp: Stamp,
  entry: SessionEntry,
  others: readonly SessionEntry[],
): Session {
  const entries = [entry, ...others].slice(0, SESSION_ENTRIES_MAX);
  return { newestStamp: Math.max(session.newestStamp, stamp), entries };
}

function goneFromOf(siblings: readonly Pick<Sibling, "deleted" | "expiresAtMs">[]): number | null {
  let goneFromMs: number | null = 0;
  for (const { deleted, expiresAtMs } of siblings) {
    if (deleted) continue;
    goneFromMs = laterOf(goneFromMs, expiresAtMs === 0 ? null : expiresAtMs);
  }
  return goneFromMs;
}

/** Null is never. */
function laterOf(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : Math.max(a, b);
}
