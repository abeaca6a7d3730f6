import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  digits,
  FailureDetector,
  HEALTH_WORST,
  OVERDUE_MAX_MS,
  OVERDUE_MIN_MS,
  OwnHealth,
  stallMs,
  suspicionTimeoutMs,
} from "../../src/core/failure-detector.ts";
import { parseNodeId } from "../../src/core/ids.ts";

const a = parseNodeId("a".repeat(32));
const b = parseNodeId("b".repeat(32));

/** Feeds rises with the given gaps from time 0; returns the time of the last. */
function beat(detector: FailureDetector, gaps: readonly number[]): number {
  let nowMs = 0;
  detector.rise(a, nowMs);
  for (const gap of gaps) {
    nowMs += gap;
    detector.rise(a, nowMs);
  }
  return nowMs;
}

/** The longest silence after `lastMs` that is not overdue yet. */
function limitAfter(detector: FailureDetector, lastMs: number, health = 0): number {
  let silence = 0;
  for (let step = 131_072; step >= 1; step /= 2) {
    if (!detector.overdue(a, lastMs + silence + step, health)) silence += step;
  }
  return silence;
}

const steady = (gapMs: number, count = 40) => Array.from({ length: count }, () => gapMs);

describe("a member is overdue", () => {
  test("after the shortest limit when it was regular", () => {
    const detector = new FailureDetector();
    const last = beat(detector, steady(500));
    expect(detector.overdue(a, last + OVERDUE_MIN_MS, 0)).toBe(false);
    expect(detector.overdue(a, last + OVERDUE_MIN_MS + 1, 0)).toBe(true);
  });

  test("after mean + 8 mean deviations when it was irregular", () => {
    const detector = new FailureDetector();
    // Gaps 400 and 800 by turns: mean 600, mean deviation 200.
    const last = beat(
      detector,
      Array.from({ length: 32 }, (_, i) => (i % 2 === 0 ? 400 : 800)),
    );
    expect(limitAfter(detector, last)).toBe(600 + 8 * 200);
  });

  test("after the longest limit while no gap is known, and when gaps are wild", () => {
    const detector = new FailureDetector();
    detector.watch(a, 0);
    expect(limitAfter(detector, 0)).toBe(OVERDUE_MAX_MS);
    const wild = new FailureDetector();
    const last = beat(
      wild,
      Array.from({ length: 32 }, (_, i) => (i % 2 === 0 ? 100 : 9_000)),
    );
    expect(limitAfter(wild, last)).toBe(OVERDUE_MAX_MS);
  });

  test("never while it is unknown or forgotten", () => {
    const detector = new FailureDetector();
    expect(detector.overdue(a, 1e9, 0)).toBe(false);
    beat(detector, steady(500));
    detector.forget(a);
    expect(detector.overdue(a, 1e9, 0)).toBe(false);
  });

  test("later by (1 + own health) when the judge is sick", () => {
    const detector = new FailureDetector();
    const last = beat(detector, steady(500));
    for (let health = 0; health <= HEALTH_WORST; health++) {
      expect(limitAfter(detector, last, health)).toBe(OVERDUE_MIN_MS * (1 + health));
    }
  });
});

describe("the rhythm", () => {
  test("is that of the last 32 gaps: older ones are forgotten", () => {
    const detector = new FailureDetector();
    const last = beat(detector, [...steady(100, 16), ...steady(6_000, 16), ...steady(500, 32)]);
    expect(limitAfter(detector, last)).toBe(OVERDUE_MIN_MS);
  });

  test("is not blunted by one long outage", () => {
    const detector = new FailureDetector();
    const last = beat(detector, [...steady(500, 31), 3_600_000]);
    expect(limitAfter(detector, last)).toBeLessThan(6_000);
  });

  test("is not restarted by watching again", () => {
    const detector = new FailureDetector();
    const last = beat(detector, steady(500));
    detector.watch(a, last + 5_000);
    expect(detector.lastRiseMs(a)).toBe(last);
  });
});

describe("a stall of this process", () => {
  test("counts against nobody, and only once", () => {
    const detector = new FailureDetector();
    const last = beat(detector, steady(500));
    detector.rise(b, last);
    const lateMs = stallMs(last + 500, last + 30_500);
    expect(lateMs).toBe(30_000);
    expect(detector.overdue(a, last + 30_500, 0)).toBe(true);
    detector.shift(lateMs);
    expect(detector.overdue(a, last + 30_500, 0)).toBe(false);
    expect(detector.overdue(a, last + 30_000 + OVERDUE_MIN_MS, 0)).toBe(false);
    expect(detector.overdue(a, last + 30_000 + OVERDUE_MIN_MS + 1, 0)).toBe(true);
    expect(detector.lastRiseMs(b)).toBe(last + 30_000);
  });

  test("is one only from 250 ms on", () => {
    expect(stallMs(1_000, 1_250)).toBe(0);
    expect(stallMs(1_000, 1_251)).toBe(251);
    expect(stallMs(1_000, 900)).toBe(0);
  });
});

describe("drawn timelines", () => {
  const gaps = fc.array(fc.integer({ min: 1, max: 20_000 }), { minLength: 1, maxLength: 80 });

  test("a silence within the shortest limit never accuses, one beyond the longest always does", () => {
    fc.assert(
      fc.property(gaps, fc.integer({ min: 0, max: HEALTH_WORST }), (drawn, health) => {
        const detector = new FailureDetector();
        const last = beat(detector, drawn);
        expect(detector.overdue(a, last + OVERDUE_MIN_MS * (1 + health), health)).toBe(false);
        expect(detector.overdue(a, last + OVERDUE_MAX_MS * (1 + health) + 1, health)).toBe(true);
      }),
    );
  });

  test("the limit is that of the formula over the last 32 gaps", () => {
    fc.assert(
      fc.property(gaps, (drawn) => {
        const detector = new FailureDetector();
        const last = beat(detector, drawn);
        const window = drawn.slice(-32).map((gap) => Math.min(gap, OVERDUE_MAX_MS));
        const mean = window.reduce((x, y) => x + y, 0) / window.length;
        const deviation = window.reduce((x, y) => x + Math.abs(y - mean), 0) / window.length;
        const want = Math.min(Math.max(mean + 8 * deviation, OVERDUE_MIN_MS), OVERDUE_MAX_MS);
        expect(Math.abs(limitAfter(detector, last) - want)).toBeLessThanOrEqual(1);
      }),
    );
  });

  test("stalls that are shifted away leave every verdict as if they had not been", () => {
    const events = fc.array(
      fc.record({
        gapMs: fc.integer({ min: 100, max: 3_000 }),
        stallMs: fc.constantFrom(0, 0, 0, 700, 15_000),
      }),
      { minLength: 1, maxLength: 50 },
    );
    fc.assert(
      fc.property(events, fc.integer({ min: 0, max: 15_000 }), (drawn, silenceMs) => {
        const calm = new FailureDetector();
        const stalled = new FailureDetector();
        const calmLast = beat(
          calm,
          drawn.map((event) => event.gapMs),
        );
        let nowMs = 0;
        stalled.rise(a, nowMs);
        for (const event of drawn) {
          nowMs += event.stallMs;
          stalled.shift(event.stallMs);
          nowMs += event.gapMs;
          stalled.rise(a, nowMs);
        }
        expect(stalled.overdue(a, nowMs + silenceMs, 0)).toBe(
          calm.overdue(a, calmLast + silenceMs, 0),
        );
      }),
    );
  });
});

describe("own health and the suspicion's time", () => {
  test("health stays within 0 and 7 and moves by one", () => {
    const health = new OwnHealth();
    health.recover();
    expect(health.value).toBe(0);
    for (let i = 0; i < 10; i++) health.worsen();
    expect(health.value).toBe(HEALTH_WORST);
    health.recover();
    expect(health.value).toBe(HEALTH_WORST - 1);
  });

  test("digits counts decimal digits", () => {
    expect([0, 1, 9, 10, 99, 100, 999, 1000].map(digits)).toEqual([1, 1, 1, 2, 2, 3, 3, 4]);
  });

  test("a suspicion lasts 3 s x digits(n) x (1 + health)", () => {
    expect(suspicionTimeoutMs(6, 0)).toBe(3_000);
    expect(suspicionTimeoutMs(12, 0)).toBe(6_000);
    expect(suspicionTimeoutMs(1_000, 7)).toBe(3_000 * 4 * 8);
  });
});
