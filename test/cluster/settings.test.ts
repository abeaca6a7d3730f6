import { describe, expect, test } from "bun:test";
import type { NamespaceSettings } from "../../src/cluster/namespace-settings.ts";
import type { NamespaceId } from "../../src/core/ids.ts";
import { type ClusterWorld, formedWorld, type TestNode } from "../support/cluster-world.ts";

const DEFAULT = 1 as NamespaceId;

function nodeAt(world: ClusterWorld, index: number): TestNode {
  const node = world.nodes[index];
  if (node === undefined) throw new Error(`no node ${index}`);
  return node;
}

function withTtl(node: TestNode, seconds: number): NamespaceSettings {
  return { ...node.cluster.settings.get(DEFAULT), defaultTtlSeconds: seconds };
}

function ttls(world: ClusterWorld, namespace = DEFAULT): number[] {
  return world.nodes.map((n) => n.cluster.settings.get(namespace).defaultTtlSeconds);
}

describe("namespace settings", () => {
  test("reach all nodes at once and survive a restart of all", async () => {
    const world = await formedWorld(3);
    const [node] = world.nodes;
    if (node === undefined) throw new Error("no node");
    expect(ttls(world)).toEqual([0, 0, 0]);
    const stored = node.cluster.settings.set(DEFAULT, withTtl(node, 60));
    expect(await world.settle(stored)).toBe("stored");
    await world.runFor(100);
    expect(ttls(world)).toEqual([60, 60, 60]);
    for (const other of world.nodes) world.restart(other);
    expect(ttls(world)).toEqual([60, 60, 60]);
  });

  // A fraction was stored where it was put and refused by all others, and that node never started again.
  test("a fraction of a second is a ttl like any other, for peers and after a restart", async () => {
    const world = await formedWorld(3);
    const node = nodeAt(world, 0);
    expect(await world.settle(node.cluster.settings.set(DEFAULT, withTtl(node, 1.5)))).toBe(
      "stored",
    );
    await world.runFor(100);
    for (const other of world.nodes) world.restart(other);
    expect(ttls(world)).toEqual([1.5, 1.5, 1.5]);
  });

  test("a stored row that cannot be read does not keep the node from starting, and comes back by gossip", async () => {
    const world = await formedWorld(3);
    const node = nodeAt(world, 0);
    await world.settle(node.cluster.settings.set(DEFAULT, withTtl(node, 60)));
    await world.runFor(1_000);
    node.meta.set("settings/1", new Uint8Array([0xc1]));
    world.restart(node);
    expect(world.logged("settings-row-unreadable")).toHaveLength(1);
    await world.until(() => ttls(world).every((ttl) => ttl === 60), 20_000, "it is back");
  });

  test("a node that was away gets them by gossip, and the later of two writers wins everywhere", async () => {
    const world = await formedWorld(5);
    const away = nodeAt(world, 4);
    world.kill(away);
    const first = nodeAt(world, 0);
    const second = nodeAt(world, 1);
    await world.settle(first.cluster.settings.set(DEFAULT, withTtl(first, 10)));
    await world.runFor(5);
    await world.settle(second.cluster.settings.set(DEFAULT, withTtl(second, 20)));
    // Until the writers have given up sending it to the absent one.
    await world.runFor(10_000);
    world.restart(away);
    expect(away.cluster.settings.get(DEFAULT).defaultTtlSeconds).toBe(0);
    await world.until(() => ttls(world).every((ttl) => ttl === 20), 20_000, "all have the later");
  });

  test("two writers at the same moment converge on one row", async () => {
    const world = await formedWorld(5);
    const both = Promise.all(
      [0, 3].map((i) =>
        nodeAt(world, i).cluster.settings.set(DEFAULT, withTtl(nodeAt(world, i), 100 + i)),
      ),
    );
    expect(await world.settle(both)).toEqual(["stored", "stored"]);
    await world.runFor(5_000);
    expect(new Set(ttls(world)).size).toBe(1);
  });

  test("an older row that arrives late changes nothing", async () => {
    const world = await formedWorld(3);
    const node = nodeAt(world, 0);
    await world.settle(node.cluster.settings.set(DEFAULT, withTtl(node, 60)));
    const late = [DEFAULT, 5, node.id, 0, 2, 999, 100, null, false];
    const context = { from: nodeAt(world, 1).id, timeoutMs: 100, diesMs: Number.POSITIVE_INFINITY };
    expect(await node.cluster.handlers.settings?.([[late], 0, 0], context)).toEqual([[]]);
    expect(node.cluster.settings.get(DEFAULT).defaultTtlSeconds).toBe(60);
  });

  test("without a majority of the storage members the answer is unavailable", async () => {
    const world = await formedWorld(3);
    world.kill(nodeAt(world, 1));
    world.kill(nodeAt(world, 2));
    const node = nodeAt(world, 0);
    const stored = node.cluster.settings.set(DEFAULT, withTtl(node, 60));
    expect(await world.settle(stored)).toBe("unavailable");
  });

  test("go with their namespace, and one of the same name starts with the defaults", async () => {
    const world = await formedWorld(3);
    const { cluster } = nodeAt(world, 0);
    await world.settle(cluster.createNamespace("shop", { name: "default" }));
    await world.runFor(2_000);
    const id = cluster.layout()?.namespaceByName("shop")?.id ?? DEFAULT;
    await world.settle(cluster.settings.set(id, withTtl(nodeAt(world, 0), 7)));
    await world.runFor(1_000);
    expect(ttls(world, id)).toEqual([7, 7, 7]);
    await world.settle(cluster.deleteNamespace("shop"));
    await world.runFor(2_000);
    expect(ttls(world, id)).toEqual([0, 0, 0]);
    for (const node of world.nodes) expect(node.meta.names("settings/")).toEqual([]);
    expect(await world.settle(cluster.settings.set(id, withTtl(nodeAt(world, 0), 7)))).toBe(
      "unavailable",
    );
  });
});
