import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { encodeLayout, layoutHash } from "../../src/cluster/layout-codec.ts";
import { PeerError, type WireFields } from "../../src/cluster/peer-channel.ts";
import type { NodeId } from "../../src/core/ids.ts";
import { withNamespace } from "../../src/core/layout-rules.ts";
import { DiskFullError } from "../../src/env/disk.ts";
import { type ClusterWorld, formedWorld, type TestNode } from "../support/cluster-world.ts";

function nodeAt(world: ClusterWorld, index: number): TestNode {
  const node = world.nodes[index];
  if (node === undefined) throw new Error(`no node ${index}`);
  return node;
}

/** Every document any node ever adopted, by version: two for one version are a fork. */
function forks(world: ClusterWorld, seen: Map<number, string>): string[] {
  const found: string[] = [];
  for (const { cluster } of world.nodes) {
    const document = cluster.layout()?.document;
    if (document === undefined) continue;
    const hex = encodeLayout(document).join();
    const before = seen.get(document.version);
    if (before !== undefined && before !== hex) found.push(`fork at ${document.version}`);
    seen.set(document.version, hex);
  }
  return found;
}

/** What a node's handler says, as a peer would hear it. */
async function ask(
  node: TestNode,
  kind: "prepare" | "accept" | "layout" | "freeze",
  fields: WireFields,
  from: NodeId,
): Promise<WireFields | string> {
  try {
    const handler = node.cluster.handlers[kind];
    if (handler === undefined) throw new Error("no handler");
    return await handler(fields, {
      from,
      timeoutMs: 1_000,
      diesMs: Number.POSITIVE_INFINITY,
    });
  } catch (error) {
    if (error instanceof PeerError) return error.code;
    throw error;
  }
}

/** A proposal for the version after the node's present one, with a namespace of the given name more. */
function proposal(node: TestNode, name: string): { question: WireFields; value: Uint8Array } {
  const document = node.cluster.layout()?.document;
  if (document === undefined) throw new Error("no layout");
  const sha256 = (bytes: Uint8Array): Uint8Array => {
    return new Uint8Array(createHash("sha256").update(bytes).digest());
  };
  const hash = layoutHash({ sha256 } as never, encodeLayout(document));
  const next = withNamespace(document, name, { name: "default" }, hash);
  if (next.status !== "next") throw new Error(next.status);
  const question = [document.version + 1, document.generation, hash];
  return { question, value: encodeLayout(next.document) };
}

describe("layout decisions", () => {
  test("a decision that finds no room on the proposer's disk is one that may or may not have been made", async () => {
    const world = await formedWorld(3);
    const node = nodeAt(world, 0);
    const { meta } = node;
    const set = meta.set.bind(meta);
    meta.set = (name, value) => {
      if (name === "layout/document") throw new DiskFullError("full");
      set(name, value);
    };
    const created = node.cluster.createNamespace("shop", { name: "default" });
    let outcome = "";
    void created.then(({ status }) => {
      outcome = status;
    });
    await world.until(() => outcome !== "", 20_000, "an outcome");
    expect(outcome).toBe("unavailable");
  });

  test("two nodes that create two namespaces at once get two, everywhere the same", async () => {
    const world = await formedWorld(5);
    const both = Promise.all([
      nodeAt(world, 1).cluster.createNamespace("shop", { name: "default" }),
      nodeAt(world, 3).cluster.createNamespace("blog", { n: 2 }),
    ]);
    const outcomes = await world.settle(both);
    expect(outcomes.map((outcome) => outcome.status)).toEqual(["created", "created"]);
    await world.runFor(3_000);
    const ids = new Set<number>();
    for (const { cluster } of world.nodes) {
      const layout = cluster.layout();
      ids.add(layout?.namespaceByName("shop")?.id ?? 0);
      ids.add(layout?.namespaceByName("blog")?.id ?? 0);
      expect(layout?.policyCopies(layout.namespaceByName("blog")?.policy ?? "")).toBe(2);
    }
    expect([...ids].sort()).toEqual([2, 3]);
  });

  test("one name with two policies at once is one namespace and one conflict", async () => {
    const world = await formedWorld(5);
    const both = Promise.all([
      nodeAt(world, 0).cluster.createNamespace("shop", { n: 1 }),
      nodeAt(world, 4).cluster.createNamespace("shop", { n: 2 }),
    ]);
    const statuses = (await world.settle(both)).map((outcome) => outcome.status);
    expect(statuses.sort()).toEqual(["conflict", "created"]);
  });

  test("a namespace deleted and created again has another id", async () => {
    const world = await formedWorld(3);
    const { cluster } = nodeAt(world, 2);
    await world.settle(cluster.createNamespace("shop", { name: "default" }));
    expect(cluster.layout()?.namespaceByName("shop")?.id as number).toBe(2);
    expect(await world.settle(cluster.createNamespace("shop", { name: "default" }))).toEqual({
      status: "exists",
    });
    expect(await world.settle(cluster.deleteNamespace("shop"))).toBe("deleted");
    expect(await world.settle(cluster.deleteNamespace("shop"))).toBe("not-found");
    expect(await world.settle(cluster.deleteNamespace("default"))).toBe("is-default");
    await world.settle(cluster.createNamespace("shop", { name: "default" }));
    expect(cluster.layout()?.namespaceByName("shop")?.id as number).toBe(3);
  });

  test("a node that is no elector has its namespace decided by one", async () => {
    const world = await formedWorld(6);
    const electors: readonly NodeId[] = nodeAt(world, 0).cluster.layout()?.document.electors ?? [];
    const outsider = world.nodes.find((node) => !electors.includes(node.id));
    if (outsider === undefined) throw new Error("all are electors");
    const created = outsider.cluster.createNamespace("shop", { name: "default" });
    expect((await world.settle(created)).status).toBe("created");
    expect(outsider.cluster.layout()?.namespaceByName("shop")).toBeDefined();
  });

  test("without a majority of electors nothing is decided, and the answer says so", async () => {
    const world = await formedWorld(3);
    world.kill(nodeAt(world, 1));
    world.kill(nodeAt(world, 2));
    const created = nodeAt(world, 0).cluster.createNamespace("shop", { name: "default" });
    expect((await world.settle(created, 60_000)).status).toBe("unavailable");
  });

  test("duelling proposers on a bad network never fork, and all that was created is there", async () => {
    for (let seed = 1; seed <= 8; seed++) {
      const world = await formedWorld(5, seed);
      let dice = seed;
      const roll = (): number => {
        dice = (Math.imul(dice, 1_103_515_245) + 12_345) >>> 0;
        return (dice >>> 16) % 100;
      };
      world.interfere = () => (roll() < 20 ? null : roll() * 3);
      const outcomes = Promise.all(
        world.nodes.map((node, i) => node.cluster.createNamespace(`ns-${i}`, { n: 1 + (i % 3) })),
      );
      const seen = new Map<number, string>();
      for (let i = 0; i < 100; i++) {
        await world.runFor(100);
        expect(forks(world, seen)).toEqual([]);
      }
      world.interfere = () => undefined;
      const results = await world.settle(outcomes, 60_000);
      await world.runFor(20_000);
      expect(forks(world, seen)).toEqual([]);
      const versions = new Set(world.nodes.map((node) => node.cluster.layout()?.version));
      expect(versions.size).toBe(1);
      results.forEach((result, i) => {
        if (result.status !== "created") return;
        expect(nodeAt(world, 0).cluster.layout()?.namespaceByName(`ns-${i}`)).toBeDefined();
      });
    }
  }, 30_000);

  test("an acceptor keeps its promise and its acceptance across a restart", async () => {
    const world = await formedWorld(3);
    const node = nodeAt(world, 1);
    const from = nodeAt(world, 2).id;
    const { question, value } = proposal(node, "shop");
    const low = [1, from, 5];
    const high = [9, from, 5];
    expect(await ask(node, "prepare", [...question, high], from)).toEqual([null, null]);
    world.restart(node);
    expect(await ask(node, "prepare", [...question, low], from)).toBe("promised");
    expect(await ask(node, "accept", [...question, low, value], from)).toBe("promised");
    expect(await ask(node, "accept", [...question, high, value], from)).toEqual([]);
    world.restart(node);
    const higher = [10, from, 5];
    expect(await ask(node, "prepare", [...question, higher], from)).toEqual([high, value]);
  });

  test("a value chosen by a majority whose proposer died before telling anyone is what all adopt", async () => {
    const world = await formedWorld(3);
    const from = nodeAt(world, 0).id;
    const { question, value } = proposal(nodeAt(world, 1), "shop");
    for (const node of world.nodes.slice(1)) {
      expect(await ask(node, "accept", [...question, [1, from, 5], value], from)).toEqual([]);
    }
    await world.until(
      () => world.nodes.every((n) => n.cluster.layout()?.namespaceByName("shop") !== undefined),
      30_000,
      "driven on",
    );
  });

  test("an elector refuses what may not follow, whoever proposes it", async () => {
    const world = await formedWorld(3);
    const node = nodeAt(world, 1);
    const from = nodeAt(world, 2).id;
    const { question, value } = proposal(node, "shop");
    const ballot = [1, from, 5];
    const [version, generation, hash] = question;
    const broken = value.slice();
    broken[broken.length - 1] = 0x7f;
    expect(await ask(node, "accept", [...question, ballot, broken], from)).toBe("bad_message");
    expect(await ask(node, "prepare", [version ?? 0, generation ?? 0, "ab", ballot], from)).toBe(
      "fork",
    );
    expect(await ask(node, "prepare", [99, generation ?? 0, hash ?? "", ballot], from)).toBe(
      "behind",
    );
    expect(await ask(node, "prepare", [2, generation ?? 0, hash ?? "", ballot], from)).toBe(
      "stale_layout",
    );
    expect(await ask(node, "prepare", ["2", 0, "", ballot], from)).toBe("bad_message");
  });
});

describe("a lost database", () => {
  test("executes nothing until a majority of electors confirms the newest document", async () => {
    const world = await formedWorld(3);
    const lost = nodeAt(world, 1);
    world.interfere = (from, _to, kind) => (from === 2 && kind === "layout" ? null : undefined);
    world.restart(lost, true);
    await world.runFor(10_000);
    expect(lost.cluster.layout()).toBeUndefined();
    expect(lost.cluster.refusesWrites()).toBe(true);
    const document = nodeAt(world, 0).cluster.layout()?.document;
    expect(await ask(lost, "layout", [0, 1, 1], nodeAt(world, 0).id)).toBe("not_ready");
    expect(await ask(lost, "freeze", [document?.version ?? 0, true], lost.id)).toBe("not_ready");
    world.interfere = () => undefined;
    await world.until(() => !lost.cluster.refusesWrites(), 30_000, "recovered");
    // It abstained from one version, which was ended at once by a document that changes nothing.
    const after = lost.cluster.layout()?.document;
    expect(after?.version).toBe((document?.version ?? 0) + 1);
    expect(after?.members).toEqual(document?.members as never);
  });

  test("never votes in a decision that it may have forgotten", async () => {
    const world = await formedWorld(3);
    const lost = nodeAt(world, 1);
    const from = nodeAt(world, 2).id;
    const { question, value } = proposal(lost, "shop");
    expect(await ask(lost, "accept", [...question, [1, from, 5], value], from)).toEqual([]);
    const version = lost.cluster.layout()?.version;
    // Its no-op cannot be decided meanwhile: the others' votes are held back.
    world.interfere = (_f, _t, kind) => (kind === "prepare" ? null : undefined);
    world.restart(lost, true);
    await world.until(() => lost.cluster.layout() !== undefined, 30_000, "found the document");
    expect(lost.cluster.layout()?.version).toBe(version as never);
    expect(await ask(lost, "prepare", [...question, [5, from, 5]], from)).toBe("abstains");
    world.restart(lost);
    expect(await ask(lost, "prepare", [...question, [5, from, 5]], from)).toBe("abstains");
    expect(lost.cluster.refusesWrites()).toBe(true);
  });

  test("waits for the decision when a witness has accepted a newer version", async () => {
    const world = await formedWorld(5);
    const lost = nodeAt(world, 1);
    const witness = nodeAt(world, 2);
    const { question, value } = proposal(witness, "shop");
    world.interfere = (_f, _t, kind) => (kind === "prepare" ? null : undefined);
    expect(await ask(witness, "accept", [...question, [1, lost.id, 5], value], lost.id)).toEqual(
      [],
    );
    world.restart(lost, true);
    // Three others have accepted nothing: a majority of five, but not what was asked for.
    await world.runFor(15_000);
    expect(lost.cluster.layout()).toBeUndefined();
    world.interfere = () => undefined;
    await world.until(() => !lost.cluster.refusesWrites(), 60_000, "recovered");
  });

  test("hears its own former boot counter and goes above it instead of giving way to itself", async () => {
    const world = await formedWorld(3);
    const lost = nodeAt(world, 1);
    lost.incarnation = 40;
    world.restart(lost);
    await world.runFor(3_000);
    lost.incarnation = 0;
    world.restart(lost, true);
    await world.until(() => !lost.cluster.refusesWrites(), 30_000, "recovered");
    await world.runFor(5_000);
    expect(world.logged("superseded-by-another-process")).toEqual([]);
    expect(nodeAt(world, 0).cluster.liveness(lost.id)).toBe("up");
  });

  test("a single node's restart with its database needs nobody", async () => {
    const world = await formedWorld(1);
    world.restart(nodeAt(world, 0));
    expect(nodeAt(world, 0).cluster.refusesWrites()).toBe(false);
  });
});
