/**
 * Compaction by proof cannot bring a covered sibling back. A model of one key at three owners: a history by many actors that
 * have retired since, then the moment of the proof (all owners identical, nothing on its way), then compactions, puts with
 * contexts old and new, and merges in any order and as often as you like.
 */
import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { compacted } from "../../src/core/compaction.ts";
import { covers, highestOf } from "../../src/core/context.ts";
import { CONTEXT_ENTRIES_COMPACT } from "../../src/core/limits.ts";
import { decideDot } from "../../src/core/mint.ts";
import { equalRecords, mergeRecords, putSibling } from "../../src/core/record.ts";
import type { CausalRecord, Context, Dot } from "../../src/core/version.ts";
import { actorOf, dotOf, siblingOf } from "../support/arbitraries.ts";

const OWNERS = [1, 2, 3];
const IN_USE = new Set(OWNERS.map(actorOf));
const RETIRED = Array.from({ length: 40 }, (_, i) => 100 + i);

/** One put of the time before the proof: by any actor, having seen everything or nothing but itself. */
const past = fc.array(
  // An epoch is gone on with only by the row that it was taken for: here only while it is the actor's newest.
  fc.record({
    actor: fc.nat(RETIRED.length + OWNERS.length - 1),
    sees: fc.boolean(),
    anew: fc.boolean(),
  }),
  { minLength: CONTEXT_ENTRIES_COMPACT + 8, maxLength: 80 },
);

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

function historyOf(
  puts: readonly { readonly actor: number; readonly sees: boolean; readonly anew?: boolean }[],
): {
  readonly record: CausalRecord;
  readonly dots: readonly Dot[];
} {
  let record: CausalRecord = { context: [], siblings: [] };
  const newest = new Map<number, Dot>();
  const dots: Dot[] = [];
  for (const [i, { actor, sees, anew = false }] of puts.entries()) {
    // Every retired actor at least once, so that there is something to compact.
    const number = [...RETIRED, ...OWNERS][i < RETIRED.length ? i : actor] as number;
    const before = newest.get(number);
    const isNew = before === undefined || anew;
    const epoch = (before?.epoch ?? 0) + (isNew ? 1 : 0);
    const dot = dotOf(number, epoch, isNew ? 1 : before.counter + 1);
    newest.set(number, dot);
    dots.push(dot);
    const seen: Context = sees ? record.context : [];
    record = putSibling(record, seen, siblingOf(dot));
  }
  return { record, dots };
}

function nameOf({ actor, epoch, counter }: Dot): string {
  return `${actor}/${epoch}/${counter}`;
}

/**
 * Where a put counts on: at the actor's own row, in an epoch that the row took (mint.ts). What a row of its own remembers of
 * the time before the proof is its actor's newest dot, unless another row has taken a newer epoch.
 */
class Minting {
  readonly #minted = new Map<number, Dot>();
  #nextEpoch = 100;

  constructor(dots: readonly Dot[]) {
    for (const owner of OWNERS) {
      const own = dots.filter((dot) => dot.actor === actorOf(owner)).at(-1);
      if (own !== undefined) this.#minted.set(owner, own);
    }
  }

  next(owner: number, contexts: readonly Context[]): Dot {
    const known = this.#minted.get(owner) ?? null;
    const dot = decideDot({
      actorId: actorOf(owner),
      minted: known,
      firstEpoch: 0,
      localContext: contexts[0] ?? [],
      incomingContext: contexts[1] ?? [],
      takeEpoch: () => this.#nextEpoch++,
    });
    this.#minted.set(owner, dot);
    return dot;
  }
}

describe("a compacted context", () => {
  test("lets no sibling reappear that it covered, and the owners still converge", () => {
    fc.assert(
      fc.property(past, fc.array(step, { maxLength: 40 }), (puts, steps) => {
        const { record: proven, dots } = historyOf(puts);
        const isLive = (dot: Dot) => proven.siblings.some((sibling) => sibling.dot === dot);
        const replaced = dots.filter((dot) => !isLive(dot));
        const rows: CausalRecord[] = OWNERS.map(() => proven);
        const minting = new Minting(dots);
        const minted = new Set(dots.map(nameOf));
        for (const next of steps) {
          const row = rows[next.at] as CausalRecord;
          const other = rows["from" in next ? next.from : 0] as CausalRecord;
          if (next.act === "compact") {
            // Delete-if-equal: a row that has changed since the proof is left alone.
            if (equalRecords(row, proven)) rows[next.at] = compacted(row, IN_USE);
          } else if (next.act === "merge") rows[next.at] = mergeRecords(row, other);
          else {
            const contexts = { blind: null, proven: proven.context, owner: other.context };
            const seen: Context | null = contexts[next.seen];
            const dot = minting.next(OWNERS[next.at] as number, [row.context, seen ?? []]);
            expect(minted).not.toContain(nameOf(dot));
            minted.add(nameOf(dot));
            rows[next.at] = putSibling(row, seen, siblingOf(dot));
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

  test("is shorter, and keeps every sibling, and of each actor in use its newest epoch", () => {
    fc.assert(
      fc.property(past, (puts) => {
        const { record } = historyOf(puts);
        const after = compacted(record, IN_USE);
        expect(after.siblings).toBe(record.siblings);
        const newest = OWNERS.flatMap((owner) => {
          const highest = highestOf(record.context, actorOf(owner));
          return highest === null ? [] : [{ actor: actorOf(owner), ...highest }];
        });
        const live = record.siblings.map(({ dot }) => ({ ...dot, counter: expect.any(Number) }));
        for (const entry of newest) expect(after.context).toContainEqual(entry);
        for (const entry of live) expect(after.context).toContainEqual(entry);
        expect(after.context.length).toBeLessThanOrEqual(newest.length + live.length);
        expect(compacted(after, IN_USE)).toBe(after);
      }),
      { numRuns: 100 },
    );
  });

  test("of one actor with hundreds of epochs is as short as that of one with a single one", () => {
    const live = siblingOf(dotOf(1, 500, 1));
    const context = Array.from({ length: 500 }, (_, i) => dotOf(1, i + 1, 1));
    expect(compacted({ context, siblings: [live] }, IN_USE).context).toEqual([live.dot]);
    const early = siblingOf(dotOf(1, 3, 1));
    expect(compacted({ context, siblings: [early] }, IN_USE).context).toEqual([
      early.dot,
      live.dot,
    ]);
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
