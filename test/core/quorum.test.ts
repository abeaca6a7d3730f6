import { describe, expect, test } from "bun:test";
import { AssertionError } from "../../src/core/assert.ts";
import { type NodeId, parseNodeId } from "../../src/core/ids.ts";
import { Tally } from "../../src/core/quorum.ts";

const node = (i: number): NodeId => parseNodeId(i.toString(16).padStart(32, "0"));
const homes = [node(1), node(2), node(3)];
const twoOfThree = { homes, groups: [{ homes, needed: 2 }], needed: 2 };

describe("Tally", () => {
  test("is won by the second ack of two needed, and a repeated ack is not a second one", () => {
    const tally = new Tally(twoOfThree);
    tally.ack(node(1));
    tally.ack(node(1));
    expect(tally.outcome()).toBe("pending");
    expect(tally.missing()).toBe(1);
    tally.ack(node(3));
    expect(tally.outcome()).toBe("won");
    expect(tally.counts()).toEqual({ primary: 2, fallback: 0, of: 3 });
  });

  test("is lost when those left cannot make it, and won again by a late ack", () => {
    const tally = new Tally(twoOfThree);
    tally.fail(node(1));
    tally.fail(node(2));
    expect(tally.outcome()).toBe("lost");
    tally.ack(node(3));
    expect(tally.outcome()).toBe("lost");
    tally.ack(node(2));
    expect(tally.outcome()).toBe("won");
  });

  test("a stand-in and its late home are two nodes and count twice", () => {
    const tally = new Tally(twoOfThree);
    tally.addStandIn(node(9), node(1));
    tally.ack(node(9));
    tally.ack(node(1));
    expect(tally.outcome()).toBe("won");
    expect(tally.counts()).toEqual({ primary: 1, fallback: 1, of: 3 });
  });

  test("a stand-in added before its home fails keeps the outcome open", () => {
    const tally = new Tally({ homes, groups: [{ homes, needed: 3 }], needed: 3 });
    tally.addStandIn(node(9), node(1));
    tally.fail(node(1));
    expect(tally.outcome()).toBe("pending");
  });

  test("a failure after an ack changes nothing", () => {
    const tally = new Tally(twoOfThree);
    tally.ack(node(1));
    tally.fail(node(1));
    tally.ack(node(2));
    expect(tally.outcome()).toBe("won");
  });

  test("two majorities need both; a stand-in counts in the group of its home", () => {
    const far = [node(4)];
    const near = [node(1), node(2)];
    const tally = new Tally({
      homes: [...near, ...far],
      groups: [
        { homes: near, needed: 1 },
        { homes: far, needed: 1 },
      ],
      needed: 2,
    });
    tally.ack(node(1));
    tally.ack(node(2));
    expect(tally.outcome()).toBe("pending");
    expect(tally.needs(node(2))).toBe(false);
    expect(tally.needs(node(4))).toBe(true);
    tally.addStandIn(node(9), node(4));
    tally.fail(node(4));
    tally.ack(node(9));
    expect(tally.outcome()).toBe("won");
  });

  test("a home in no group is counted in the answer but not to the outcome", () => {
    const tally = new Tally({ homes, groups: [{ homes: [node(1)], needed: 1 }], needed: 1 });
    tally.ack(node(2));
    expect(tally.outcome()).toBe("pending");
    expect(tally.counts().primary).toBe(1);
    tally.fail(node(1));
    expect(tally.outcome()).toBe("lost");
  });

  test("an answer from a node that was never asked is a bug", () => {
    const tally = new Tally(twoOfThree);
    expect(() => tally.ack(node(8))).toThrow(AssertionError);
    expect(() => tally.fail(node(8))).toThrow(AssertionError);
    expect(() => tally.addStandIn(node(9), node(8))).toThrow(AssertionError);
  });
});
