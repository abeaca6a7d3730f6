/**
 * Compaction by proof cannot bring a covered sibling back. A model of one key at three owners: a history by many actors that
 * have retired since, then the moment of the proof (all owners identical, nothing on its way), then compactions, puts with
 * contexts old and new, and merges in any order and as often as you like.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compacted } from "../../src/core/compaction.ts";
import { covers } from "../../src/core/context.ts";
import { CONTEXT_ENTRIES_COMPACT } from "../../src/core/limits.ts";
import { equalRecords, mergeRecords, putSibling } from "../../src/core/record.ts";
import type { CausalRecord, Context, Dot } from "../../src/core/version.ts";
import { actorOf, dotOf, siblingOf } from "../support/arbitraries.ts";

const OWNERS = [1, 2, 3];
const IN_USE = new Set(OWNERS.map(actorOf));
const RETIRED = Array.from({ length: 40 }, (_, i) => 100 + i);

/** One put of the time before the proof: by a retired actor, having seen everything or nothing but itself. */
const past = fc.array(fc.record({ actor: fc.nat(RETIRED.length - 1), sees: fc.boolean() }), {
  minLength: CONTEXT_ENTRIES_COMPACT + 8,
  maxLength: 80,
});

const step = fc.oneof(
  fc.record({ act: fc.constant("compact" as const), at: fc.nat(2) }),
  fc.record({ act: fc.constant("merge" as const), at: fc.nat(2), from: fc.nat(2) }),
  fc.record({
    act: fc.constant("put" as const),
    at: fc.nat(2),
    // What the client has seen: nothing (blind), the proven record before compaction, or what another owner holds now.
    seen: fc.constantFrom("blind" as const, "proven" as const, "owner" as const),
    from: fc.nat(2),
  }),
);

function historyOf(puts: readonly { actor: number; sees: boolean }[]): {
  readonly record: CausalRecord;
  readonly dots: readonly Dot[];
} {
  let record: CausalRecord = { context: [], siblings: [] };
  const counters = new Map<number, number>();
  const dots: Dot[] = [];
  for (const [i, { actor, sees }] of puts.entries()) {
    // Every actor at least once, so that there is something to compact.
    const number = RETIRED[i < RETIRED.length ? i : actor] as number;
    const counter = (counters.get(number) ?? 0) + 1;
    counters.set(number, counter);
    const dot = dotOf(number, 1, counter);
    dots.push(dot);
    const seen: Context = sees ? record.context : [];
    record = putSibling(record, seen, siblingOf(dot));
  }
  return { record, dots };
}

describe("a compacted context", () => {
  test("lets no sibling reappear that it covered, and the owners still converge", () => {
    fc.assert(
      fc.property(past, fc.array(step, { maxLength: 40 }), (puts, steps) => {
        const { record: proven, dots } = historyOf(puts);
        const isLive = (dot: Dot) => proven.siblings.some((sibling) => sibling.dot === dot);
        const replaced = dots.filter((dot) => !isLive(dot));
        const rows: CausalRecord[] = OWNERS.map(() => proven);
        let minted = 0;
        for (const next of steps) {
          const row = rows[next.at] as CausalRecord;
          const other = rows["from" in next ? next.from : 0] as CausalRecord;
          if (next.act === "compact") {
            // Delete-if-equal: a row that has changed since the proof is left alone.
            if (equalRecords(row, proven)) rows[next.at] = compacted(row, IN_USE);
          } else if (next.act === "merge") rows[next.at] = mergeRecords(row, other);
          else {
            const contexts = { blind: null, proven: proven.context, owner: other.context };
            // As decideDot: an epoch of its own is never one that any context shows.
            const dot = dotOf(OWNERS[next.at] as number, 10 + minted++, 1);
            rows[next.at] = putSibling(row, contexts[next.seen], siblingOf(dot));
          }
          for (const each of rows) {
            for (const { dot } of each.siblings) {
              expect(replaced).not.toContainEqual(dot);
              expect(covers(each.context, dot)).toBe(true);
            }
          }
        }
        const all = rows.reduce(mergeRecords);
        for (const row of rows) expect(equalRecords(mergeRecords(row, all), all)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("is shorter, and keeps every sibling and every entry of an actor in use", () => {
    fc.assert(
      fc.property(past, (puts) => {
        const { record } = historyOf(puts);
        const own = dotOf(1, 5, 3);
        const before = putSibling(record, null, siblingOf(own));
        const after = compacted(before, IN_USE);
        expect(after.siblings).toBe(before.siblings);
        expect(after.context).toEqual([own]);
        expect(compacted(after, IN_USE)).toBe(after);
      }),
      { numRuns: 100 },
    );
  });

  test("is left alone while it is short, or all its actors are in use", () => {
    const short = { context: [dotOf(100, 1, 1), dotOf(101, 1, 1)], siblings: [] };
    expect(compacted(short, IN_USE)).toBe(short);
    const { record } = historyOf(
      Array.from({ length: 60 }, (_, i) => ({ actor: i % 40, sees: true })),
    );
    expect(compacted(record, new Set(RETIRED.map(actorOf)))).toBe(record);
  });

  test("that was compacted without the proof does bring one back: the model can tell", () => {
    const { record, dots } = historyOf(
      Array.from({ length: 60 }, (_, i) => ({ actor: i % 40, sees: true })),
    );
    const straggler = siblingOf(dots[0] as Dot);
    const late = mergeRecords(compacted(record, IN_USE), {
      context: [straggler.dot],
      siblings: [straggler],
    });
    expect(late.siblings.map(({ dot }) => dot)).toContainEqual(straggler.dot);
  });
});
