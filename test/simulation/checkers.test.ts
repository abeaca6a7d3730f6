import { beforeAll, describe, expect, test } from "bun:test";
import { mergeRecords } from "../../src/core/record.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  judgeAcks,
  judgeCreation,
  judgeMatch,
  judgeRead,
  judgeStatus,
  judgeWriteContext,
  type ReadAnswer,
} from "./checkers/answers.ts";
import { divergence, judgeStrayRows, leftOver } from "./checkers/convergence.ts";
import { judgeExpiry } from "./checkers/expiry.ts";
import { judgeFinalState } from "./checkers/final-state.ts";
import { type Claim, judgeList, type Page } from "./checkers/lists.ts";
import { Losses } from "./checkers/losses.ts";
import { judgeSession } from "./checkers/sessions.ts";
import { dotOf, HandMade } from "./hand-made.ts";
import type { Op } from "./history.ts";

type Hasher = Awaited<ReturnType<typeof createTestHasher>>;
let hasher: Hasher;
beforeAll(async () => {
  hasher = await createTestHasher();
});

const ALL = [0, 1, 2];
const ALL_KEYS: Claim = { reverse: false, after: null, upTo: null };

function answerOf(values: readonly Op[], context: ReadAnswer["context"], live = values.length) {
  return { status: 200, values: values.map((op) => op.id), context, live, deleted: 0, acks: 2 };
}

/** What is said of one read by a world in which `prepare` has happened before it began. */
function verdictsOfRead(prepare: (made: HandMade) => (made: HandMade) => ReadAnswer): string[] {
  const made = new HandMade(hasher);
  const answer = prepare(made);
  const op = made.begin("get");
  judgeRead(made.world.ledger, made.world.violate.bind(made.world), op, made.key, answer(made));
  return made.verdicts;
}

describe("a checker says nothing of what is right, and speaks of what is wrong", () => {
  test("a put, read and replaced: nothing", () => {
    expect(
      verdictsOfRead((made) => {
        const first = made.put(dotOf(0, 1), ALL);
        const second = made.put(dotOf(0, 2), ALL, {
          held: first.record,
          seen: [first.op],
          context: first.record.context,
        });
        return () => answerOf([second.op], second.record.context);
      }),
    ).toEqual([]);
  });

  test("strict-reads: a majority's write is missed", () => {
    expect(
      verdictsOfRead((made) => {
        made.put(dotOf(0, 1), ALL);
        return () => ({ status: 404, values: [], context: null, live: 0, deleted: 0, acks: 2 });
      }),
    ).toEqual(["strict-reads"]);
  });

  test("strict-reads: a replaced value is shown again", () => {
    expect(
      verdictsOfRead((made) => {
        const first = made.put(dotOf(0, 1), ALL);
        const second = made.put(dotOf(0, 2), ALL, {
          held: first.record,
          seen: [first.op],
          context: first.record.context,
        });
        return () => answerOf([first.op], second.record.context);
      }),
    ).toEqual(["strict-reads"]);
  });

  test("contexts: a read's context speaks of a sibling that is not counted", () => {
    expect(
      verdictsOfRead((made) => {
        const one = made.put(dotOf(0, 1), ALL);
        const held = { held: one.record, seen: [], context: [] };
        const both = made.put(dotOf(1, 1), [1, 2, 0], held);
        return () => answerOf([one.op], mergeRecords(one.record, both.record).context);
      }),
    ).toContain("contexts");
  });

  test("contexts: a put's answer covers what its client has not seen", () => {
    const made = new HandMade(hasher);
    const one = made.put(dotOf(0, 1), ALL);
    const other = made.put(dotOf(0, 2), ALL, { held: one.record, seen: [], context: [] });
    judgeWriteContext(
      made.world.violate.bind(made.world),
      other.op,
      made.key,
      other.record.context,
    );
    expect(made.verdicts).toEqual(["contexts"]);
  });

  test("contexts: what others have replaced may be covered without that: a restored row, merged, speaks of no more", () => {
    const made = new HandMade(hasher);
    const one = made.put(dotOf(1, 1), [1, 2]);
    const { context } = one.record;
    made.put(dotOf(1, 2), [1, 2], { held: one.record, seen: [one.op], context });
    const other = made.begin("put", { seen: [] });
    const record = made.record(other, dotOf(0, 1), null, context);
    made.store(0, record, dotOf(0, 1));
    judgeWriteContext(made.world.violate.bind(made.world), other, made.key, record.context);
    expect(made.verdicts).toEqual([]);
  });

  test("phantom: a value that nobody put, or that was refused", () => {
    expect(
      verdictsOfRead((made) => {
        const refused = made.begin("put");
        made.refuse(refused);
        const good = made.put(dotOf(0, 1), ALL);
        return () => answerOf([good.op, refused], good.record.context);
      }),
    ).toContain("phantom");
  });

  test("duplicates: one value shown twice, and one write executed twice", () => {
    expect(
      verdictsOfRead((made) => {
        const { op, record } = made.put(dotOf(0, 1), ALL);
        return () => answerOf([op, op], record.context);
      }),
    ).toContain("duplicates");
    const made = new HandMade(hasher);
    const { op } = made.put(dotOf(0, 1), ALL);
    made.store(1, made.record(op, dotOf(1, 1), null, null), dotOf(1, 1));
    expect(made.verdicts).toEqual(["duplicates"]);
    const repeated = new HandMade(hasher);
    const again = repeated.put(dotOf(0, 1), [0, 2]).op;
    again.repeats = 1;
    repeated.store(1, repeated.record(again, dotOf(1, 1), null, null), dotOf(1, 1));
    expect(repeated.verdicts).toEqual([]);
  });

  test("honest-answers: too few acks, stand-ins in a strict answer, a status that there is not", () => {
    const made = new HandMade(hasher);
    const report = made.world.violate.bind(made.world);
    const strict = made.begin("put");
    judgeAcks(report, strict, { acks: 2, fallbacks: 0 });
    expect(made.verdicts).toEqual([]);
    judgeAcks(report, strict, { acks: 1, fallbacks: 0 });
    judgeAcks(report, strict, { acks: 2, fallbacks: 1 });
    judgeStatus(report, "get", 500, "a get");
    expect(made.world.violations.length).toBe(3);
    expect(made.verdicts).toEqual(["honest-answers"]);
  });

  test("honest-answers: what was refused is stored", () => {
    const made = new HandMade(hasher);
    const op = made.begin("put");
    made.refuse(op);
    made.store(0, made.record(op, dotOf(0, 1), null, null), dotOf(0, 1));
    expect(made.verdicts).toEqual(["honest-answers"]);
  });

  test("dot-reuse: one dot, two values", () => {
    const made = new HandMade(hasher);
    made.put(dotOf(0, 1), ALL);
    const other = made.begin("put");
    made.store(0, made.record(other, dotOf(0, 1), null, null), dotOf(0, 1));
    expect(made.verdicts).toContain("dot-reuse");
  });

  test("dot-reuse: a dot is minted that a context has covered", () => {
    const made = new HandMade(hasher);
    const second = made.put(dotOf(0, 2), ALL);
    expect(second.record.context[0]?.counter).toBe(2);
    made.put(dotOf(0, 1), ALL);
    expect(made.verdicts).toEqual(["dot-reuse"]);
  });

  test("durable-before-seen: a dot at another node before its commit", () => {
    const made = new HandMade(hasher);
    const op = made.begin("put");
    const record = made.record(op, dotOf(0, 1), null, null);
    made.store(0, record, dotOf(0, 1), false);
    made.store(1, record);
    expect(made.verdicts).toEqual(["durable-before-seen"]);
  });

  test("unseen-replaced: a put drops a sibling that its client had not seen", () => {
    const made = new HandMade(hasher);
    const one = made.put(dotOf(0, 1), ALL);
    const other = made.begin("put", { seen: [] });
    // With what it covers taken for what its client had seen.
    const record = made.record(other, dotOf(0, 2), one.record, one.record.context);
    made.store(0, record, dotOf(0, 2));
    expect(made.verdicts).toEqual(["unseen-replaced"]);
  });

  test("sessions: an answer of a session lacks what it had seen", () => {
    const made = new HandMade(hasher);
    const report = made.world.violate.bind(made.world);
    const first = made.put(dotOf(0, 1), ALL);
    const second = made.put(dotOf(1, 1), ALL);
    const op = made.begin("get");
    const { ledger } = made.world;
    judgeSession(ledger, report, op, made.key, [first.op.id], { context: first.record.context });
    expect(made.verdicts).toEqual([]);
    judgeSession(ledger, report, op, made.key, [first.op.id], { context: second.record.context });
    expect(made.verdicts).toEqual(["sessions"]);
  });

  test("sessions: nothing at all where only a reaped tombstone may leave nothing", () => {
    const made = new HandMade(hasher);
    const { op } = made.put(dotOf(0, 1), ALL);
    const read = made.begin("get");
    judgeSession(made.world.ledger, made.world.violate.bind(made.world), read, made.key, [op.id], {
      context: null,
    });
    expect(made.verdicts).toEqual(["sessions"]);
  });

  test("preconditions: a key is created that a majority held before", () => {
    const made = new HandMade(hasher);
    const creation = made.begin("put");
    judgeCreation(made.world, creation, made.key);
    expect(made.verdicts).toEqual([]);
    made.put(dotOf(0, 1), ALL);
    judgeCreation(made.world, made.begin("put"), made.key);
    expect(made.verdicts).toEqual(["preconditions"]);
  });

  test("preconditions: a put matches the tag of a value that a majority had replaced", () => {
    const made = new HandMade(hasher);
    const first = made.put(dotOf(0, 1), ALL);
    const early = made.begin("put");
    early.matched = [first.op.id];
    const { context } = first.record;
    made.put(dotOf(0, 2), ALL, { held: first.record, seen: [first.op], context });
    judgeMatch(made.world, early, made.key);
    expect(made.verdicts).toEqual([]);
    const late = made.begin("put");
    late.matched = [first.op.id];
    judgeMatch(made.world, late, made.key);
    expect(made.verdicts).toEqual(["preconditions"]);
  });

  test("honest-answers: a 404 on the word of stand-ins", () => {
    const read = { status: 404, values: [], context: null, live: 0, deleted: 0 };
    expect(verdictsOfRead(() => () => ({ ...read, acks: 2 }))).toEqual([]);
    expect(verdictsOfRead(() => () => ({ ...read, acks: 1 }))).toEqual(["honest-answers"]);
  });

  test("duplicates: a coordinator that holds a write executes its repeat", () => {
    const made = new HandMade(hasher);
    const { op, record } = made.put(dotOf(0, 1), ALL);
    op.repeats = 1;
    made.store(0, made.record(op, dotOf(0, 2), record, null), dotOf(0, 2));
    expect(made.verdicts).toEqual(["duplicates"]);
  });

  test("doubt: a home has lost what a majority had acknowledged, and counts without it", () => {
    const made = new HandMade(hasher);
    const { record } = made.put(dotOf(0, 1), ALL);
    const { ledger, nodes } = made.world;
    const report = made.world.violate.bind(made.world);
    let answer: { record: typeof record | null; counts: boolean } = { record: null, counts: false };
    const losses = new Losses({ ledger, nodes, hasher, report, ownAnswer: () => answer });
    losses.lose(0, [made.key]);
    losses.judge();
    answer = { record, counts: true };
    losses.judge();
    // What it had again, it may not lack for any other reason either: but that is not this checker's claim.
    answer = { record: null, counts: true };
    losses.judge();
    expect(made.verdicts).toEqual([]);
    losses.lose(0, [made.key]);
    losses.judge();
    expect(made.verdicts).toEqual(["doubt"]);
  });

  test("lists: out of order, a key that is none, a key left out", () => {
    const show = (shown: readonly (readonly [name: string, op: number])[]): Page => ({
      keys: shown.map(([name, metadata]) => ({ name, metadata })),
    });
    const made = new HandMade(hasher);
    const { id } = made.put(dotOf(0, 1), ALL).op;
    const op = made.begin("list");
    // Later than the put was acknowledged: in this world no time passes.
    const later = { ...op, startMs: 1, endMs: 2 };
    judgeList(made.world, later, ALL_KEYS, show([["key-0", id]]));
    expect(made.verdicts).toEqual([]);
    const page = (shown: readonly (readonly [name: string, op: number])[]): number => {
      made.world.violations.length = 0;
      judgeList(made.world, later, ALL_KEYS, show(shown));
      return made.world.violations.length;
    };
    const twice = [["key-0", id] as const, ["key-0", id] as const];
    expect([
      page(twice),
      page([
        ["key-0", id],
        ["nobody", id],
      ]),
      page([]),
    ]).toEqual([1, 1, 1]);
    expect([page([["key-0", op.id]]), made.verdicts]).toEqual([1, ["lists"]]);
  });

  test("lists: a value is shown that a majority had replaced, a key left out whose delete was replaced", () => {
    const made = new HandMade(hasher);
    const first = made.put(dotOf(0, 1), ALL);
    const { context } = first.record;
    const deleted = made.begin("delete", { seen: [first.op] });
    const second = made.put(dotOf(0, 2), ALL, {
      held: first.record,
      seen: [first.op, deleted],
      context,
    });
    const later = { ...made.begin("list"), startMs: 1, endMs: 2 };
    const page = (id: number): Page => ({ keys: [{ name: "key-0", metadata: id }] });
    judgeList(made.world, later, ALL_KEYS, page(second.op.id));
    expect(made.verdicts).toEqual([]);
    judgeList(made.world, later, ALL_KEYS, page(first.op.id));
    judgeList(made.world, later, ALL_KEYS, { keys: [] });
    expect(made.world.violations.map(({ text }) => text.replaceAll(/[0-9]+/g, "#"))).toEqual([
      "list # shows op # of key-#, which op # had replaced",
      "list # leaves out key-#",
    ]);
    const other = made.begin("delete");
    judgeList(made.world, later, ALL_KEYS, { keys: [] });
    expect(made.world.violations.length).toBe(2);
    made.refuse(other);
    judgeList(made.world, later, ALL_KEYS, { keys: [] });
    expect(made.world.violations.length).toBe(3);
  });

  test("lists: a page answers for the keys that its cursors leave to it, in either direction", () => {
    const made = new HandMade(hasher);
    const { id } = made.put(dotOf(0, 1), ALL).op;
    const later = { ...made.begin("list"), startMs: 1, endMs: 2 };
    const violations = (claim: Claim, keys: Page["keys"]): number => {
      made.world.violations.length = 0;
      judgeList(made.world, later, claim, { keys });
      return made.world.violations.length;
    };
    const shown = [{ name: "key-0", metadata: id }];
    // The only key is within the claim, or outside of it.
    for (const [claim, isWithin] of [
      [{ reverse: false, after: null, upTo: "key-0" }, true],
      [{ reverse: false, after: "key-", upTo: null }, true],
      [{ reverse: false, after: "key-0", upTo: null }, false],
      [{ reverse: false, after: null, upTo: "key-" }, false],
      [{ reverse: true, after: null, upTo: "key-0" }, true],
      [{ reverse: true, after: "key-1", upTo: null }, true],
      [{ reverse: true, after: "key-0", upTo: null }, false],
      [{ reverse: true, after: null, upTo: "key-1" }, false],
    ] as const) {
      expect([violations(claim, shown), violations(claim, [])]).toEqual(isWithin ? [0, 1] : [1, 0]);
    }
  });

  test("expiry: a value is shown after its end, or missing before it, where clocks agree", () => {
    const made = new HandMade(hasher);
    const { world, key } = made;
    const { op, record } = made.put(dotOf(0, 1), ALL);
    op.ttlMs = 10_000;
    const ofRead = (atMs: number, answer: ReadAnswer): number => {
      world.violations.length = 0;
      judgeExpiry(world, { ...made.begin("get"), startMs: atMs, endMs: atMs + 1 }, key, answer);
      return world.violations.length;
    };
    const there = answerOf([op], record.context);
    const gone = { ...there, status: 404, values: [], live: 0, deleted: 1 };
    expect([ofRead(100, there), ofRead(100, gone)]).toEqual([0, 1]);
    expect([ofRead(30_000, there), ofRead(30_000, gone)]).toEqual([1, 0]);
    // Within what clocks may differ by, either is right.
    expect([ofRead(10_000, there), ofRead(10_000, gone)]).toEqual([0, 0]);
  });
});

describe("the final state", () => {
  test("is right when it holds what nothing has replaced", () => {
    const made = new HandMade(hasher);
    made.put(dotOf(0, 1), ALL);
    judgeFinalState(made.world);
    judgeStrayRows(made.world);
    expect([made.verdicts, divergence(made.world, made.key), leftOver(made.world)]).toEqual([
      [],
      null,
      null,
    ]);
  });

  test("lost-writes: an acknowledged write is nowhere, and nobody has replaced it", () => {
    const made = new HandMade(hasher);
    const first = made.put(dotOf(0, 1), ALL);
    const other = made.begin("put", { seen: [] });
    const record = made.record(other, dotOf(1, 1), null, null);
    for (const home of ALL) made.store(home, record, home === 1 ? dotOf(1, 1) : null);
    expect(first.op.status).toBe("ok");
    judgeFinalState(made.world);
    expect(made.verdicts).toContain("lost-writes");
  });

  test("resurrected and siblings-bounded: a replaced write stands beside what has replaced it", () => {
    const made = new HandMade(hasher);
    const first = made.put(dotOf(0, 1), ALL);
    const second = made.put(dotOf(1, 1), ALL, {
      held: first.record,
      seen: [first.op],
      context: first.record.context,
    });
    const both = {
      context: second.record.context,
      siblings: [...first.record.siblings, ...second.record.siblings],
    };
    for (const home of ALL) made.store(home, both);
    judgeFinalState(made.world);
    expect(made.verdicts).toEqual(["resurrected", "siblings-bounded"]);
  });

  test("what a crash took back before its commit has replaced nothing, nor has who replaced the write itself", () => {
    const made = new HandMade(hasher);
    const first = made.put(dotOf(1, 1), [1]);
    const repeated = made.begin("put");
    repeated.repeats = 1;
    const here = made.record(repeated, dotOf(0, 1), null, null);
    made.store(0, here, dotOf(0, 1));
    const there = made.record(repeated, dotOf(1, 2), first.record, first.record.context);
    made.store(1, there, dotOf(1, 2), false);
    const last = made.put(dotOf(0, 2), [0], { held: here, context: here.context });
    made.world.ledger.rolledBack(1);
    made.acknowledge(repeated, 1);
    made.store(0, mergeRecords(first.record, last.record));
    judgeFinalState(made.world);
    expect([made.verdicts, repeated.past, last.op.past]).toEqual([
      [],
      new Set(),
      new Set([repeated.id]),
    ]);
  });

  test("convergence: homes differ, a row at a stranger, a hint that nobody fetched", () => {
    const made = new HandMade(hasher);
    const first = made.put(dotOf(0, 1), ALL);
    made.store(1, made.record(made.begin("put"), dotOf(1, 1), first.record, null), dotOf(1, 1));
    expect(divergence(made.world, made.key)).toContain("differs between its homes");
    made.key.homes = [0, 1];
    judgeStrayRows(made.world);
    expect(made.verdicts).toEqual(["convergence"]);
  });
});
