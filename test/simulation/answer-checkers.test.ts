import { beforeAll, describe, expect, test } from "bun:test";
import { mergeRecords } from "../../src/core/record.ts";
import { encodeHintNote } from "../../src/replication/hint-note.ts";
import { createTestHasher } from "../support/hasher.ts";
import { judgeRead } from "./checkers/answers.ts";
import { judgeCountedAcks } from "./checkers/custody.ts";
import { dotOf, HandMade } from "./hand-made.ts";

type Hasher = Awaited<ReturnType<typeof createTestHasher>>;
let hasher: Hasher;
beforeAll(async () => {
  hasher = await createTestHasher();
});

const ALL = [0, 1, 2];

describe("what an answer shows", () => {
  test("honest-answers: a 300 shows all siblings that it counts", () => {
    const verdictsOf = (status: number, query: string, shown: number): string[] => {
      const made = new HandMade(hasher);
      const one = made.put(dotOf(0, 1), ALL);
      const other = made.put(dotOf(1, 1), [1, 2, 0], { held: one.record, seen: [], context: [] });
      const { context } = mergeRecords(one.record, other.record);
      const op = made.begin("get", { terms: { query, needed: 2, strict: true } });
      const values = [one.op.id, other.op.id].slice(0, shown);
      const answer = { status, values, context, live: 2, deleted: 0, acks: 2 };
      judgeRead(made.world.ledger, made.world.violate.bind(made.world), op, made.key, answer);
      return made.verdicts;
    };
    expect(verdictsOf(300, "", 2)).toEqual([]);
    expect(verdictsOf(200, "conflict=latest", 1)).toEqual([]);
    expect(verdictsOf(300, "", 1)).toEqual(["honest-answers"]);
    expect(verdictsOf(200, "conflict=siblings", 1)).toEqual(["honest-answers"]);
  });
});

describe("what a write under a condition replaces", () => {
  function verdictsOf(matched: (one: number, other: number) => readonly number[]): string[] {
    const made = new HandMade(hasher);
    const one = made.put(dotOf(0, 1), ALL);
    const other = made.put(dotOf(1, 1), [1, 2, 0], { held: one.record, seen: [], context: [] });
    const both = mergeRecords(one.record, other.record);
    const op = made.begin("put", { condition: "match" });
    op.matched = matched(one.op.id, other.op.id);
    made.store(0, made.record(op, dotOf(0, 2), both, both.context), dotOf(0, 2));
    return made.verdicts;
  }

  test("unseen-replaced: is what its condition names, and nothing else", () => {
    expect(verdictsOf((one, other) => [one, other])).toEqual([]);
    expect(verdictsOf((one) => [one])).toEqual(["unseen-replaced"]);
  });
});

describe("a stand-in counts", () => {
  test("acks: while it keeps the write for as many homes as its W asks for", () => {
    const verdictsOf = (needed: number): string[] => {
      const made = new HandMade(hasher);
      const op = made.begin("put");
      const record = made.record(op, dotOf(0, 1), null, null);
      made.store(0, record, dotOf(0, 1));
      made.keep(1, 2, record, encodeHintNote({ needed, sinceMs: 0 }));
      const report = made.world.violate.bind(made.world);
      const answer = { acks: 1, fallbacks: 1 };
      judgeCountedAcks(report, op, made.key, answer, () => Number.POSITIVE_INFINITY);
      return made.verdicts;
    };
    expect(verdictsOf(2)).toEqual([]);
    expect(verdictsOf(1)).toEqual(["acks"]);
  });
});
