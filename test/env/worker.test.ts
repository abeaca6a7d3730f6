import { describe, expect, test } from "bun:test";
import type { Logger } from "../../src/env/logger.ts";
import { sleep, startWorker } from "../../src/env/worker.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

interface Logged {
  readonly level: string;
  readonly event: string;
}

function recordingLogger(logged: Logged[]): Logger {
  const at = (level: string) => (event: string) => void logged.push({ level, event });
  return { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
}

/** A worker whose steps begin at the times it notes; `step` says what each returns. */
function start(step: (count: number, clock: VirtualClock) => number | Promise<number>) {
  const clock = new VirtualClock();
  const beganMs: number[] = [];
  const logged: Logged[] = [];
  const worker = {
    name: "test",
    step: async () => {
      beganMs.push(clock.monotonicMs());
      return await step(beganMs.length, clock);
    },
  };
  const running = startWorker(clock, recordingLogger(logged), worker, 5);
  return { clock, beganMs, logged, running };
}

describe("a worker", () => {
  test("takes its first step after the first delay and each next one as late as the last one asked", async () => {
    const { clock, beganMs, logged } = start((count) => count * 10);
    await clock.run(70);
    expect(beganMs).toEqual([5, 15, 35, 65]);
    expect(logged).toEqual([]);
  });

  test("never runs two steps at once, however long one takes", async () => {
    const { clock, beganMs } = start(async (_, time) => {
      await sleep(time, 100);
      return 10;
    });
    await clock.run(300);
    expect(beganMs).toEqual([5, 115, 225]);
  });

  test("rests until it is woken: while it rests, or by what comes during a step", async () => {
    const clock = new VirtualClock();
    const beganMs: number[] = [];
    let wake = (): void => undefined;
    const worker = {
      name: "test",
      step: async () => {
        beganMs.push(clock.monotonicMs());
        await sleep(clock, 10);
        return 10_000;
      },
      wakeBy: (given: () => void) => {
        wake = given;
      },
    };
    const running = startWorker(clock, recordingLogger([]), worker, 5);
    const wakeAt = (atMs: number) => clock.after(atMs - clock.monotonicMs(), () => wake());
    for (const atMs of [100, 100, 205, 207]) wakeAt(atMs);
    await clock.run(200);
    expect(beganMs).toEqual([5, 100]);
    wakeAt(202);
    await clock.run(9_000);
    expect(beganMs).toEqual([5, 100, 202, 212]);
    await running.stop();
    wake();
    await clock.run(30_000);
    expect(beganMs.length).toBe(4);
  });

  test("logs a step that throws and tries again a second later", async () => {
    const { clock, beganMs, logged } = start((count) => {
      if (count === 1) throw new Error("disk on fire");
      return 10_000;
    });
    await clock.run(2_000);
    expect(beganMs).toEqual([5, 1_005]);
    expect(logged).toEqual([{ level: "error", event: "worker-step-failed" }]);
  });

  test("that fails in the same words again and again says so once a day, and other words at once", async () => {
    let words = "page 7 is broken";
    const { clock, beganMs, logged } = start(() => {
      throw new Error(words);
    });
    await clock.run(60_000);
    expect([beganMs.length, logged.length]).toEqual([60, 1]);
    words = "page 8 is broken";
    await clock.run(120_000);
    expect(logged.length).toBe(2);
    await clock.run(24 * 3_600_000 + 120_000);
    expect(logged.length).toBe(3);
  });

  test("begins no step after stop", async () => {
    const { clock, beganMs, running } = start(() => 10);
    await clock.run(20);
    await running.stop();
    await clock.run(1_000);
    expect(beganMs).toEqual([5, 15]);
  });

  test("stops only when the step under way has ended, and takes no other", async () => {
    const { clock, beganMs, running } = start(async (_, time) => {
      await sleep(time, 100);
      return 10;
    });
    await clock.run(20);
    let stopped = false;
    const stop = running.stop().then(() => {
      stopped = true;
    });
    await clock.run(104);
    expect(stopped).toBe(false);
    await clock.run(1_000);
    await stop;
    expect(beganMs).toEqual([5]);
  });
});
