import { describe, expect, test } from "bun:test";
import { type NodeId, parseNodeId } from "../../src/core/ids.ts";
import { AckedActors } from "../../src/replication/acked-actors.ts";

const [A, B, C, S] = ["a", "b", "c", "d"].map((digit) => parseNodeId(digit.repeat(32))) as [
  NodeId,
  NodeId,
  NodeId,
  NodeId,
];
const HOMES = [A, B, C];

describe("acks of one request", () => {
  test("all count while everybody tells of the same actors", () => {
    const acks = new AckedActors(HOMES, [4, 7, 2]);
    for (const node of HOMES) expect(acks.heard(node, [4, 7, 2])).toEqual([]);
  });

  // A acknowledges, loses its disk and hears B, which has not got the write yet; then B gets it and acknowledges.
  test("one counts no more when a later one shows a newer actor of its node", () => {
    const acks = new AckedActors(HOMES, [4, 7, 2]);
    expect(acks.heard(A, [4, 7, 2])).toEqual([]);
    expect(acks.heard(B, [5, 7, 2])).toEqual([A]);
    expect(acks.heard(C, [5, 7, 2])).toEqual([]);
  });

  test("one that arrives after the news of a newer actor never counts", () => {
    const acks = new AckedActors(HOMES, [4, 7, 2]);
    expect(acks.heard(B, [5, 7, 2])).toEqual([]);
    expect(acks.heard(A, [4, 7, 2])).toEqual([A]);
    expect(acks.heard(A, [5, 7, 2])).toEqual([]);
  });

  test("a node that knows less than others takes nothing away", () => {
    const acks = new AckedActors(HOMES, [4, 7, 2]);
    expect(acks.heard(C, [0, 0, 2])).toEqual([]);
    expect(acks.heard(A, [4, 7, 2])).toEqual([]);
    expect(acks.heard(B, [4, 7, 0])).toEqual([]);
  });

  test("a stand-in's word about the homes counts, too", () => {
    const acks = new AckedActors(HOMES, [4, 7, 2]);
    expect(acks.heard(A, [4, 7, 2])).toEqual([]);
    expect(acks.heard(S, [4, 8, 2])).toEqual([]);
    expect(acks.heard(B, [4, 7, 2])).toEqual([B]);
    expect(acks.heard(C, [4, 7, 3])).toEqual([]);
  });

  test("an ack of the coordinator's own that others know to be of an older database does not count", () => {
    const acks = new AckedActors(HOMES, [4, 7, 2]);
    acks.heard(A, [4, 7, 2]);
    expect(acks.heard(C, [9, 7, 2])).toEqual([A]);
  });
});
