import { describe, expect, test } from "bun:test";
import {
  compareDots,
  covers,
  highestOf,
  mergeContexts,
  validateContext,
} from "../../src/core/context.ts";
import { FormatError } from "../../src/core/errors.ts";
import type { ActorId } from "../../src/core/ids.ts";
import { COUNTER_MAX, EPOCH_MAX } from "../../src/core/limits.ts";
import type { Context } from "../../src/core/version.ts";
import { actorOf, dotOf } from "../support/arbitraries.ts";

describe("compareDots", () => {
  test("orders actors by unsigned bytes, epochs before counters", () => {
    expect(compareDots(dotOf(0x7f, 0, 1), dotOf(0x80, 0, 1))).toBeLessThan(0);
    expect(compareDots(dotOf(1, 2, 1), dotOf(1, 1, 9))).toBeGreaterThan(0);
    expect(compareDots(dotOf(1, 1, 9), dotOf(1, 1, 9))).toBe(0);
  });
});

describe("contexts", () => {
  test("an entry covers its column up to its counter, and no other column", () => {
    const context = [dotOf(1, 1, 3)];
    expect(covers(context, dotOf(1, 1, 3))).toBe(true);
    expect(covers(context, dotOf(1, 1, 4))).toBe(false);
    expect(covers(context, dotOf(1, 0, 1))).toBe(false);
    expect(covers(context, dotOf(2, 1, 1))).toBe(false);
  });

  test("the highest of an actor is in its last epoch, though an earlier one counted further", () => {
    const context = [dotOf(1, 1, 90), dotOf(1, 4, 2), dotOf(2, 9, 9)];
    expect(highestOf(context, actorOf(1))).toMatchObject({ epoch: 4, counter: 2 });
    expect(highestOf(context, actorOf(3))).toBe(null);
  });

  test("a merge takes the higher counter of each column", () => {
    const a = [dotOf(1, 0, 5), dotOf(2, 0, 1)];
    const b = [dotOf(1, 0, 3), dotOf(1, 1, 1), dotOf(3, 0, 2)];
    const merged = [dotOf(1, 0, 5), dotOf(1, 1, 1), dotOf(2, 0, 1), dotOf(3, 0, 2)];
    expect(mergeContexts(a, b)).toEqual(merged);
  });
});

describe("validateContext", () => {
  test("accepts the ends of every range", () => {
    validateContext([]);
    validateContext([dotOf(0, 0, 1), dotOf(255, EPOCH_MAX, COUNTER_MAX)]);
  });

  test("refuses disorder, duplicate columns and numbers out of range", () => {
    const faults: Context[] = [
      [dotOf(2, 0, 1), dotOf(1, 0, 1)],
      [dotOf(1, 1, 1), dotOf(1, 0, 1)],
      [dotOf(1, 0, 1), dotOf(1, 0, 2)],
      [dotOf(1, 0, 0)],
      [dotOf(1, 0, 1.5)],
      [dotOf(1, 0, COUNTER_MAX + 1)],
      [dotOf(1, -1, 1)],
      [dotOf(1, EPOCH_MAX + 1, 1)],
      [dotOf(1, 0, Number.NaN)],
      [{ actor: "short" as ActorId, epoch: 0, counter: 1 }],
    ];
    for (const fault of faults) expect(() => validateContext(fault)).toThrow(FormatError);
  });
});
