import { beforeEach, describe, expect, test } from "bun:test";
import { type NodeId, parseNodeId } from "../../src/core/ids.ts";
import { Busy } from "../../src/replication/busy.ts";
import { Pace } from "../../src/replication/pace.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const [a, b, c] = ["a", "b", "c"].map((digit) => parseNodeId(digit.repeat(32))) as [
  NodeId,
  NodeId,
  NodeId,
];
let clock: VirtualClock;
let busy: Busy;

beforeEach(() => {
  clock = new VirtualClock();
  busy = new Busy(clock);
});

function pass(ms: number): Promise<void> {
  return clock.run(clock.monotonicMs() + ms);
}

describe("one exchange at a time", () => {
  test("while its own goes on, a node turns others away but not the peer of it", () => {
    expect(busy.refuses(b)).toBe(false);
    expect(busy.begin(a, b)).toBe(true);
    expect(busy.refuses(c)).toBe(true);
    expect(busy.refuses(b)).toBe(false);
    busy.end();
    expect(busy.refuses(c)).toBe(false);
  });

  test("while a peer's goes on, a node begins none with another, until it has been quiet for long", async () => {
    busy.heardFrom(b);
    expect(busy.other).toBe(b);
    expect(busy.refuses(c)).toBe(true);
    expect(busy.begin(a, c)).toBe(false);
    await pass(1_500);
    busy.heardFrom(b);
    await pass(1_500);
    expect(busy.begin(a, c)).toBe(false);
    await pass(1_000);
    expect(busy.other).toBeNull();
    expect(busy.begin(a, c)).toBe(true);
  });

  test("of two that begin with each other the lower goes on", () => {
    busy.heardFrom(b);
    expect(busy.begin(c, b)).toBe(false);
    expect(busy.begin(a, b)).toBe(true);
  });
});

describe("pace", () => {
  test("what was used up is waited for, by whoever wants more", async () => {
    const pace = new Pace(clock, 1000);
    const startMs = clock.monotonicMs();
    await pace.wait();
    expect(clock.monotonicMs()).toBe(startMs);
    pace.used(300);
    pace.used(200);
    let waited = false;
    const waiting = pace.wait().then(() => {
      waited = true;
    });
    await pass(499);
    expect(waited).toBe(false);
    await pass(2);
    await waiting;
    expect(waited).toBe(true);
    // Time that passed unused is not saved up.
    await pass(5_000);
    pace.used(100);
    let again = false;
    void pace.wait().then(() => {
      again = true;
    });
    await pass(50);
    expect(again).toBe(false);
    await pass(60);
    expect(again).toBe(true);
  });
});
