import { describe, expect, test } from "bun:test";
import { encodeLayout } from "../../src/cluster/layout-codec.ts";
import { DiskFullError } from "../../src/env/disk.ts";
import { ClusterWorld, formedWorld } from "../support/cluster-world.ts";

describe("formation", () => {
  // The stop ended half-way: the store stayed open and the lock was not given up in good order.
  test("a node stops in good order on a full disk", async () => {
    const world = await formedWorld(3);
    const [node] = world.nodes;
    if (node === undefined) throw new Error("no node");
    node.meta.set = () => {
      throw new DiskFullError("full");
    };
    await world.settle(node.cluster.stop());
    expect(world.logged("address-book-not-saved")).toHaveLength(1);
  });

  // Thrown in the handler of a rejection it would have ended the process: on a full disk, or by a peer of another build.
  test("a refusal's layout that cannot be read, or is another cluster's, changes nothing and ends nothing", async () => {
    const world = new ClusterWorld();
    const { cluster } = world.add();
    const stranger = new ClusterWorld().add();
    const theirs = stranger.cluster.layout();
    cluster.adoptRefusal(new Uint8Array([0xc1]));
    cluster.adoptRefusal("no bytes");
    if (theirs !== undefined) {
      cluster.adoptRefusal(encodeLayout({ ...theirs.document, version: 2 }));
    }
    expect(cluster.layout()?.version).toBe(1);
  });

  test("a node without --join creates a cluster of its own and takes writes at once", async () => {
    const world = new ClusterWorld();
    const node = world.add();
    expect(node.clusterId).toBeDefined();
    expect(node.cluster.layout()?.document.formed).toBe(true);
    expect(node.cluster.refusesWrites()).toBe(false);
    await world.runFor(5_000);
    expect(node.cluster.layout()?.version).toBe(1);
  });

  test("six nodes form one cluster from one seed, and refuse writes until all six are in", async () => {
    const world = new ClusterWorld();
    for (let i = 0; i < 6; i++) world.add({ bootstrapExpect: 6 });
    expect(world.nodes.every((node) => node.cluster.refusesWrites())).toBe(true);
    await world.until(
      () => world.nodes.every((node) => !node.cluster.refusesWrites()),
      20_000,
      "all take writes",
    );
    const [first] = world.nodes;
    for (const { cluster } of world.nodes) {
      expect(cluster.clusterId()).toBe(first?.clusterId);
      expect(cluster.layout()?.document.members.length).toBe(6);
      expect(cluster.members().map((member) => member.state)).toEqual(Array(6).fill("up"));
      expect(new Set(cluster.members().map((member) => member.region)).size).toBe(3);
    }
  });

  test("joins that arrive together are taken together", async () => {
    const world = await formedWorld(1);
    const before = world.nodes[0]?.cluster.layout()?.version ?? 0;
    for (let i = 0; i < 4; i++) {
      world.add();
      await world.runFor(400);
    }
    const first = world.nodes[0]?.cluster;
    await world.until(
      () => world.nodes.every((n) => n.cluster.layout()?.document.members.length === 5),
      20_000,
      "five members",
    );
    expect(first?.layout()?.version).toBe(before + 1);
    expect(first?.layout()?.document.electors.length).toBe(5);
  });

  test("a node with --join never creates a cluster, and joins when the seed at last appears", async () => {
    const world = new ClusterWorld();
    const early = world.add({ join: ["http://node-1:7071"] });
    await world.runFor(60_000);
    expect(early.clusterId).toBeUndefined();
    expect(early.cluster.layout()).toBeUndefined();
    world.add({ join: [], bootstrapExpect: 2 });
    await world.until(() => !early.cluster.refusesWrites(), 20_000, "the early one is in");
  });

  test("a first node that starts last is found at once among all the others that wait for it", async () => {
    const world = new ClusterWorld();
    const all = Array.from({ length: 6 }, (_, index) => `http://node-${index}:7071`);
    for (let i = 0; i < 5; i++) world.add({ join: all });
    await world.runFor(3_000);
    world.add({ join: [], bootstrapExpect: 6 });
    // One address a round, with pauses that double, took 14 s on a real machine.
    await world.until(
      () => world.nodes.every((node) => !node.cluster.refusesWrites()),
      2_500,
      "all take writes",
    );
  });

  test("an address that swallows what it is sent does not hold up the welcome of another", async () => {
    const world = new ClusterWorld();
    world.add({ bootstrapExpect: 2 });
    world.interfere = (_from, to) => (to === 1 ? null : undefined);
    world.add({ join: [] });
    const third = world.add({ join: ["http://node-1:7071", "http://node-0:7071"] });
    await world.until(() => third.clusterId !== undefined, 1_000, "welcome");
  });

  test("a list that names the node itself is no reason to ask itself", async () => {
    const world = new ClusterWorld();
    const all = ["http://node-0:7071/", "http://node-1:7071"];
    const second = world.add({ join: all });
    world.add({ join: [], bootstrapExpect: 2 });
    await world.until(() => !second.cluster.refusesWrites(), 20_000, "in");
    expect(world.logged("join-unanswered").every((l) => l.fields["url"] !== all[0])).toBe(true);
  });

  test("a dead address in the list does not keep a node from asking the next", async () => {
    const world = new ClusterWorld();
    world.add({ bootstrapExpect: 2 });
    const second = world.add({ join: ["http://nobody:7071", "http://node-0:7071"] });
    await world.until(() => !second.cluster.refusesWrites(), 20_000, "in");
  });

  test("joining a cluster that holds data is refused with the reason, and the ring goes on", async () => {
    const world = await formedWorld(3);
    const [holder] = world.nodes;
    if (holder === undefined) throw new Error("no node");
    holder.keys = 1;
    const before = holder.cluster.layout()?.version;
    const late = world.add();
    await world.until(() => world.logged("join-refused").length > 0, 20_000, "the refusal");
    const [line] = world.logged("join-refused");
    expect(line?.fields["code"]).toBe("cluster_holds_data");
    expect(line?.fields["reason"]).toContain("Cannot join: the cluster holds data");
    await world.runFor(30_000);
    expect(late.cluster.layout()).toBeUndefined();
    expect(late.clusterId).toBeUndefined();
    expect(holder.cluster.layout()?.version).toBe(before);
    expect(holder.cluster.refusesWrites()).toBe(false);
    // It goes on asking, slowly.
    expect(world.logged("join-refused").length).toBeLessThan(5);
    holder.keys = 0;
    await world.until(() => !late.cluster.refusesWrites(), 60_000, "in after all");
  });

  test("a row that gossip has not told of yet is found by the freeze", async () => {
    const world = await formedWorld(3);
    const late = world.add();
    await world.until(() => late.clusterId !== undefined, 20_000, "it was welcomed");
    const [, , holder] = world.nodes;
    if (holder === undefined) throw new Error("no node");
    // Put only now, and its heartbeat is held back: nobody can know but the node itself.
    holder.keys = 1;
    world.interfere = (from, _to, kind) => (from === 2 && kind === "gossip" ? null : undefined);
    await world.until(() => world.logged("freeze-refused").length > 0, 20_000, "the refusal");
    expect(world.logged("freeze-refused")[0]?.fields["code"]).toBe("not_empty");
    await world.runFor(10_000);
    expect(late.cluster.refusesWrites()).toBe(true);
    expect(holder.cluster.layout()?.document.members.length).toBe(3);
    expect(world.nodes.slice(0, 3).every((node) => !node.cluster.refusesWrites())).toBe(true);
  });

  test("a row put between the question and the freeze stops the change, and the frozen go on", async () => {
    const world = await formedWorld(3);
    world.add();
    let freezes = 0;
    world.interfere = (_from, to, kind, isAnswer) => {
      if (kind === "freeze" && to === 2 && !isAnswer && ++freezes === 2) {
        for (const node of world.nodes.slice(2, 3)) node.keys = 1;
      }
      return undefined;
    };
    await world.until(() => freezes === 2, 20_000, "the freeze");
    await world.runFor(5_000);
    for (const { cluster } of world.nodes.slice(0, 3)) {
      expect(cluster.layout()?.document.members.length).toBe(3);
      expect(cluster.refusesWrites()).toBe(false);
    }
  });

  test("a gateway joins a cluster that holds data: it owns nothing", async () => {
    const world = await formedWorld(3);
    for (const node of world.nodes) node.keys = 5;
    const gateway = world.add({ role: "gateway" });
    await world.until(() => !gateway.cluster.refusesWrites(), 20_000, "the gateway is in");
    expect(gateway.cluster.layout()?.document.electors).not.toContain(gateway.id);
  });

  test("frozen members whose proposer died end the version themselves and take writes again", async () => {
    const world = await formedWorld(3);
    world.add();
    // The proposer (the first elector) dies after its freeze has been heard, before it asks anybody to accept.
    let frozen = 0;
    world.interfere = (_from, _to, kind) => {
      if (kind === "freeze") frozen++;
      return kind === "prepare" && frozen > 0 ? null : undefined;
    };
    const rest = world.nodes.slice(1, 3);
    await world.until(() => rest.every((n) => n.cluster.refusesWrites()), 20_000, "both frozen");
    const [proposer] = world.nodes;
    if (proposer === undefined) throw new Error("no node");
    const version = proposer.cluster.layout()?.version ?? 0;
    world.kill(proposer);
    world.interfere = () => undefined;
    // Not unfrozen by a restart either.
    for (const node of rest) {
      world.restart(node);
      expect(node.cluster.refusesWrites()).toBe(true);
    }
    await world.until(() => rest.every((n) => !n.cluster.refusesWrites()), 40_000, "unfrozen");
    expect(rest[0]?.cluster.layout()?.version).toBeGreaterThan(version);
  });

  test("one seed gives one trace", async () => {
    const digest = async (seed: number): Promise<string> => {
      const world = await formedWorld(6, seed);
      await world.runFor(20_000);
      return world.trace.digest("hex");
    };
    const first = await digest(7);
    expect(await digest(7)).toBe(first);
    expect(await digest(8)).not.toBe(first);
  });
});
