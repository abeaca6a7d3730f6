import { describe, expect, test } from "bun:test";
import { isReapable, mayReturn, oldestStamp } from "../../src/core/reap.ts";
import { EMPTY_RECORD } from "../../src/core/record.ts";
import type { CausalRecord, Sibling } from "../../src/core/version.ts";
import { dotOf, siblingOf, tombstoneOf } from "../support/arbitraries.ts";

const HOUR = 3_600_000;
const WRITTEN = 1_700_000_000_000;
const stamp = WRITTEN * 1_000;

function record(...siblings: readonly Sibling[]): CausalRecord {
  return { context: siblings.map(({ dot }) => dot), siblings };
}

describe("isReapable", () => {
  const tombstone = tombstoneOf(dotOf(1, 0, 1), { stamp });

  test("a tombstone becomes so when the grace time has passed since it was written", () => {
    expect(isReapable(record(tombstone), WRITTEN + HOUR, HOUR)).toBe(false);
    expect(isReapable(record(tombstone), WRITTEN + HOUR + 1, HOUR)).toBe(true);
  });

  test("a value with an expiry becomes so when the grace time has passed since that", () => {
    const expiring = siblingOf(dotOf(1, 0, 1), { stamp, expiresAtMs: WRITTEN + 10 * HOUR });
    expect(isReapable(record(expiring), WRITTEN + 11 * HOUR, HOUR)).toBe(false);
    expect(isReapable(record(expiring), WRITTEN + 11 * HOUR + 1, HOUR)).toBe(true);
  });

  test("an expiry in the past does not shorten the grace time", () => {
    const expired = siblingOf(dotOf(1, 0, 1), { stamp, expiresAtMs: 1 });
    expect(isReapable(record(expired), WRITTEN + HOUR, HOUR)).toBe(false);
  });

  test("a value that never expires never becomes so", () => {
    expect(isReapable(record(siblingOf(dotOf(1, 0, 1), { stamp })), 2 ** 52, 0)).toBe(false);
  });

  test("one live sibling keeps the whole record", () => {
    const both = record(tombstone, siblingOf(dotOf(2, 0, 1), { stamp }));
    expect(isReapable(both, WRITTEN + 100 * HOUR, HOUR)).toBe(false);
  });

  test("a young tombstone keeps the old one beside it", () => {
    const young = tombstoneOf(dotOf(2, 0, 1), { stamp: stamp + 5 * HOUR * 1_000 });
    expect(isReapable(record(tombstone, young), WRITTEN + 6 * HOUR, HOUR)).toBe(false);
  });

  test("a clock that stands in 1970 reaps nothing", () => {
    expect(isReapable(record(tombstone), 0, HOUR)).toBe(false);
  });

  test("a record without siblings is nothing to reap", () => {
    expect(isReapable(EMPTY_RECORD, 2 ** 52, 0)).toBe(false);
  });
});

describe("mayReturn", () => {
  const old = siblingOf(dotOf(1, 0, 1), { stamp: 100 });
  const young = siblingOf(dotOf(2, 0, 1), { stamp: 300 });

  test("judges by the oldest sibling: a young one beside it does not make it harmless", () => {
    expect(oldestStamp(record(old, young))).toBe(100);
    expect(mayReturn(record(old, young), 200)).toBe(true);
  });

  test("what was written after the reaped record may stay", () => {
    expect(mayReturn(record(young), 200)).toBe(false);
  });

  test("an equal stamp is not after", () => {
    expect(mayReturn(record(young), 300)).toBe(true);
  });
});
