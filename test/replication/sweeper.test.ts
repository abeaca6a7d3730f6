import { describe, expect, test } from "bun:test";
import { WakefulClock } from "../../src/env/wakeful-clock.ts";
import { Sweeper, type Waiting } from "../../src/replication/sweeper.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

class Waiter implements Waiting {
  dueMs: number;
  readonly #periodMs: number;
  readonly ticksMs: number[] = [];

  constructor(dueMs: number, periodMs = Number.POSITIVE_INFINITY) {
    this.dueMs = dueMs;
    this.#periodMs = periodMs;
  }

  tick(nowMs: number): void {
    this.ticksMs.push(nowMs);
    this.dueMs += this.#periodMs;
  }
}

describe("sweeper", () => {
  test("calls each when it is due, and nobody before", async () => {
    const clock = new VirtualClock();
    const sweeper = new Sweeper(clock);
    const [soon, late] = [new Waiter(100), new Waiter(700)];
    sweeper.add(late);
    sweeper.add(soon);
    await clock.run(2_000);
    expect(soon.ticksMs.join()).toBe("100");
    expect(late.ticksMs.join()).toBe("700");
  });

  test("what comes nearer is noticed when it is told, unless it waits no more", async () => {
    const clock = new VirtualClock();
    const sweeper = new Sweeper(clock);
    const [told, gone] = [new Waiter(900), new Waiter(900)];
    sweeper.add(told);
    sweeper.add(gone);
    sweeper.delete(gone);
    told.dueMs = 50;
    gone.dueMs = 50;
    sweeper.hasten(told);
    sweeper.hasten(gone);
    await clock.run(2_000);
    expect(told.ticksMs.join()).toBe("50");
    expect(gone.ticksMs.join()).toBe("");
  });

  test("who stays due is called every 20 ms, not in a loop", async () => {
    const clock = new VirtualClock();
    const sweeper = new Sweeper(clock);
    const stuck = new Waiter(10, 0);
    sweeper.add(stuck);
    await clock.run(60);
    expect(stuck.ticksMs.join()).toBe("10,30,50");
  });

  test("what fell due while the machine slept is noticed within a second of waking", async () => {
    const clock = new VirtualClock();
    const machine = clock.clockFor();
    const wakeful = new WakefulClock(machine);
    const sweeper = new Sweeper(wakeful);
    const read = new Waiter(30_000);
    sweeper.add(read);
    await clock.run(1_500);
    // The monotonic clock stood still meanwhile.
    machine.jump(3_600_000);
    await clock.run(2_500);
    expect(read.ticksMs.length).toBe(1);
  });
});
