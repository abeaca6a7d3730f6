import { describe, expect, test } from "bun:test";
import { SESSION_ENTRIES_MAX } from "../../src/core/limits.ts";
import {
  afterRead,
  afterWrite,
  demandOf,
  NEW_SESSION,
  reaches,
  type Session,
  withoutOld,
} from "../../src/core/session.ts";
import type { CausalRecord, Sibling } from "../../src/core/version.ts";
import { dotOf, siblingOf, tombstoneOf } from "../support/arbitraries.ts";

const K = { hi: 1, lo: 1 };
const NOW = 1_767_225_600_000;

function recordOf(...siblings: readonly Sibling[]): CausalRecord {
  return { context: siblings.map((sibling) => sibling.dot), siblings };
}

/** A write of which nobody knows what it replaced. */
function blind(sibling: Sibling) {
  return { ...sibling, context: null };
}

function minimumOf(session: Session, hash = K) {
  const { minimum } = demandOf(session, hash);
  if (minimum === null) throw new Error("nothing was seen");
  return minimum;
}

describe("a session", () => {
  test("asks for nothing of a key that it has not seen", () => {
    const session = afterRead(NEW_SESSION, K, recordOf(siblingOf(dotOf(1, 0, 3))), NOW);
    expect(demandOf(session, { hi: 1, lo: 2 })).toEqual({
      newestStamp: siblingOf(dotOf(1, 0, 3)).stamp,
      minimum: null,
    });
    expect(demandOf(session, { hi: 2, lo: 1 }).minimum).toBeNull();
  });

  test("asks for every sibling that a read found, and for no more than these", () => {
    const [a, b] = [siblingOf(dotOf(1, 0, 3)), siblingOf(dotOf(2, 1, 7))];
    const context = [dotOf(1, 0, 3), dotOf(2, 0, 9), dotOf(2, 1, 7)];
    const session = afterRead(NEW_SESSION, K, { context, siblings: [a, b] }, NOW);
    expect(minimumOf(session).dots).toEqual([a.dot, b.dot]);
    expect(reaches(recordOf(a), minimumOf(session), NOW)).toBe(false);
    expect(reaches(recordOf(a, b), minimumOf(session), NOW)).toBe(true);
  });

  test("takes a later value of the same coordinator for the one it has seen", () => {
    const session = afterRead(NEW_SESSION, K, recordOf(siblingOf(dotOf(1, 0, 3))), NOW);
    expect(reaches(recordOf(siblingOf(dotOf(1, 0, 2))), minimumOf(session), NOW)).toBe(false);
    expect(reaches(recordOf(siblingOf(dotOf(1, 0, 4))), minimumOf(session), NOW)).toBe(true);
  });

  test("asks after a write for what it had read before as well: a blind one need not replace it", () => {
    const read = afterRead(NEW_SESSION, K, recordOf(siblingOf(dotOf(1, 0, 3))), NOW);
    const session = afterWrite(read, K, blind(siblingOf(dotOf(2, 0, 1))), NOW);
    expect(reaches(recordOf(siblingOf(dotOf(2, 0, 1))), minimumOf(session), NOW)).toBe(false);
    const both = recordOf(siblingOf(dotOf(1, 0, 3)), siblingOf(dotOf(2, 0, 1)));
    expect(reaches(both, minimumOf(session), NOW)).toBe(true);
  });

  test("lets what it had read before age while it only writes: a tombstone that was reaped would be asked for for ever", () => {
    const minuteMs = 60_000;
    let session = afterRead(NEW_SESSION, K, recordOf(tombstoneOf(dotOf(1, 0, 3))), NOW);
    let own = siblingOf(dotOf(2, 0, 1));
    for (let counter = 1; counter <= 3; counter++) {
      own = siblingOf(dotOf(2, 0, counter));
      const written = { ...own, context: [own.dot] };
      session = afterWrite(session, K, written, NOW + counter * minuteMs);
      expect(session.entries).toHaveLength(2);
    }
    expect(reaches(recordOf(own), minimumOf(session), NOW)).toBe(false);
    const aged = withoutOld(session, NOW + minuteMs);
    expect(reaches(recordOf(own), minimumOf(aged), NOW)).toBe(true);
    expect(reaches(recordOf(siblingOf(dotOf(2, 0, 2))), minimumOf(aged), NOW)).toBe(false);
  });

  test("takes a write for all earlier ones of the same coordinator, of which one may still live", () => {
    const first = afterWrite(NEW_SESSION, K, blind(siblingOf(dotOf(2, 0, 1))), NOW);
    const session = afterWrite(first, K, blind(tombstoneOf(dotOf(2, 0, 2))), NOW);
    expect(session.entries).toHaveLength(1);
    expect(reaches(null, minimumOf(session), NOW)).toBe(false);
  });

  test("asks for its write alone when that is known to have replaced what it had read", () => {
    const [old, dot] = [dotOf(1, 0, 3), dotOf(2, 0, 1)];
    const read = afterRead(NEW_SESSION, K, recordOf(siblingOf(old)), NOW);
    const replaced = afterWrite(read, K, { ...tombstoneOf(dot), context: [old, dot] }, NOW);
    expect(minimumOf(replaced)).toMatchObject({ dots: [dot], goneFromMs: 0 });
    const beside = afterWrite(read, K, { ...tombstoneOf(dot), context: [dot] }, NOW);
    expect(minimumOf(beside)).toMatchObject({ dots: [old, dot], goneFromMs: null });
  });

  test("remembers the newest stamp of all that it read and wrote", () => {
    const dot = dotOf(1, 0, 1);
    const read = afterRead(NEW_SESSION, K, recordOf(siblingOf(dot, { stamp: 70 })), NOW);
    const session = afterWrite(read, { hi: 9, lo: 9 }, blind(siblingOf(dot, { stamp: 60 })), NOW);
    expect(session.newestStamp).toBe(70);
  });

  test("forgets the least recently used of more than 64 keys", () => {
    let session = NEW_SESSION;
    const record = recordOf(siblingOf(dotOf(1, 0, 1)));
    for (let lo = 0; lo < SESSION_ENTRIES_MAX; lo++) {
      session = afterRead(session, { hi: 0, lo }, record, NOW);
    }
    session = afterRead(session, { hi: 0, lo: 0 }, record, NOW);
    session = afterRead(session, { hi: 0, lo: 99 }, record, NOW);
    expect(session.entries).toHaveLength(SESSION_ENTRIES_MAX);
    expect(demandOf(session, { hi: 0, lo: 0 }).minimum).not.toBeNull();
    expect(demandOf(session, { hi: 0, lo: 1 }).minimum).toBeNull();
  });
});

describe("a key that is nowhere", () => {
  const dot = dotOf(1, 0, 3);

  test("shows no less than a deletion that the session has seen, since that may have been reaped", () => {
    const session = afterRead(NEW_SESSION, K, recordOf(tombstoneOf(dot)), NOW);
    expect(reaches(null, minimumOf(session), NOW)).toBe(true);
    expect(reaches(recordOf(siblingOf(dotOf(1, 0, 2))), minimumOf(session), NOW)).toBe(false);
  });

  test("shows less than a value, until the last of them has expired", () => {
    const record = recordOf(
      siblingOf(dot, { expiresAtMs: NOW + 5 }),
      tombstoneOf(dotOf(2, 0, 1)),
      siblingOf(dotOf(3, 0, 1), { expiresAtMs: NOW + 9 }),
    );
    const session = afterRead(NEW_SESSION, K, record, NOW);
    expect(reaches(null, minimumOf(session), NOW + 8)).toBe(false);
    expect(reaches(null, minimumOf(session), NOW + 9)).toBe(true);
    const lasting = afterRead(NEW_SESSION, K, recordOf(siblingOf(dot)), NOW);
    expect(reaches(null, minimumOf(lasting), Number.MAX_SAFE_INTEGER)).toBe(false);
  });

  test("shows less than a value that the session saw before its own blind delete", () => {
    const read = afterRead(NEW_SESSION, K, recordOf(siblingOf(dotOf(2, 0, 1))), NOW);
    const session = afterWrite(read, K, blind(tombstoneOf(dot)), NOW);
    expect(reaches(null, minimumOf(session), NOW)).toBe(false);
  });

  test("leaves what the session has seen as it was, and as old", () => {
    const session = afterRead(NEW_SESSION, K, recordOf(tombstoneOf(dot)), NOW);
    expect(afterRead(session, K, null, NOW + 1_000)).toBe(session);
  });
});
