import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compareDots, covers, descends, equalContexts } from "../../src/core/context.ts";
import {
  EMPTY_RECORD,
  equalRecords,
  mergeRecords,
  newestStamp,
  putSibling,
  recordDescends,
  withoutValues,
} from "../../src/core/record.ts";
import type { CausalRecord, Context, Dot } from "../../src/core/version.ts";
import {
  arbitraryContext,
  arbitraryRecord,
  dotOf,
  siblingOf,
  UNIVERSE,
} from "../support/arbitraries.ts";

const runs = { numRuns: 300 };
const name = (dot: Dot) => JSON.stringify(dot);
const namesOf = (record: CausalRecord) => record.siblings.map((sibling) => name(sibling.dot));

/** The slow second implementation, on sets: what either holds, without what either has seen and holds no longer. */
function mergedNames(a: CausalRecord, b: CausalRecord): Set<string> {
  const dropped = (record: CausalRecord) =>
    UNIVERSE.filter((dot) => covers(record.context, dot))
      .map(name)
      .filter((dot) => !namesOf(record).includes(dot));
  const gone = new Set([...dropped(a), ...dropped(b)]);
  return new Set([...namesOf(a), ...namesOf(b)].filter((dot) => !gone.has(dot)));
}

function expectWellFormed(record: CausalRecord): void {
  for (const { dot } of record.siblings) expect(covers(record.context, dot)).toBe(true);
  expect(record.siblings).toEqual(record.siblings.toSorted((a, b) => compareDots(a.dot, b.dot)));
  expect(new Set(namesOf(record)).size).toBe(record.siblings.length);
}

describe("mergeRecords", () => {
  test("keeps a sibling iff both hold it or the other has not seen it", () => {
    fc.assert(
      fc.property(arbitraryRecord, arbitraryRecord, (a, b) => {
        const merged = mergeRecords(a, b);
        expectWellFormed(merged);
        expect(new Set(namesOf(merged))).toEqual(mergedNames(a, b));
      }),
      runs,
    );
  });

  test("is commutative, associative and idempotent", () => {
    fc.assert(
      fc.property(arbitraryRecord, arbitraryRecord, arbitraryRecord, (a, b, c) => {
        expect(mergeRecords(a, b)).toEqual(mergeRecords(b, a));
        const left = mergeRecords(mergeRecords(a, b), c);
        expect(left).toEqual(mergeRecords(a, mergeRecords(b, c)));
        expect(mergeRecords(a, a)).toBe(a);
        expect(mergeRecords(a, structuredClone(a))).toBe(a);
      }),
      runs,
    );
  });

  test("is monotone: the result descends from both, and knows no more than they do", () => {
    fc.assert(
      fc.property(arbitraryRecord, arbitraryRecord, (a, b) => {
        const merged = mergeRecords(a, b);
        expect(recordDescends(merged, a) && recordDescends(merged, b)).toBe(true);
        for (const dot of UNIVERSE) {
          const seen = covers(a.context, dot) || covers(b.context, dot);
          expect(covers(merged.context, dot)).toBe(seen);
        }
      }),
      runs,
    );
  });

  test("returns a itself when b adds nothing, else b itself when a adds nothing", () => {
    fc.assert(
      fc.property(arbitraryRecord, arbitraryRecord, (a, b) => {
        const merged = mergeRecords(a, b);
        expect(mergeRecords(merged, structuredClone(b))).toBe(merged);
        const other = structuredClone(merged);
        const again = mergeRecords(a, other);
        expect(again).toBe(equalRecords(a, other) ? a : other);
        expect(recordDescends(a, b)).toBe(merged === a);
      }),
      runs,
    );
  });

  test("keeps of two copies the one that has its value, whichever side it is on", () => {
    fc.assert(
      fc.property(arbitraryRecord, arbitraryRecord, (a, b) => {
        const heads = withoutValues(b);
        for (const merged of [mergeRecords(a, heads), mergeRecords(heads, a)]) {
          for (const sibling of merged.siblings) {
            const held = a.siblings.some((other) => name(other.dot) === name(sibling.dot));
            expect(sibling.value !== null).toBe(held);
          }
        }
        expect(mergeRecords(withoutValues(a), a)).toBe(a);
        expect(mergeRecords(a, withoutValues(a))).toBe(a);
      }),
      runs,
    );
  });

  test("the empty record is neutral", () => {
    fc.assert(
      fc.property(arbitraryRecord, (record) => {
        expect(mergeRecords(record, EMPTY_RECORD)).toBe(record);
        const nothing = record.context.length === 0;
        expect(mergeRecords(EMPTY_RECORD, record)).toBe(nothing ? EMPTY_RECORD : record);
      }),
      runs,
    );
  });
});

describe("putSibling", () => {
  // An actor that the universe does not have, so that the dot is new to every record; it sorts in the middle.
  const fresh = siblingOf(dotOf(0x40, 0, 1));

  test("drops exactly what the given context covers and adds the new sibling", () => {
    fc.assert(
      fc.property(arbitraryRecord, arbitraryContext, (local, context) => {
        const after = putSibling(local, context, fresh);
        expectWellFormed(after);
        const left = local.siblings.filter((sibling) => !covers(context, sibling.dot));
        expect(new Set(namesOf(after))).toEqual(
          new Set([...left.map((sibling) => name(sibling.dot)), name(fresh.dot)]),
        );
        expect(descends(after.context, local.context)).toBe(true);
        expect(descends(after.context, context)).toBe(true);
        expect(after.context.length).toBe(unionColumns(local.context, context) + 1);
      }),
      runs,
    );
  });

  test("a blind put replaces all that is held, and nothing that is not", () => {
    fc.assert(
      fc.property(arbitraryRecord, (local) => {
        const after = putSibling(local, null, fresh);
        expect(after.siblings).toEqual([fresh]);
        expect(equalContexts(after.context, putSibling(local, [], fresh).context)).toBe(true);
      }),
      runs,
    );
  });

  test("descends from the record it changed, and so wins a merge with it", () => {
    fc.assert(
      fc.property(arbitraryRecord, arbitraryContext, (local, context) => {
        const after = putSibling(local, context, fresh);
        const merged = mergeRecords(after, local);
        expect(namesOf(merged).includes(name(fresh.dot))).toBe(true);
        expect(merged).toBe(after);
      }),
      runs,
    );
  });

  test("two clients that take turns with each other's contexts never leave more than two siblings", () => {
    // The sibling explosion of plain version vectors: here each value has its own dot.
    let record = EMPTY_RECORD;
    const seen: Context[] = [[], []];
    for (let turn = 1; turn <= 1000; turn++) {
      const client = turn % 2;
      record = putSibling(record, seen[client] ?? [], siblingOf(dotOf(1, 0, turn)));
      seen[client] = record.context;
      expect(record.siblings.length).toBeLessThanOrEqual(2);
    }
  });
});

test("newestStamp is the highest of the siblings' stamps", () => {
  fc.assert(
    fc.property(arbitraryRecord, (record) => {
      const stamps = record.siblings.map((sibling) => sibling.stamp);
      expect(newestStamp(record)).toBe(Math.max(0, ...stamps));
    }),
    runs,
  );
});

function unionColumns(a: Context, b: Context): number {
  return new Set([...a, ...b].map(({ actor, epoch }) => `${actor}/${epoch}`)).size;
}
