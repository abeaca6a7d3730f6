import { describe, expect, test } from "bun:test";
import { AssertionError } from "../../src/core/assert.ts";
import { COUNTER_MAX } from "../../src/core/limits.ts";
import { decideDot, mintedAfterReplication } from "../../src/core/mint.ts";
import type { Context } from "../../src/core/version.ts";
import { actorOf, dotOf } from "../support/arbitraries.ts";

const actorId = actorOf(1);
const minted = { actor: actorId, epoch: 3, counter: 7 };

function decide(changes: Partial<Parameters<typeof decideDot>[0]>) {
  return decideDot({
    actorId,
    minted,
    firstEpoch: 3,
    localContext: [dotOf(1, 3, 7)],
    incomingContext: [],
    takeEpoch: () => 9,
    ...changes,
  });
}

describe("decideDot", () => {
  test("continues the counter that this database minted itself", () => {
    expect(decide({})).toEqual(dotOf(1, 3, 8));
    expect(decide({ incomingContext: [dotOf(1, 3, 7), dotOf(2, 99, 99)] })).toEqual(dotOf(1, 3, 8));
  });

  test("takes a new epoch for a key it has not minted, or has forgotten", () => {
    expect(decide({ minted: null })).toEqual(dotOf(1, 9, 1));
    expect(decide({ minted: null, localContext: [] })).toEqual(dotOf(1, 9, 1));
  });

  test("takes a new epoch when the row was minted by an earlier start: a snapshot may have been put back since", () => {
    expect(decide({ firstEpoch: 4 })).toEqual(dotOf(1, 9, 1));
  });

  test("takes a new epoch when the row was minted under an earlier actor id", () => {
    expect(decide({ minted: { ...minted, actor: actorOf(5) } })).toEqual(dotOf(1, 9, 1));
  });

  test("takes a new epoch when any context shows a higher own entry", () => {
    const higher: Context[] = [
      [dotOf(1, 3, 8)],
      [dotOf(1, 4, 1)],
      [dotOf(1, 3, 1), dotOf(1, 5, 2)],
    ];
    for (const context of higher) {
      expect(decide({ incomingContext: context })).toEqual(dotOf(1, 9, 1));
      expect(decide({ localContext: context })).toEqual(dotOf(1, 9, 1));
    }
  });

  test("does not take an epoch that it does not need", () => {
    const takeEpoch = () => {
      throw new Error("an epoch was taken");
    };
    expect(decide({ takeEpoch, incomingContext: [dotOf(1, 2, 100)] })).toEqual(dotOf(1, 3, 8));
  });

  test("leaves a worn-out counter for a new epoch", () => {
    const worn = { actor: actorId, epoch: 3, counter: COUNTER_MAX };
    expect(decide({ minted: worn, localContext: [] })).toEqual(dotOf(1, 9, 1));
  });

  test("refuses to mint when a context proves that this database was rolled back", () => {
    expect(() => decide({ incomingContext: [dotOf(1, 9, 1)] })).toThrow(AssertionError);
    expect(() => decide({ minted: null, localContext: [dotOf(1, 10, 1)] })).toThrow(AssertionError);
  });
});

describe("mintedAfterReplication", () => {
  test("a replicated record with a higher own entry clears the column, any other keeps it", () => {
    const columnAfter = (incomingContext: Context) =>
      mintedAfterReplication({ actorId, minted, incomingContext });
    expect(columnAfter([dotOf(1, 3, 8)])).toBe(null);
    expect(columnAfter([dotOf(1, 4, 1)])).toBe(null);
    expect(columnAfter([dotOf(1, 3, 7), dotOf(2, 50, 50)])).toBe(minted);
    expect(columnAfter([dotOf(1, 2, 99)])).toBe(minted);
    expect(columnAfter([])).toBe(minted);
  });

  test("a row learned from others stays without one", () => {
    expect(mintedAfterReplication({ actorId, minted: null, incomingContext: [] })).toBe(null);
  });
});
