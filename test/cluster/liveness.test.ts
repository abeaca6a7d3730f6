import { describe, expect, test } from "bun:test";
import { type ClusterWorld, formedWorld, type TestNode } from "../support/cluster-world.ts";

function nodeAt(world: ClusterWorld, index: number): TestNode {
  const node = world.nodes[index];
  if (node === undefined) throw new Error(`no node ${index}`);
  return node;
}

async function steadyWorld(size: number): Promise<ClusterWorld> {
  const world = await formedWorld(size);
  await world.runFor(20_000);
  expect(world.logged("member-suspected")).toEqual([]);
  return world;
}

describe("failure detection", () => {
  test("a killed node is down for all others, and up again after its restart", async () => {
    const world = await steadyWorld(6);
    const dead = nodeAt(world, 4);
    const rest = world.nodes.filter((node) => node !== dead);
    world.kill(dead);
    await world.until(
      () => rest.every((node) => node.cluster.liveness(dead.id) === "down"),
      20_000,
      "down everywhere",
    );
    for (const node of rest) {
      for (const other of rest) expect(node.cluster.liveness(other.id)).toBe("up");
    }
    world.restart(dead);
    await world.until(
      () => world.nodes.every((node) => node.cluster.liveness(dead.id) === "up"),
      20_000,
      "up everywhere",
    );
    expect(nodeAt(world, 0).cluster.members()[0]?.incarnation).toBeDefined();
  });

  test("a node that was stalled accuses nobody when it wakes, and is not down for long", async () => {
    const world = await steadyWorld(6);
    const stalled = nodeAt(world, 2);
    stalled.clock.stall(30_000);
    await world.runFor(29_000);
    const before = world.logs.length;
    await world.runFor(20_000);
    const accusations = world.logs
      .slice(before)
      .filter((line) => line.node === 2 && line.event === "member-suspected");
    expect(accusations).toEqual([]);
    expect(
      world.logs.slice(before).some((l) => l.node === 2 && l.event === "process-stalled"),
    ).toBe(true);
    for (const node of world.nodes) expect(node.cluster.liveness(stalled.id)).toBe("up");
    for (const node of world.nodes) expect(stalled.cluster.liveness(node.id)).toBe("up");
  });

  test("a stalled node asks nobody about anybody when it wakes: the time did not count", async () => {
    const world = await steadyWorld(6);
    nodeAt(world, 2).clock.stall(6_000);
    await world.runFor(5_900);
    let asked = 0;
    world.interfere = (from, _to, kind, isAnswer) => {
      if (from === 2 && kind === "probe" && !isAnswer) asked++;
      return undefined;
    };
    await world.runFor(5_000);
    expect(asked).toBe(0);
  });

  test("commits that are late shift the deadlines as late timers do", async () => {
    const world = await steadyWorld(3);
    const judge = nodeAt(world, 0);
    let asked = 0;
    // Nothing arrives at the judge, as in a process that spends its time in commits.
    world.interfere = (from, to, kind, isAnswer) => {
      if (from === 0 && kind === "probe" && !isAnswer) asked++;
      return to === 0 ? null : undefined;
    };
    for (let i = 0; i < 40; i++) {
      await world.runFor(500);
      judge.cluster.noteStall(500);
    }
    expect(asked).toBe(0);
    await world.runFor(20_000);
    expect(asked).toBeGreaterThan(0);
  });

  test("a broken link between two nodes makes neither of them down: the others vouch", async () => {
    const world = await steadyWorld(6);
    const [a, b] = [0, 3];
    world.interfere = (from, to) =>
      (from === a && to === b) || (from === b && to === a) ? null : undefined;
    await world.runFor(60_000);
    expect(world.logged("member-suspected")).toEqual([]);
    expect(nodeAt(world, a).cluster.liveness(nodeAt(world, b).id)).toBe("up");
  });

  test("a member that only the witnesses reach is alive", async () => {
    const world = await steadyWorld(6);
    // No heartbeat reaches node 0 by gossip, and node 3 not at all: it must ask about everybody.
    world.interfere = (from, to, kind) => {
      if (from !== 0 && to !== 0) return undefined;
      return kind === "gossip" || from === 3 || to === 3 ? null : undefined;
    };
    await world.runFor(60_000);
    const said = world.logs.filter((line) => line.node === 0);
    expect(said.filter((line) => line.event === "member-suspected")).toEqual([]);
    expect(said.filter((line) => line.event === "nobody-answers-me")).toEqual([]);
  });

  test("a node that hears nobody doubts itself and accuses nobody", async () => {
    const world = await steadyWorld(6);
    const deaf = nodeAt(world, 1);
    world.interfere = (from, to) => (from === 1 || to === 1 ? null : undefined);
    await world.runFor(60_000);
    const said = world.logs.filter((line) => line.node === 1);
    expect(said.some((line) => line.event === "nobody-answers-me")).toBe(true);
    expect(said.filter((line) => line.event === "member-suspected")).toEqual([]);
    expect(nodeAt(world, 0).cluster.liveness(deaf.id)).toBe("down");
    world.interfere = () => undefined;
    await world.until(
      () => world.nodes.every((node) => node.cluster.liveness(deaf.id) === "up"),
      60_000,
      "heard again",
    );
  });

  test("a node that stops in good order is down for its peers at once", async () => {
    const world = await steadyWorld(4);
    const leaver = nodeAt(world, 3);
    await world.settle(leaver.cluster.stop());
    leaver.running = false;
    await world.runFor(1_500);
    for (const node of world.nodes.slice(0, 3)) {
      expect(node.cluster.liveness(leaver.id)).toBe("down");
    }
    expect(world.logged("member-suspected")).toEqual([]);
  });

  test("after a restart of all at once they find each other without a seed list", async () => {
    const world = await steadyWorld(3);
    for (const node of world.nodes) {
      node.config = { ...node.config, join: [] };
      world.kill(node);
    }
    await world.runFor(60_000);
    for (const node of world.nodes) world.restart(node);
    expect(world.nodes.every((node) => !node.cluster.refusesWrites())).toBe(true);
    await world.runFor(5_000);
    for (const a of world.nodes) {
      for (const b of world.nodes) expect(a.cluster.liveness(b.id)).toBe("up");
    }
  });

  test("a member that comes back at another address is found at it", async () => {
    const world = await steadyWorld(3);
    const mover = nodeAt(world, 2);
    world.kill(mover);
    mover.config = { ...mover.config, peerUrl: "http://moved:7071" };
    world.restart(mover);
    await world.until(
      () => nodeAt(world, 1).cluster.addressOf(mover.id) === "http://moved:7071",
      10_000,
      "the new address is known",
    );
  });

  test("of two processes with one identity exactly one goes on", async () => {
    const world = await steadyWorld(3);
    const original = nodeAt(world, 1);
    const twin = world.clone(original);
    // The copy's boot counter is one ahead of the original's: the original must give way.
    await world.until(() => original.cluster.layout() === undefined, 20_000, "one gave way");
    expect(original.cluster.refusesWrites()).toBe(true);
    expect(twin.cluster.refusesWrites()).toBe(false);
    expect(world.logged("superseded-by-another-process").length).toBe(1);
    await world.runFor(20_000);
    expect(twin.cluster.refusesWrites()).toBe(false);
  });
});
