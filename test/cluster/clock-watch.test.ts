import { describe, expect, test } from "bun:test";
import { ClockWatch } from "../../src/cluster/clock-watch.ts";
import { type NodeId, parseNodeId } from "../../src/core/ids.ts";

const [A, B, C] = ["a", "b", "c"].map((digit) => parseNodeId(digit.repeat(32))) as [
  NodeId,
  NodeId,
  NodeId,
];
const HOUR_MS = 3_600_000;

/** A node whose clocks the test sets. */
class Watched {
  wallMs = 1_000_000;
  monotonicMs = 500;
  readonly said: string[] = [];
  readonly watch: ClockWatch;

  constructor() {
    const say = (event: string): void => void this.said.push(event);
    this.watch = new ClockWatch({
      clock: {
        wallMs: () => this.wallMs,
        monotonicMs: () => this.monotonicMs,
        after: () => ({ cancel: () => undefined }),
        endOfTurn: () => undefined,
      },
      logger: { debug: say, info: say, warn: say, error: say },
    });
  }

  pass(ms: number): void {
    this.wallMs += ms;
    this.monotonicMs += ms;
  }

  /** The peer's clock is `aheadMs` ahead of the true time, which is this node's unless the test has set it wrong. */
  answer(peer: NodeId, aheadMs: number, roundTripMs = 20): void {
    const sentMs = this.monotonicMs;
    const peerMs = this.wallMs + roundTripMs / 2 + aheadMs;
    this.pass(roundTripMs);
    this.watch.observe(peer, peerMs, sentMs);
  }
}

describe("the offset of a node's clock", () => {
  test("is unknown until a peer has answered", () => {
    const node = new Watched();
    expect(node.watch.offsetMs()).toBeNull();
    expect(node.watch.correctionMs()).toBe(0);
  });

  test("is the median's: one wrong peer moves it nowhere", () => {
    const node = new Watched();
    node.answer(A, 10);
    node.answer(B, 20);
    node.answer(C, HOUR_MS);
    expect(node.watch.offsetMs()).toBe(20);
    expect(node.watch.isOff).toBe(false);
  });

  test("leaves the time an answer took on its way out of account, and slow answers altogether", () => {
    const node = new Watched();
    node.answer(A, 0, 600);
    expect(node.watch.offsetMs()).toBe(0);
    node.answer(B, 0, 1_001);
    node.answer(B, 9_000, 5_000);
    expect(node.watch.offsetMs()).toBe(0);
  });

  test("is that of peers heard within the last minute", () => {
    const node = new Watched();
    node.answer(A, 10_000);
    node.pass(60_001);
    expect(node.watch.offsetMs()).toBeNull();
  });
});

describe("the clock-offset alarm", () => {
  test("is raised beyond 5 s, says so once, and ends below 4 s", () => {
    const node = new Watched();
    for (const peer of [A, B]) node.answer(peer, 5_000);
    expect(node.watch.isOff).toBe(false);
    for (let i = 0; i < 3; i++) for (const peer of [A, B]) node.answer(peer, 5_001);
    expect(node.watch.isOff).toBe(true);
    for (const peer of [A, B]) node.answer(peer, 4_500);
    expect(node.watch.isOff).toBe(true);
    for (const peer of [A, B]) node.answer(peer, 3_999);
    expect(node.watch.isOff).toBe(false);
    expect(node.said).toEqual(["clock-offset", "clock-offset-over"]);
  });

  test("comes with the next answer after the own clock has jumped, and corrects it", () => {
    const node = new Watched();
    for (const peer of [A, B, C]) node.answer(peer, 0);
    node.wallMs += 6 * HOUR_MS;
    expect(node.watch.offsetMs()).toBe(-6 * HOUR_MS);
    node.answer(A, -6 * HOUR_MS);
    expect(node.watch.givesWay).toBe(true);
    expect(node.watch.correctionMs()).toBe(-6 * HOUR_MS);
  });

  test("with one peer nobody knows which of the two is wrong: no one gives way", () => {
    const node = new Watched();
    node.answer(A, HOUR_MS);
    expect(node.watch.isOff).toBe(true);
    expect(node.watch.givesWay).toBe(false);
    expect(node.watch.correctionMs()).toBe(0);
  });
});

describe("a wall clock that peers confirm", () => {
  test("is the own one while it stands near their median, and none without them or from the moment it jumps", () => {
    const node = new Watched();
    expect(node.watch.confirmedWallMs()).toBeNull();
    node.answer(A, 4_000);
    expect(node.watch.confirmedWallMs()).toBe(node.wallMs);
    node.answer(B, 10);
    node.answer(C, -33 * HOUR_MS);
    expect(node.watch.confirmedWallMs()).toBe(node.wallMs);
    node.wallMs += 33 * HOUR_MS;
    expect(node.watch.confirmedWallMs()).toBeNull();
    node.wallMs -= 66 * HOUR_MS;
    expect(node.watch.confirmedWallMs()).toBeNull();
  });

  test("is no clock that stands where no peer's does, between two that disagree", () => {
    const node = new Watched();
    node.answer(A, 20 * HOUR_MS);
    node.answer(B, -30 * HOUR_MS);
    expect(node.watch.confirmedWallMs()).toBeNull();
  });
});
