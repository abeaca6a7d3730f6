import { describe, expect, test } from "bun:test";
import { type MessageKind, PeerError, type WireValue } from "../../src/cluster/peer-channel.ts";
import { formedWorld } from "../support/cluster-world.ts";

/** Something of every type, and what is nearly right. */
const JUNK: readonly WireValue[] = [
  null,
  true,
  -1,
  0,
  1,
  1.5,
  2 ** 53,
  "",
  "0".repeat(32),
  "x".repeat(5_000),
  new Uint8Array(0),
  new Uint8Array(40),
  [],
  [[]],
  [null, null, null, null],
  { a: 1 },
];

describe("peer messages of the wrong shape", () => {
  test("are refused by every handler, change nothing, and stop nobody", async () => {
    const world = await formedWorld(3);
    const [node, other] = world.nodes;
    if (node === undefined || other === undefined) throw new Error("no nodes");
    const context = { from: other.id, timeoutMs: 50, diesMs: Number.POSITIVE_INFINITY };
    const before = new Map(node.meta.values);
    const refused = new Map<string, number>();
    for (const [kind, handler] of Object.entries(node.cluster.handlers)) {
      for (const a of JUNK) {
        for (const b of JUNK) {
          for (const fields of [[a], [a, b], [a, b, a, b, a, b], [a, a, a, a, b, b, b]]) {
            // A question about a member that exists is answered; so is a freeze that only asks.
            try {
              const answer = handler(fields, context);
              if (answer instanceof Promise) await world.settle(answer);
            } catch (error) {
              if (!(error instanceof PeerError)) throw error;
              expect(error.outcome).toBe("refused");
              refused.set(kind, (refused.get(kind) ?? 0) + 1);
            }
          }
        }
      }
    }
    const kinds: MessageKind[] = ["gossip", "probe", "join", "layout", "freeze", "prepare"];
    for (const kind of [...kinds, "accept", "decided", "settings", "propose"]) {
      expect(refused.get(kind) ?? 0).toBeGreaterThan(100);
    }
    const layout = node.cluster.layout();
    expect(layout?.version).toBe(2);
    expect([...node.meta.values.keys()]).toEqual([...before.keys()]);
    await world.runFor(5_000);
    expect(node.cluster.refusesWrites()).toBe(false);
    expect(world.nodes.every((n) => n.cluster.liveness(node.id) === "up")).toBe(true);
  });
});
