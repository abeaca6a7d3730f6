import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { HybridClock } from "../../src/core/clock.ts";
import { CLOCK_AHEAD_MAX_MS, STAMP_MAX } from "../../src/core/limits.ts";

function clockAt(startMs: number) {
  const wall = { ms: startMs };
  return { wall, clock: new HybridClock(() => wall.ms) };
}

describe("HybridClock", () => {
  test("follows the wall in whole microseconds", () => {
    const { wall, clock } = clockAt(1_700_000_000_000.123);
    expect(clock.stampAfter()).toBe(1_700_000_000_000_124);
    wall.ms += 5;
    expect(clock.stampAfter()).toBe(1_700_000_000_005_124);
  });

  test("never goes back when the wall does, and rises within one tick", () => {
    const { wall, clock } = clockAt(2000);
    const first = clock.stampAfter();
    wall.ms = 10;
    expect(clock.stampAfter()).toBe(first + 1);
    expect(clock.stampAfter()).toBe(first + 2);
  });

  test("rises also when the wall was set back by more than the bound", () => {
    // Found by the property below: the bound on received stamps had held back the clock's own step.
    const { wall, clock } = clockAt(CLOCK_AHEAD_MAX_MS * 10);
    const first = clock.stampAfter();
    wall.ms = 0;
    expect(clock.stampAfter()).toBe(first + 1);
    expect(clock.stampAfter()).toBe(first + 2);
  });

  test("a stamp is above all its floors, however far ahead they are", () => {
    const { clock } = clockAt(1000);
    const far = 1000 * 1000 + CLOCK_AHEAD_MAX_MS * 1000 * 50;
    expect(clock.stampAfter(5, far)).toBe(far + 1);
    expect(clock.stampAfter(far)).toBe(far + 1);
  });

  test("neither a received stamp nor a floor moves the clock more than 60 s ahead of the wall", () => {
    for (const meet of [
      (clock: HybridClock) => clock.observe(STAMP_MAX),
      (clock: HybridClock) => clock.stampAfter(STAMP_MAX - 1),
    ]) {
      const { wall, clock } = clockAt(1000);
      meet(clock);
      expect(clock.stampAfter()).toBe((1000 + CLOCK_AHEAD_MAX_MS) * 1000 + 1);
      wall.ms = 200_000;
      expect(clock.stampAfter()).toBe(200_000_001);
    }
  });

  test("a received stamp within the bound is followed", () => {
    const { clock } = clockAt(1000);
    clock.observe(1_500_000);
    clock.observe(7);
    expect(clock.stampAfter()).toBe(1_500_001);
  });

  test("at the end of its range it stops rising and stays exact", () => {
    const { clock } = clockAt(1000);
    expect(clock.stampAfter(STAMP_MAX)).toBe(STAMP_MAX);
    expect(clock.stampAfter(STAMP_MAX - 1)).toBe(STAMP_MAX);
  });

  test("expiry is judged by the wall or by what was seen, whichever is later", () => {
    const { wall, clock } = clockAt(1000);
    expect(clock.nowForExpiryMs()).toBe(1000);
    clock.observe(3_000_000);
    expect(clock.nowForExpiryMs()).toBe(3000);
    wall.ms = 5000.5;
    expect(clock.nowForExpiryMs()).toBe(5000.5);
  });

  test("stamps rise strictly under any walls, floors and received stamps", () => {
    const step = fc.record({
      wallMs: fc.nat(1_000_000),
      seen: fc.nat(1_000_000_000),
      floor: fc.nat(1_000_000_000),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const { wall, clock } = clockAt(0);
        let last = 0;
        for (const { wallMs, seen, floor } of steps) {
          wall.ms = wallMs;
          clock.observe(seen);
          expect(clock.stampAfter(floor)).toBeGreaterThan(floor);
          const stamp = clock.stampAfter();
          expect(Number.isSafeInteger(stamp)).toBe(true);
          expect(stamp).toBeGreaterThan(last);
          last = stamp;
        }
      }),
      { numRuns: 200 },
    );
  });
});
