import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SESSION_BYTES_MAX, SESSION_ENTRIES_MAX, SESSION_LIFE_MS } from "../../src/core/limits.ts";
import { NEW_SESSION, type Session, type SessionEntry } from "../../src/core/session.ts";
import { decodeSession, encodeSession } from "../../src/core/session-codec.ts";
import { arbitraryContext, dotOf } from "../support/arbitraries.ts";

const NOW = 1_767_225_600_000;

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
        const bytes = encodeSession(session, NOW, 1_000_000);
        expect(decodeSession(bytes, NOW)).toEqual(session);
      }),
      { numRuns: 300 },
    );
  });

  test("never exceed what they may take, and lack only the least recently used keys", () => {
    fc.assert(
      fc.property(arbitrarySession, fc.integer({ min: 19, max: 2_000 }), (session, bytesMax) => {
        const bytes = encodeSession(session, NOW, bytesMax);
        expect(bytes.length).toBeLessThanOrEqual(bytesMax);
        const { entries } = decodeSession(bytes, NOW);
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
    const bytes = encodeSession({ newestStamp: NOW * 1000, entries }, NOW, SESSION_BYTES_MAX);
    expect(bytes.length).toBeLessThan(SESSION_BYTES_MAX / 2);
    expect(decodeSession(bytes, NOW).entries).toHaveLength(SESSION_ENTRIES_MAX);
  });

  test("that were cut short or have more behind them are refused, and never read past their end", () => {
    fc.assert(
      fc.property(arbitrarySession, fc.nat(), (session, at) => {
        const bytes = encodeSession(session, NOW, 1_000_000);
        expect(() => decodeSession(bytes.slice(0, at % bytes.length), NOW)).toThrow();
        expect(() => decodeSession(Uint8Array.of(...bytes, 0), NOW)).toThrow();
      }),
      { numRuns: 100 },
    );
  });

  test("of strangers either make a valid session or are refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        let session: Session | null = null;
        try {
          session = decodeSession(bytes, NOW);
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
      session = decodeSession(encodeSession(session, nowMs, SESSION_BYTES_MAX), nowMs);
      expect(session.entries).toHaveLength(1);
    }
    const laterMs = NOW + SESSION_LIFE_MS + 1;
    const renewed = decodeSession(encodeSession(session, laterMs, SESSION_BYTES_MAX), laterMs);
    expect(renewed).toEqual({ newestStamp: 5, entries: [] });
  });

  test("is over for all of it an hour after its last answer", () => {
    const session: Session = { newestStamp: 5, entries: [{ ...entry, usedAtMs: NOW }] };
    const bytes = encodeSession(session, NOW, SESSION_BYTES_MAX);
    expect(decodeSession(bytes, NOW + SESSION_LIFE_MS)).toEqual(session);
    expect(decodeSession(bytes, NOW + SESSION_LIFE_MS + 1)).toEqual(NEW_SESSION);
  });

  test("is none when the clock that issued it was ahead", () => {
    const session: Session = { newestStamp: 5, entries: [{ ...entry, usedAtMs: NOW }] };
    const bytes = encodeSession(session, NOW - 60_000, SESSION_BYTES_MAX);
    expect(decodeSession(bytes, NOW).entries).toEqual([{ ...entry, usedAtMs: NOW - 60_000 }]);
  });
});
