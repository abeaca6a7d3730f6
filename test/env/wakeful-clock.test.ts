import { describe, expect, test } from "bun:test";
import type { Clock } from "../../src/env/clock.ts";
import { WakefulClock } from "../../src/env/wakeful-clock.ts";

function world() {
  const time = { wall: 1_700_000_000_000, monotonic: 5_000 };
  const clock: Clock = {
    wallMs: () => time.wall,
    monotonicMs: () => time.monotonic,
    after: () => ({ cancel: () => undefined }),
    endOfTurn: () => undefined,
  };
  const pass = (ms: number) => {
    time.wall += ms;
    time.monotonic += ms;
  };
  return { time, pass, clock: new WakefulClock(clock) };
}

describe("WakefulClock", () => {
  test("runs with the monotonic clock while the machine is awake", () => {
    const { clock, pass } = world();
    const startMs = clock.monotonicMs();
    pass(1e9);
    expect(clock.monotonicMs() - startMs).toBe(1e9);
  });

  test("counts the time that the machine slept, at the first look after it", () => {
    const { clock, pass, time } = world();
    const startMs = clock.monotonicMs();
    pass(100);
    time.wall += 3_600_000;
    expect(clock.monotonicMs() - startMs).toBe(3_600_100);
    pass(50);
    expect(clock.monotonicMs() - startMs).toBe(3_600_150);
  });

  test("two sleeps add up", () => {
    const { clock, pass, time } = world();
    const startMs = clock.monotonicMs();
    for (let i = 0; i < 2; i++) {
      time.wall += 20_000;
      expect(clock.monotonicMs() - startMs).toBe(20_000 * (i + 1) + 10 * i);
      pass(10);
    }
  });

  test("a wall clock that is slewed moves nothing, however far it gets", () => {
    const { clock, pass, time } = world();
    const startMs = clock.monotonicMs();
    for (let i = 0; i < 1_000; i++) {
      pass(1_000);
      time.wall += 500;
      clock.monotonicMs();
    }
    expect(clock.monotonicMs() - startMs).toBe(1_000_000);
  });

  test("never goes back, whatever the wall clock does", () => {
    const { clock, pass, time } = world();
    let lastMs = clock.monotonicMs();
    for (const jumpMs of [-1e9, 5_000, -5_000, 1e12, -1e12, 0]) {
      time.wall += jumpMs;
      pass(1);
      const nowMs = clock.monotonicMs();
      expect(nowMs).toBeGreaterThan(lastMs);
      lastMs = nowMs;
    }
  });
});
