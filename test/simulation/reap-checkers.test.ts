import { beforeAll, describe, expect, test } from "bun:test";
import { MESSAGES_PATH } from "../../src/cluster/peer-auth.ts";
import { MESSAGE_KINDS } from "../../src/cluster/peer-channel.ts";
import { encodeAnswer, encodeRequest } from "../../src/cluster/peer-codec.ts";
import { REAP_ANSWERS } from "../../src/core/reap.ts";
import { newestStamp } from "../../src/core/record.ts";
import { encodeBody, encodeHead } from "../../src/core/record-codec.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import type { DiskRow } from "../../src/env/disk.ts";
import { createTestHasher } from "../support/hasher.ts";
import { ReapBook } from "./checkers/reaping.ts";
import { dotOf, HandMade } from "./hand-made.ts";

type Hasher = Awaited<ReturnType<typeof createTestHasher>>;
let hasher: Hasher;
beforeAll(async () => {
  hasher = await createTestHasher();
});

const ALL = [0, 1, 2];
const LIFE_MS = 700;

/** A value at all homes, and one that replaces it at some of them. */
class Reaped {
  readonly made = new HandMade(hasher);
  readonly verdicts: string[] = [];
  readonly book: ReapBook;
  readonly first: CausalRecord;
  readonly second: CausalRecord;
  nowMs = 100_000;

  constructor(replacedAt = ALL) {
    const { made } = this;
    this.book = new ReapBook({
      ledger: made.world.ledger,
      nodes: made.world.nodes,
      nowMs: () => this.nowMs,
      lifeMs: LIFE_MS,
      report: (checker) => this.verdicts.push(checker),
    });
    const first = made.put(dotOf(0, 1), ALL);
    const second = made.put(dotOf(0, 2), replacedAt, {
      ...{ held: first.record, seen: [first.op], context: first.record.context },
    });
    this.first = first.record;
    this.second = second.record;
  }

  row(record: CausalRecord): DiskRow {
    return {
      ...{ namespace: 1, key: this.made.key.bytes, place: 0, sequence: 9, minted: null },
      ...{ head: encodeHead(record), headSum: new Uint8Array(8), body: encodeBody(record) },
    };
  }

  forget(node: number, record: CausalRecord): void {
    const observer = this.book.observerFor(node);
    observer.deleted(this.row(record));
    observer.committed();
  }

  /** What node 0 says to a reaper, of a row that is as old as this. */
  say(stamp: number, answer: number, ageMs = 0, status = 200): void {
    const item = [0, 1, "key-0", new Uint8Array(16), stamp];
    const body = encodeRequest("c", [MESSAGE_KINDS.reapAsk, 100, [1, [], item]]);
    const request = { url: "", path: MESSAGES_PATH, auth: "", body, timeoutMs: 100 };
    const said = encodeAnswer([0, [Uint8Array.of(answer)]]);
    this.book.take(0, request, ageMs)({ status, auth: "", body: said });
  }
}

/** It has expired long ago. */
function dead(record: CausalRecord): CausalRecord {
  return { ...record, siblings: record.siblings.map((one) => ({ ...one, expiresAtMs: 5 })) };
}

describe("the checker of reaping", () => {
  test("says nothing when all that the row had replaced is gone for two lives of a message", () => {
    const reaped = new Reaped();
    reaped.book.observerFor(1).wrote(reaped.row(reaped.second), reaped.row(reaped.first));
    reaped.nowMs += 2 * LIFE_MS;
    for (const node of ALL) reaped.forget(node, dead(reaped.second));
    expect(reaped.verdicts).toEqual([]);
  });

  test("speaks of a value that is alive", () => {
    const reaped = new Reaped();
    reaped.forget(0, reaped.second);
    expect(reaped.verdicts).toEqual(["reaping"]);
  });

  test("speaks of a copy at another home", () => {
    const reaped = new Reaped([0, 1]);
    reaped.forget(0, dead(reaped.second));
    expect(reaped.verdicts).toEqual(["reaping"]);
  });

  test("speaks of a copy that may be under way", () => {
    const reaped = new Reaped();
    reaped.book.observerFor(1).wrote(reaped.row(reaped.second), reaped.row(reaped.first));
    reaped.nowMs += 2 * LIFE_MS - 1;
    reaped.forget(0, dead(reaped.second));
    expect(reaped.verdicts).toEqual(["reaping"]);
  });

  test("speaks of an entry that went from a context while a copy was left", () => {
    const reaped = new Reaped([0, 1]);
    const [sibling] = reaped.second.siblings;
    if (sibling === undefined) throw new Error("a put has a sibling");
    const later = { ...sibling, dot: dotOf(1, 1) };
    const long = { context: [...reaped.second.context, dotOf(1, 1)], siblings: [later] };
    const observer = reaped.book.observerFor(0);
    observer.wrote(reaped.row({ context: [dotOf(1, 1)], siblings: [later] }), reaped.row(long));
    observer.committed();
    expect(reaped.verdicts).toContain("reaping");
  });

  test("resurrected: what was replaced is stored once more", () => {
    const reaped = new Reaped();
    reaped.forget(0, dead(reaped.second));
    reaped.book.observerFor(2).wrote(reaped.row(reaped.first), undefined);
    expect(reaped.verdicts).toEqual(["resurrected"]);
  });

  test("speaks of a message that is older than its life, unless it is refused", () => {
    const reaped = new Reaped();
    reaped.say(0, REAP_ANSWERS.different, LIFE_MS);
    reaped.say(0, REAP_ANSWERS.different, LIFE_MS + 1, 408);
    expect(reaped.verdicts).toEqual([]);
    reaped.say(0, REAP_ANSWERS.different, LIFE_MS + 1);
    expect(reaped.verdicts).toEqual(["reaping"]);
  });

  test("speaks of who agrees with another row, or with one that has just changed", () => {
    const reaped = new Reaped();
    const stamp = newestStamp(reaped.second);
    reaped.say(stamp, REAP_ANSWERS.agreed);
    reaped.say(stamp + 1, REAP_ANSWERS.different);
    expect(reaped.verdicts).toEqual([]);
    reaped.say(stamp + 1, REAP_ANSWERS.agreed);
    expect(reaped.verdicts.splice(0)).toEqual(["reaping"]);
    const observer = reaped.book.observerFor(0);
    observer.wrote(reaped.row(reaped.second), reaped.row(reaped.second));
    observer.committed();
    reaped.nowMs += 3 * LIFE_MS;
    reaped.say(stamp, REAP_ANSWERS.unquiet);
    expect(reaped.verdicts).toEqual([]);
    reaped.say(stamp, REAP_ANSWERS.agreed);
    expect(reaped.verdicts).toEqual(["reaping"]);
  });
});
