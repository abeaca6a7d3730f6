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
  const SLOTS = 8;
  /** Times are rounded up to a 64th of the quiet period. */
  const TICK = QUIET / 64;

  test("a key is quiet again when its time has passed", () => {
    const keys = new TouchedKeys(QUIET, SLOTS, -QUIET);
    expect(keys.isQuiet(1, 0)).toBe(true);
    keys.touch(1, 0);
    expect(keys.isQuiet(1, QUIET - 1)).toBe(false);
    expect(keys.isQuiet(2, QUIET - 1)).toBe(true);
    expect(keys.isQuiet(1, QUIET + TICK)).toBe(true);
  });

  test("the start of a process counts as a touch of every key", () => {
    const keys = new TouchedKeys(QUIET, SLOTS, 50);
    expect(keys.isQuiet(1, 50 + QUIET - 1)).toBe(false);
    expect(keys.isQuiet(1, 50 + QUIET)).toBe(true);
  });

  test("many touched keys make others of their slots look touched, and no more than those", () => {
    const keys = new TouchedKeys(QUIET, SLOTS, -QUIET);
    for (let i = 0; i < 1_000; i++) keys.touch(3 + SLOTS * i, 0);
    expect(keys.isQuiet(3 - SLOTS, QUIET - 1)).toBe(false);
    expect(keys.isQuiet(4, 0)).toBe(true);
    expect(keys.isQuiet(3, QUIET + TICK)).toBe(true);
  });

  test("a process that has run for a hundred years still knows", () => {
    const hundredYearsMs = 100 * 366 * 24 * 3_600_000;
    const quietMs = 240_000;
    const keys = new TouchedKeys(quietMs, SLOTS, 0);
    keys.touch(1, hundredYearsMs);
    expect(keys.isQuiet(1, hundredYearsMs + quietMs - 1)).toBe(false);
    expect(keys.isQuiet(1, hundredYearsMs + 2 * quietMs)).toBe(true);
  });

  test("never calls a key quiet too early, whatever shares its slot", () => {
    const touches = fc.array(
      fc.tuple(fc.integer({ min: 0, max: 300 }), fc.integer({ min: -(2 ** 31), max: 2 ** 32 - 1 })),
    );
    const slots = fc.constantFrom(1, 2, 4);
    fc.assert(
      fc.property(touches, slots, fc.integer({ min: -500, max: 0 }), (all, slotCount, startMs) => {
        const keys = new TouchedKeys(QUIET, slotCount, startMs);
        const touchedMs = new Map<number, number>();
        let nowMs = 0;
        for (const [afterMs, key] of all) {
          nowMs += afterMs;
          keys.touch(key, nowMs);
          touchedMs.set(key, nowMs);
          for (const [each, atMs] of touchedMs) {
            if (keys.isQuiet(each, nowMs)) expect(nowMs - atMs).toBeGreaterThanOrEqual(QUIET);
          }
        }
        const laterMs = nowMs + QUIET + TICK;
        for (const each of touchedMs.keys()) expect(keys.isQuiet(each, laterMs)).toBe(true);
      }),
    );
  });
});
