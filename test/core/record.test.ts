import { describe, expect, test } from "bun:test";
import { AssertionError } from "../../src/core/assert.ts";
import { SIBLINGS_MAX } from "../../src/core/limits.ts";
import {
  EMPTY_RECORD,
  equalRecords,
  isLive,
  liveSiblings,
  mergeRecords,
  putSibling,
  recordBytes,
  recordDescends,
  withoutValues,
} from "../../src/core/record.ts";
import type { CausalRecord, Sibling } from "../../src/core/version.ts";
import { dotOf, siblingOf, tombstoneOf } from "../support/arbitraries.ts";

const a1 = siblingOf(dotOf(1, 0, 1));
const a2 = siblingOf(dotOf(1, 0, 2));
const b1 = siblingOf(dotOf(2, 0, 1));

describe("mergeRecords", () => {
  test("a replica's old copy does not bring back a sibling that was replaced", () => {
    const old = putSibling(null, null, a1);
    const replaced = putSibling(old, old.context, a2);
    expect(mergeRecords(replaced, old)).toBe(replaced);
    expect(mergeRecords(old, replaced)).toBe(replaced);
  });

  test("writes that have not seen each other both stay", () => {
    const merged = mergeRecords(putSibling(null, null, a1), putSibling(null, null, b1));
    expect(merged.siblings).toEqual([a1, b1]);
    expect(merged.context).toEqual([a1.dot, b1.dot]);
  });

  test("never refuses, also above the limit of siblings that a put may leave", () => {
    let record = EMPTY_RECORD;
    for (let actor = 1; actor <= SIBLINGS_MAX + 1; actor++) {
      record = mergeRecords(record, putSibling(null, null, siblingOf(dotOf(actor, 0, 1))));
    }
    expect(record.siblings.length).toBe(SIBLINGS_MAX + 1);
  });
});

describe("putSibling", () => {
  test("a dot that the record or the client has already seen is a bug", () => {
    const held = putSibling(null, null, a1);
    expect(() => putSibling(held, [], a1)).toThrow(AssertionError);
    expect(() => putSibling(null, [dotOf(1, 0, 5)], a2)).toThrow(AssertionError);
  });

  test("a sibling that the decoder would refuse is a bug", () => {
    const faults: Partial<Sibling>[] = [
      { expiresAtMs: 1.5 },
      { stamp: -1 },
      { writeQuorum: 17 },
      { valueBytes: 0 },
      { value: null },
      { deleted: true },
    ];
    for (const fault of faults) {
      expect(() => putSibling(null, null, siblingOf(dotOf(1, 0, 1), fault))).toThrow(
        AssertionError,
      );
    }
  });

  test("a put of a tombstone replaces the value like any other", () => {
    const held = putSibling(null, null, a1);
    const deleted = putSibling(held, held.context, tombstoneOf(dotOf(2, 0, 1)));
    expect(deleted.siblings.map((sibling) => sibling.deleted)).toEqual([true]);
    expect(mergeRecords(deleted, held)).toBe(deleted);
  });
});

describe("comparing records", () => {
  test("descends, without regard to values that were not fetched", () => {
    const held = putSibling(null, null, a1);
    const newer = putSibling(held, held.context, a2);
    expect(recordDescends(newer, held)).toBe(true);
    expect(recordDescends(held, newer)).toBe(false);
    expect(recordDescends(withoutValues(newer), newer)).toBe(true);
  });

  test("equal by every field of the head, not by the values' presence", () => {
    const record = putSibling(null, null, a1);
    expect(equalRecords(record, structuredClone(record))).toBe(true);
    expect(equalRecords(record, withoutValues(record))).toBe(true);
    const changes: Partial<Sibling>[] = [
      { stamp: 1 },
      { deleted: true },
      { valueBytes: 1 },
      { valueHash: { hi: 1, lo: a1.valueHash.lo } },
      { valueHash: { hi: a1.valueHash.hi, lo: 1 } },
      { contentType: "a/b" },
      { metadata: "1" },
      { expiresAtMs: 1 },
      { writeQuorum: 3 },
      { sloppy: false },
      { idempotencyKey: "x".repeat(16) },
      { bodyDigest: "x".repeat(16) },
      { dot: dotOf(1, 0, 2) },
    ];
    for (const change of changes) {
      const other: CausalRecord = { ...record, siblings: [{ ...a1, ...change }] };
      expect(equalRecords(record, other)).toBe(false);
    }
    expect(equalRecords(record, { ...record, context: [dotOf(1, 0, 2)] })).toBe(false);
  });
});

describe("life and size", () => {
  test("a sibling lives until its expiry, exclusive", () => {
    const mortal = siblingOf(dotOf(1, 0, 1), { expiresAtMs: 1000 });
    expect(isLive(mortal, 999.9)).toBe(true);
    expect(isLive(mortal, 1000)).toBe(false);
    expect(isLive(a1, Number.MAX_SAFE_INTEGER)).toBe(true);
    expect(isLive(tombstoneOf(dotOf(1, 0, 1)), 0)).toBe(false);
  });

  test("live siblings are the record's own array when all live", () => {
    const record = mergeRecords(putSibling(null, null, a1), putSibling(null, null, b1));
    expect(liveSiblings(record, 0)).toBe(record.siblings);
    const mixed = mergeRecords(record, putSibling(null, null, tombstoneOf(dotOf(3, 0, 1))));
    expect(liveSiblings(mixed, 0)).toEqual([a1, b1]);
  });

  test("withoutValues keeps the sizes, and costs nothing the second time", () => {
    const record = putSibling(null, null, a1);
    const heads = withoutValues(record);
    expect(heads.siblings[0]?.value).toBe(null);
    expect(withoutValues(heads)).toBe(heads);
    expect(recordBytes(heads)).toBe(recordBytes(record));
  });

  test("bytes grow with each value, text and entry", () => {
    const small = recordBytes(putSibling(null, null, a1));
    const value = new Uint8Array(1000);
    const large = siblingOf(dotOf(1, 0, 1), { value, valueBytes: 1000, metadata: "x".repeat(100) });
    expect(recordBytes(putSibling(null, null, large))).toBeGreaterThan(small + 1000);
    expect(recordBytes(putSibling(null, [b1.dot], a1))).toBeGreaterThan(small);
  });
});
