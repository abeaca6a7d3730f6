import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SESSION_BYTES_MAX, SESSION_ENTRIES_MAX, SESSION_LIFE_MS } from "../../src/core/limits.ts";
import {
  NEW_SESSION,
  type Session,
  type SessionEntry,
  type SessionTime,
} from "../../src/core/session.ts";
import { decodeSession, encodeSession } from "../../src/core/session-codec.ts";
import { arbitraryContext, dotOf } from "../support/arbitraries.ts";

const NOW = 1_767_225_600_000;
const HOUR_MS = 3_600_000;
const at = (ms: number): SessionTime => ({ nowMs: ms, confirmedMs: ms });

const arbitraryEntry: fc.Arbitrary<SessionEntry> = fc.record({
  hash: fc.record({ hi: fc.nat(2 ** 32 - 1), lo: fc.nat(2 ** 32 - 1) }),
  usedAtMs: fc.integer({ min: NOW - SESSION_LIFE_MS, max: NOW }),
  dots: arbitraryContext,
  goneFromMs: fc.option(fc.nat(NOW * 2), { nil: null }),
});

const arbitrarySession: fc.Arbitrary<Session> = fc.record({
  newestStamp: fc.maxSafeNat(),
  entries: fc.array(arbitraryEntry, { maxLength: SESSION_ENTRIES_MAX }),
});

describe("the bytes of a session", () => {
  test("come back as the session they were made of", () => {
    fc.assert(
      fc.property(arbitrarySession, (session) => {
        const bytes = encodeSession(session, at(NOW), 1_000_000);
        expect(decodeSession(bytes, at(NOW))).toEqual(session);
      }),
      { numRuns: 300 },
    );
  });

  test("never exceed what they may take, and lack only the least recently used keys", () => {
    fc.assert(
      fc.property(arbitrarySession, fc.integer({ min: 19, max: 2_000 }), (session, bytesMax) => {
        const bytes = encodeSession(session, at(NOW), bytesMax);
        expect(bytes.length).toBeLessThanOrEqual(bytesMax);
        const { entries } = decodeSession(bytes, at(NOW));
        expect(entries).toEqual(session.entries.slice(0, entries.length));
      }),
      { numRuns: 300 },
    );
  });

  test("hold 64 keys of three coordinators with room to spare", () => {
    const dots = [dotOf(1, 9, 2 ** 40), dotOf(2, 9, 2 ** 40), dotOf(3, 9, 2 ** 40)];
    const entries = Array.from({ length: SESSION_ENTRIES_MAX }, (_, lo) => ({
      ...{ hash: { hi: 7, lo }, usedAtMs: NOW, dots, goneFromMs: null },
    }));
    const bytes = encodeSession({ newestStamp: NOW * 1000, entries }, at(NOW), SESSION_BYTES_MAX);
    expect(bytes.length).toBeLessThan(SESSION_BYTES_MAX / 2);
    expect(decodeSession(bytes, at(NOW)).entries).toHaveLength(SESSION_ENTRIES_MAX);
  });

  test("that were cut short or have more behind them are refused, and never read past their end", () => {
    fc.assert(
      fc.property(arbitrarySession, fc.nat(), (session, end) => {
        const bytes = encodeSession(session, at(NOW), 1_000_000);
        expect(() => decodeSession(bytes.slice(0, end % bytes.length), at(NOW))).toThrow();
        expect(() => decodeSession(Uint8Array.of(...bytes, 0), at(NOW))).toThrow();
      }),
      { numRuns: 100 },
    );
  });

  test("of strangers either make a valid session or are refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        let session: Session | null = null;
        try {
          session = decodeSession(bytes, at(NOW));
        } catch (error) {
          expect((error as Error).name).toBe("FormatError");
        }
        expect(session?.entries.length ?? 0).toBeLessThanOrEqual(SESSION_ENTRIES_MAX);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe("the age of a session", () => {
  const entry = { hash: { hi: 1, lo: 1 }, dots: [dotOf(1, 0, 1)], goneFromMs: null };

  test("runs for each key from its last use, however often the token is renewed", () => {
    let session: Session = { newestStamp: 5, entries: [{ ...entry, usedAtMs: NOW }] };
    for (let passedMs = 0; passedMs <= SESSION_LIFE_MS; passedMs += 250) {
      const nowMs = NOW + passedMs;
      session = decodeSession(encodeSession(session, at(nowMs), SESSION_BYTES_MAX), at(nowMs));
      expect(session.entries).toHaveLength(1);
    }
    const laterMs = NOW + SESSION_LIFE_MS + 1;
    const renewed = decodeSession(
      encodeSession(session, at(laterMs), SESSION_BYTES_MAX),
      at(laterMs),
    );
    expect(renewed).toEqual({ newestStamp: 5, entries: [] });
  });

  test("is over for all of it an hour after its last answer", () => {
    const session: Session = { newestStamp: 5, entries: [{ ...entry, usedAtMs: NOW }] };
    const bytes = encodeSession(session, at(NOW), SESSION_BYTES_MAX);
    expect(decodeSession(bytes, at(NOW + SESSION_LIFE_MS))).toEqual(session);
    expect(decodeSession(bytes, at(NOW + SESSION_LIFE_MS + 1))).toEqual(NEW_SESSION);
  });

  test("is none when the clock that issued it was ahead", () => {
    const session: Session = { newestStamp: 5, entries: [{ ...entry, usedAtMs: NOW }] };
    const bytes = encodeSession(session, at(NOW), SESSION_BYTES_MAX);
    const behind = { nowMs: NOW, confirmedMs: NOW - 60_000 };
    expect(decodeSession(bytes, behind)).toEqual(session);
  });

  test("does not run from or to a clock that nobody vouches for, and runs by the node's own monotonic time", () => {
    const nowMs = 500;
    const unknown = { nowMs, confirmedMs: null };
    const session: Session = { newestStamp: 5, entries: [{ ...entry, usedAtMs: nowMs - 60_000 }] };
    const far = { nowMs, confirmedMs: NOW + 33 * HOUR_MS };
    const times = [
      [unknown, far],
      [far, unknown],
      [unknown, unknown],
      [far, { nowMs, confirmedMs: NOW }],
    ] as const;
    for (const [issued, read] of times) {
      const bytes = encodeSession(session, issued, SESSION_BYTES_MAX);
      expect(decodeSession(bytes, read)).toEqual(session);
    }
    const bytes = encodeSession(session, { nowMs, confirmedMs: NOW }, SESSION_BYTES_MAX);
    const rested = decodeSession(bytes, { nowMs: 70, confirmedMs: NOW + 1_000 });
    expect(rested.entries[0]?.usedAtMs).toBe(70 - 61_000);
    expect(decodeSession(bytes, far)).toEqual(NEW_SESSION);
  });
});
