import { beforeAll, describe, expect, test } from "bun:test";
import { MESSAGE_KINDS, type WireFields } from "../../src/cluster/peer-channel.ts";
import { encodeAnswer, encodeRequest } from "../../src/cluster/peer-codec.ts";
import { parseNamespaceId } from "../../src/core/ids.ts";
import { makeKey } from "../../src/core/key.ts";
import { encodeBody, encodeHead } from "../../src/core/record-codec.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import { encodeAck, encodeWrite } from "../../src/replication/data-messages.ts";
import { encodeHeldAnswer, encodeHeldQuestion } from "../../src/replication/held.ts";
import { encodeHint } from "../../src/replication/hint-messages.ts";
import { encodeHintNote } from "../../src/replication/hint-note.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  acksIn,
  judgeCountedAcks,
  judgeDroppedHint,
  judgeLeavingAcks,
} from "./checkers/custody.ts";
import { judgeToken } from "./checkers/sessions.ts";
import { dotOf, HandMade } from "./hand-made.ts";
import { generationMeta } from "./sim-node.ts";

type Hasher = Awaited<ReturnType<typeof createTestHasher>>;
let hasher: Hasher;
beforeAll(async () => {
  hasher = await createTestHasher();
});

const ALL = [0, 1, 2];
const UNKNOWN = (): number => Number.POSITIVE_INFINITY;

/** A node answers one message about the record while what it was told of it is not committed, or is. */
function leaving(
  message: (made: HandMade, record: CausalRecord) => readonly [number, WireFields],
  answer: readonly [number, WireFields],
  isCommitted: boolean,
): string[] {
  const made = new HandMade(hasher);
  const { ledger } = made.world;
  const op = made.begin("put");
  const record = made.record(op, dotOf(0, 1), null, null);
  made.store(0, record, dotOf(0, 1));
  made.store(1, record, null, isCommitted);
  // Some other row is open in either case: that is no ack's business.
  if (isCommitted) made.store(1, made.record(op, dotOf(0, 1), null, null), null, false);
  const [kind, fields] = message(made, record);
  const request = encodeRequest("", [kind, 1_000, fields]);
  const acks = acksIn(ledger, request, encodeAnswer([...answer]));
  judgeLeavingAcks(made.world.violate.bind(made.world), 1, acks);
  return made.verdicts;
}

function keyOf(made: HandMade) {
  return makeKey(hasher, parseNamespaceId(made.key.namespace), made.key.name);
}

describe("an ack that leaves a node", () => {
  const write = (made: HandMade, record: CausalRecord): readonly [number, WireFields] => [
    MESSAGE_KINDS.write,
    encodeWrite(1, keyOf(made), record),
  ];
  const ack: readonly [number, WireFields] = [0, encodeAck([1, 1, 1])];

  test("speaks of a row that is committed there", () => {
    expect(leaving(write, ack, true)).toEqual([]);
    expect(leaving(write, ack, false)).toEqual(["acks"]);
  });

  test("is none when it is a refusal", () => {
    expect(leaving(write, [1, ["disk_full", "No room", null]], false)).toEqual([]);
  });

  test("speaks, for a hint, of the row that is kept for that home", () => {
    const hint = (made: HandMade, record: CausalRecord): readonly [number, WireFields] => [
      MESSAGE_KINDS.hint,
      encodeHint(encodeWrite(1, keyOf(made), record), made.world.node(2).id, 2),
    ];
    expect(leaving(hint, ack, true)).toEqual(["acks"]);
  });

  test("may say that a record is held only once it is committed", () => {
    const held = (made: HandMade, record: CausalRecord): readonly [number, WireFields] => [
      MESSAGE_KINDS.held,
      encodeHeldQuestion(1, keyOf(made), record),
    ];
    expect(leaving(held, [0, encodeHeldAnswer([1, 1, 1])], true)).toEqual([]);
    expect(leaving(held, [0, encodeHeldAnswer([1, 1, 1])], false)).toEqual(["acks"]);
    expect(leaving(held, [0, encodeHeldAnswer(null)], false)).toEqual([]);
  });
});

describe("the acks that an answer counts", () => {
  test("are no more than the homes and the stand-ins that have committed the write", () => {
    const made = new HandMade(hasher);
    const report = made.world.violate.bind(made.world);
    const { op } = made.put(dotOf(0, 1), [0, 1]);
    judgeCountedAcks(report, op, made.key, { acks: 2, fallbacks: 0 }, UNKNOWN);
    expect(made.verdicts).toEqual([]);
    judgeCountedAcks(report, op, made.key, { acks: 3, fallbacks: 0 }, UNKNOWN);
    judgeCountedAcks(report, op, made.key, { acks: 2, fallbacks: 1 }, UNKNOWN);
    expect(made.world.violations.length).toBe(2);
    expect(made.verdicts).toEqual(["acks"]);
  });

  test("are none by a database that another one's ack shows to be gone", () => {
    const made = new HandMade(hasher);
    const report = made.world.violate.bind(made.world);
    const [lost, other] = [made.world.node(0), made.world.node(1)];
    const named = (generation: number) => (home: number) => (home === 0 ? generation : 1);
    const op = made.begin("put");
    const record = made.record(op, dotOf(2, 1), null, null);
    made.store(2, record, dotOf(2, 1));
    made.store(0, record);
    // The new database of that node has been heard of here before the write was.
    other.disk.mark({ [generationMeta(lost)]: generationEntry(2) });
    made.store(1, record);
    judgeCountedAcks(report, op, made.key, { acks: 2, fallbacks: 0 }, named(1));
    judgeCountedAcks(report, op, made.key, { acks: 3, fallbacks: 0 }, named(2));
    expect(made.verdicts).toEqual([]);
    judgeCountedAcks(report, op, made.key, { acks: 3, fallbacks: 0 }, named(1));
    expect(made.verdicts).toEqual(["acks"]);
  });
});

/** As actor-book.ts stores it. */
function generationEntry(generation: number): Uint8Array {
  const entry = new Uint8Array(24);
  new DataView(entry.buffer).setUint32(20, generation);
  return entry;
}

describe("a hint", () => {
  function dropped(homes: readonly number[]): string[] {
    const made = new HandMade(hasher);
    const { record } = made.put(dotOf(0, 1), homes);
    judgeDroppedHint(made.world.ledger, made.world.violate.bind(made.world), 1, {
      ...{ shelf: `hint/${made.world.node(2).id}`, namespace: 1, key: made.key.bytes, place: 0 },
      ...{ sequence: 1, minted: null, head: encodeHead(record), headSum: new Uint8Array(8) },
      ...{ body: encodeBody(record), note: encodeHintNote({ needed: 2, sinceMs: 0 }) },
    });
    return made.verdicts;
  }

  test("is given up only when as many homes as its write asked for have had what it holds", () => {
    expect(dropped([0, 2])).toEqual([]);
    expect(dropped([0])).toEqual(["custody"]);
  });
});

describe("a start of a node", () => {
  test("does not go on with an epoch of an earlier one", () => {
    const made = new HandMade(hasher);
    const node = made.world.node(0);
    node.incarnation = 1;
    const first = made.put(dotOf(0, 1), ALL);
    const { record } = made.put(dotOf(0, 2), ALL, heldBy(first));
    expect(made.verdicts).toEqual([]);
    node.incarnation = 2;
    const third = made.put(dotOf(0, 1, 2), ALL, { held: record });
    expect(made.verdicts).toEqual([]);
    made.put(dotOf(0, 3), ALL, heldBy(third));
    expect(made.verdicts).toEqual(["dot-reuse"]);
  });

  test("may take an epoch of which no commit has kept a dot", () => {
    const made = new HandMade(hasher);
    made.world.node(0).incarnation = 1;
    const lost = made.begin("put");
    made.store(0, made.record(lost, dotOf(0, 1), null, null), dotOf(0, 1), false);
    made.world.ledger.rolledBack(0);
    // The disk of another node in its stead: the transaction of its own is still open.
    made.world.node(1).incarnation = 2;
    made.put(dotOf(0, 1), [1]);
    expect(made.verdicts).toEqual([]);
  });
});

function heldBy(put: ReturnType<HandMade["put"]>) {
  return { held: put.record, seen: [put.op], context: put.record.context };
}

describe("the token of a session", () => {
  test("asks for what the session has seen, or for what has replaced it", () => {
    const made = new HandMade(hasher);
    const { ledger } = made.world;
    const report = made.world.violate.bind(made.world);
    const first = made.put(dotOf(0, 1), ALL);
    const second = made.put(dotOf(1, 1), ALL, heldBy(first));
    const blind = made.put(dotOf(2, 1), ALL);
    const seen = [first.op.id, second.op.id];
    judgeToken(ledger, report, blind.op, made.key, seen, [dotOf(1, 1)]);
    expect(made.verdicts).toEqual([]);
    judgeToken(ledger, report, blind.op, made.key, seen, [dotOf(2, 1)]);
    expect(made.verdicts).toEqual(["sessions"]);
  });
});
