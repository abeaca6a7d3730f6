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
  /** The most recently used first, each key once. */
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
  return { newestStamp: session.newestStamp, minimum: entryOf(session, hash) ?? null };
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
  return withEntry(session, newestStamp(record), { hash, usedAtMs: nowMs, ...seen });
}

/** A write as its coordinator acknowledged it. */
export interface WrittenSibling extends Pick<Sibling, "dot" | "stamp" | "deleted" | "expiresAtMs"> {
  /** Of the record that the write left, if it left no other sibling; else null. */
  readonly context: Context | null;
}

/**
 * The session after its write was acknowledged. Unless the write is known to have replaced what the session had seen before
 * (a blind one at another node need not have), the entry asks for both.
 */
export function afterWrite(
  session: Session,
  hash: Hash64,
  written: WrittenSibling,
  nowMs: number,
): Session {
  const entry = entryOf(session, hash);
  const isReplaced =
    entry !== undefined && written.context !== null && descends(written.context, entry.dots);
  const before = isReplaced ? undefined : entry;
  const own = goneFromOf([written]);
  return withEntry(session, written.stamp, {
    hash,
    usedAtMs: nowMs,
    dots: mergeContexts(before?.dots ?? [], [written.dot]),
    goneFromMs: before === undefined ? own : laterOf(before.goneFromMs, own),
  });
}

/** The session without the entries that were last used before then. */
export function withoutOld(session: Session, usedSinceMs: number): Session {
  if (session.entries.every((entry) => entry.usedAtMs >= usedSinceMs)) return session;
  return {
    newestStamp: session.newestStamp,
    entries: session.entries.filter((entry) => entry.usedAtMs >= usedSinceMs),
  };
}

function entryOf(session: Session, hash: Hash64): SessionEntry | undefined {
  for (const entry of session.entries) {
    if (entry.hash.lo === hash.lo && entry.hash.hi === hash.hi) return entry;
  }
  return undefined;
}

function withEntry(session: Session, stamp: Stamp, entry: SessionEntry): Session {
  const entries = [entry];
  for (const other of session.entries) {
    if (entries.length >= SESSION_ENTRIES_MAX) break;
    if (other.hash.lo !== entry.hash.lo || other.hash.hi !== entry.hash.hi) entries.push(other);
  }
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
