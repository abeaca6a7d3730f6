import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { QuietRows, TouchedKeys } from "../../src/core/quiet.ts";

const QUIET = 1_000;

describe("QuietRows", () => {
  test("the start of a process counts as a change of every row", () => {
    const rows = new QuietRows(QUIET);
    expect(rows.quietUpTo(5_000_000)).toBe(-1);
    rows.sample(5_000_000, 7);
    expect(rows.quietUpTo(5_000_000 + QUIET - 1)).toBe(-1);
    expect(rows.quietUpTo(5_000_000 + QUIET)).toBe(7);
  });

  test("a row that changed after the sample is not quiet", () => {
    const rows = new QuietRows(QUIET);
    rows.sample(0, 7);
    rows.sample(QUIET / 2, 9);
    expect(rows.quietUpTo(QUIET)).toBe(7);
    expect(rows.quietUpTo(QUIET * 1.5)).toBe(9);
  });

  test("never calls a row quiet too early, and at last each one, in bounded memory", () => {
    const steps = fc.array(
      fc.record({ afterMs: fc.integer({ min: 0, max: 400 }), writes: fc.boolean() }),
    );
    fc.assert(
      fc.property(steps, (all) => {
        const rows = new QuietRows(QUIET);
        const changedMs: number[] = [];
        let nowMs = 0;
        for (const { afterMs, writes } of all) {
          nowMs += afterMs;
          if (writes) changedMs.push(nowMs);
          rows.sample(nowMs, changedMs.length);
          const upTo = rows.quietUpTo(nowMs);
          for (let sequence = 1; sequence <= upTo; sequence++) {
            expect(nowMs - (changedMs[sequence - 1] as number)).toBeGreaterThanOrEqual(QUIET);
          }
        }
        rows.sample(nowMs + QUIET, changedMs.length);
        expect(rows.quietUpTo(nowMs + 2 * QUIET)).toBe(changedMs.length);
        expect(JSON.stringify(rows).length).toBeLessThan(1_000);
      }),
    );
  });
});

describe("TouchedKeys", () => {
  test("a key is quiet again when its time has passed", () => {
    const keys = new TouchedKeys(QUIET, 10, -QUIET);
    expect(keys.isQuiet("a", 0)).toBe(true);
    keys.touch("a", 0);
    expect(keys.isQuiet("a", QUIET - 1)).toBe(false);
    expect(keys.isQuiet("b", QUIET - 1)).toBe(true);
    expect(keys.isQuiet("a", QUIET)).toBe(true);
  });

  test("the start of a process counts as a touch of every key", () => {
    const keys = new TouchedKeys(QUIET, 10, 50);
    expect(keys.isQuiet("a", 50 + QUIET - 1)).toBe(false);
    expect(keys.isQuiet("a", 50 + QUIET)).toBe(true);
  });

  test("with too many keys those that were forgotten count as touched, and the others still do", () => {
    const keys = new TouchedKeys(QUIET, 2, -QUIET);
    for (const [at, key] of ["a", "b", "c"].entries()) keys.touch(key, at * 100);
    expect(keys.isQuiet("a", 0 + QUIET - 1)).toBe(false);
    expect(keys.isQuiet("never seen", QUIET - 1)).toBe(false);
    expect(keys.isQuiet("a", QUIET)).toBe(true);
    expect(keys.isQuiet("c", QUIET)).toBe(false);
  });

  test("never calls a key quiet too early, whatever is forgotten", () => {
    const touches = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: 0, max: 8 })),
    );
    fc.assert(
      fc.property(touches, fc.integer({ min: 1, max: 4 }), (all, keysMax) => {
        const keys = new TouchedKeys(QUIET, keysMax, -QUIET);
        const touchedMs = new Map<string, number>();
        let nowMs = 0;
        for (const [afterMs, key] of all) {
          nowMs += afterMs;
          keys.touch(String(key), nowMs);
          touchedMs.set(String(key), nowMs);
          for (const [each, atMs] of touchedMs) {
            if (keys.isQuiet(each, nowMs)) expect(nowMs - atMs).toBeGreaterThanOrEqual(QUIET);
          }
        }
        for (const each of touchedMs.keys()) expect(keys.isQuiet(each, nowMs + QUIET)).toBe(true);
      }),
    );
  });
});
