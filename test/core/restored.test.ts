import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { covers } from "../../src/core/context.ts";
import { EMPTY_RECORD, holds, mergeRecords } from "../../src/core/record.ts";
import { decideRestored, type OwnerHeard } from "../../src/core/restored.ts";
import type { CausalRecord, Dot, Sibling } from "../../src/core/version.ts";
import { arbitraryRecord, dotOf, siblingOf, tombstoneOf } from "../support/arbitraries.ts";

function record(context: readonly Dot[], ...siblings: readonly Sibling[]): CausalRecord {
  return { context, siblings };
}

function owner(
  record: CausalRecord | null,
  horizon = 0,
  restored: CausalRecord | null = null,
): OwnerHeard {
  return { record, horizon, restored };
}

const dot = dotOf(1, 0, 1);
const value = siblingOf(dot, { stamp: 100 });
const row = record([dot], value);

describe("a restored row", () => {
  test("of a key that was deleted and reaped since the backup goes to the quarantine", () => {
    expect(decideRestored(row, [owner(null, 150), owner(null, 150)]).fate).toBe("quarantine");
  });

  test("is not served because one owner alone has not heard of the reap", () => {
    expect(decideRestored(row, [owner(null, 0), owner(null, 150)]).fate).toBe("quarantine");
  });

  test("that nobody has, above every horizon, is merged as it is", () => {
    expect(decideRestored(row, [owner(null, 99), owner(null, 0)])).toEqual({
      fate: "merge",
      record: row,
    });
  });

  test("that an owner has seen replaced is dropped, whoever else still holds it", () => {
    const deleted = record([dot, dotOf(2, 0, 1)], tombstoneOf(dotOf(2, 0, 1), { stamp: 200 }));
    expect(decideRestored(row, [owner(null, 150), owner(deleted, 150)]).fate).toBe("drop");
    expect(decideRestored(row, [owner(row, 150), owner(deleted, 150)]).fate).toBe("drop");
  });

  test("that an owner holds is merged, however old: it is alive, and a copy more", () => {
    expect(decideRestored(row, [owner(row, 150), owner(null, 150)])).toEqual({
      fate: "merge",
      record: row,
    });
  });

  test("of a sole owner is merged: there is nobody who could have reaped it", () => {
    expect(decideRestored(row, [])).toEqual({ fate: "merge", record: row });
  });

  test("with one doubtful sibling is kept out as a whole: its context would delete the other copies of that one", () => {
    const young = siblingOf(dotOf(2, 0, 1), { stamp: 300 });
    const both = record([dot, young.dot], value, young);
    expect(decideRestored(both, [owner(null, 150)]).fate).toBe("quarantine");
  });

  test("merged, deletes no sibling that another owner holds", () => {
    const held = siblingOf(dotOf(2, 0, 1), { stamp: 300 });
    const both = record([dot, held.dot], value, held);
    const other = record([held.dot], held);
    const decided = decideRestored(both, [owner(other, 50)]);
    expect(decided.fate).toBe("merge");
    const merged = decided.fate === "merge" ? mergeRecords(other, decided.record) : EMPTY_RECORD;
    expect(merged.siblings.map(({ dot: d }) => d)).toEqual([dot, held.dot]);
  });

  test("is merged when all owners were restored from the same night, whatever had been reaped by then", () => {
    const restored = owner(null, 150, row);
    expect(decideRestored(row, [restored, restored]).fate).toBe("merge");
    // A later backup, in which it is gone, does not vouch for it.
    expect(decideRestored(row, [restored, owner(null, 150, null)]).fate).toBe("quarantine");
  });

  test("by no record and no horizon makes a held sibling disappear, or a reaped one come back", () => {
    const heards = fc.array(fc.tuple(fc.option(arbitraryRecord), fc.integer({ min: 0, max: 8 })), {
      maxLength: 3,
    });
    const base = 1_700_000_000_000_000;
    fc.assert(
      fc.property(arbitraryRecord, heards, (restored, all) => {
        const owners = all.map(([held, h]) => owner(held, h === 0 ? 0 : base + h));
        const decided = decideRestored(restored, owners);
        const known = (s: Sibling) =>
          all.some(([held]) => held !== null && covers(held.context, s.dot));
        const horizon = Math.max(0, ...owners.map((o) => o.horizon));
        if (decided.fate === "drop") {
          const gone = (s: Sibling) =>
            all.some(([held]) => held !== null && covers(held.context, s.dot) && !holds(held, s));
          expect(restored.siblings.every(gone)).toBe(true);
        }
        if (decided.fate === "quarantine") {
          expect(restored.siblings.some((s) => !known(s) && s.stamp <= horizon)).toBe(true);
        }
        if (decided.fate !== "merge") return;
        for (const sibling of decided.record.siblings) {
          expect(known(sibling) || sibling.stamp > horizon).toBe(true);
        }
        // Nothing that was only in the backup is lost by the merge, and nothing that an owner alone holds.
        for (const sibling of restored.siblings) {
          if (!known(sibling)) expect(holds(decided.record, sibling)).toBe(true);
        }
        for (const [held] of all) {
          if (held === null) continue;
          for (const sibling of held.siblings) {
            if (!holds(restored, sibling)) continue;
            const replaced = all.some(
              ([other]) =>
                other !== null && covers(other.context, sibling.dot) && !holds(other, sibling),
            );
            expect(holds(decided.record, sibling)).toBe(!replaced);
          }
        }
      }),
      { numRuns: 1_000 },
    );
  });
});
