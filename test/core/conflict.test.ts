import { describe, expect, test } from "bun:test";
import { type ConflictPolicy, resolve } from "../../src/core/conflict.ts";
import { EMPTY_RECORD, mergeRecords } from "../../src/core/record.ts";
import type { CausalRecord, Sibling } from "../../src/core/version.ts";
import { dotOf, siblingOf, tombstoneOf } from "../support/arbitraries.ts";

const nowMs = 10_000;
const strict = { sloppy: false, writeQuorum: 2 };

/** A replica that holds these siblings and has seen nothing else. */
function holding(...siblings: Sibling[]): CausalRecord {
  return siblings.reduce<CausalRecord>(
    (record, sibling) => mergeRecords(record, { context: [sibling.dot], siblings: [sibling] }),
    EMPTY_RECORD,
  );
}

function read(answers: (CausalRecord | null)[], policy: ConflictPolicy, homes = 3) {
  const record = answers.reduce<CausalRecord>(
    (merged, answer) => mergeRecords(merged, answer ?? EMPTY_RECORD),
    EMPTY_RECORD,
  );
  return resolve({ record, answers, homes, policy, nowMs });
}

// Of different actors, all counters 1: one context may cover one without the other.
const older = siblingOf(dotOf(1, 0, 1), { ...strict, stamp: 100 });
const newer = siblingOf(dotOf(2, 0, 1), { ...strict, stamp: 200 });
const deletion = tombstoneOf(dotOf(3, 0, 1), { ...strict, stamp: 300 });
const expired = siblingOf(dotOf(3, 0, 1), { ...strict, stamp: 300, expiresAtMs: nowMs });

describe("resolve by majority", () => {
  test("the newest wins although more replicas hold an older one", () => {
    expect(read([holding(older, newer), holding(older)], "majority").chosen).toEqual([newer]);
  });

  test("a strict sibling that cannot have reached its quorum is out-voted", () => {
    const answers = [holding(older, newer), holding(older), holding(older)];
    expect(read(answers, "majority").chosen).toEqual([older]);
  });

  test("a silent home may hold it, and then it is not out-voted", () => {
    expect(read([holding(older, newer), holding(older)], "majority").chosen).toEqual([newer]);
    expect(read([holding(older, newer), holding(older)], "majority", 2).chosen).toEqual([older]);
  });

  test("an answer of absent is a vote against", () => {
    expect(read([holding(older, newer), holding(older), null], "majority").chosen).toEqual([older]);
  });

  test("a sibling that stand-ins may hold is never out-voted", () => {
    const sloppy = { ...newer, sloppy: true };
    const answers = [holding(older, sloppy), holding(older), holding(older)];
    expect(read(answers, "majority").chosen).toEqual([sloppy]);
  });

  test("its own write quorum is the measure, not the reader's", () => {
    const byOne = { ...newer, writeQuorum: 1 };
    const answers = [holding(older, byOne), holding(older), holding(older)];
    expect(read(answers, "majority").chosen).toEqual([byOne]);
  });

  test("if all are out-voted the most held wins, then the newest, then the highest dot", () => {
    const three = { sloppy: false, writeQuorum: 3 };
    const a = siblingOf(dotOf(1, 0, 1), { ...three, stamp: 100 });
    const b = siblingOf(dotOf(2, 0, 1), { ...three, stamp: 200 });
    const c = siblingOf(dotOf(3, 0, 1), { ...three, stamp: 200 });
    expect(read([holding(a, b), holding(a, c), null], "majority").chosen).toEqual([a]);
    expect(read([holding(a), holding(b), null], "majority").chosen).toEqual([b]);
    expect(read([holding(b), holding(c), null], "majority").chosen).toEqual([c]);
  });

  test("a tombstone or an expired sibling that wins means not found", () => {
    for (const gone of [deletion, expired]) {
      const answer = holding(older, gone);
      expect(read([answer, answer], "majority")).toEqual({
        chosen: [],
        live: 1,
        deletedOrExpired: 1,
      });
    }
  });

  test("a tombstone that loses is only counted", () => {
    const early = { ...deletion, stamp: 1 };
    const answer = holding(older, early);
    expect(read([answer, answer], "majority")).toEqual({
      chosen: [older],
      live: 1,
      deletedOrExpired: 1,
    });
  });

  test("one sibling alone is the answer, whatever its votes", () => {
    expect(read([holding(older), null, null], "majority").chosen).toEqual([older]);
    expect(read([holding(deletion), null, null], "majority").chosen).toEqual([]);
  });
});

describe("resolve by latest and siblings", () => {
  test("latest takes the newest stamp without a vote", () => {
    const answers = [holding(older, newer), holding(older), holding(older)];
    expect(read(answers, "latest").chosen).toEqual([newer]);
    expect(read([holding(older, deletion)], "latest").chosen).toEqual([]);
  });

  test("equal stamps go by the highest dot", () => {
    const twin = siblingOf(dotOf(9, 0, 1), { ...strict, stamp: newer.stamp });
    expect(read([holding(newer), holding(twin)], "latest").chosen).toEqual([twin]);
  });

  test("siblings gives all that are live, in the order of their dots", () => {
    const answers = [holding(newer), holding(older, expired)];
    expect(read(answers, "siblings")).toEqual({
      chosen: [older, newer],
      live: 2,
      deletedOrExpired: 1,
    });
  });

  test("an empty record has nothing to choose", () => {
    for (const policy of ["majority", "latest", "siblings"] as const) {
      expect(read([null, null], policy)).toEqual({ chosen: [], live: 0, deletedOrExpired: 0 });
    }
  });
});

describe("a write that two coordinators took under one Idempotency-Key", () => {
  const once = { idempotencyKey: "i".repeat(16), bodyDigest: "b".repeat(16) };
  const first = { ...older, ...once };
  const again = { ...newer, ...once };

  test("shows once, as the newer", () => {
    const found = read([holding(first, again), holding(again)], "siblings");
    expect(found).toEqual({ chosen: [again], live: 1, deletedOrExpired: 0 });
  });

  test("shows beside another write, and beside one with the key but another body", () => {
    const other = siblingOf(dotOf(4, 0, 1), { ...strict, stamp: 50 });
    const otherBody = siblingOf(dotOf(5, 0, 1), { ...strict, ...once, bodyDigest: "c".repeat(16) });
    const found = read([holding(first, again, other, otherBody)], "siblings");
    expect(found.chosen).toEqual([again, other, otherBody]);
    expect(found.live).toBe(3);
  });
});
