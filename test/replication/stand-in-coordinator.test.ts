/** Puts that no home can coordinate: a stand-in mints the dot. */
import { describe, expect, test } from "bun:test";
import { PeerError } from "../../src/cluster/peer-channel.ts";
import { hintShelf } from "../../src/replication/hint-rows.ts";
import { done, HintCluster, valuesOf } from "../support/hint-cluster.ts";
import type { FakeNode } from "../support/replication-cluster.ts";

function cluster() {
  const world = new HintCluster();
  const { homes, others } = world.places("k");
  const [a, b, c] = homes as [FakeNode, FakeNode, FakeNode];
  const [f, g, h] = others as [FakeNode, FakeNode, FakeNode];
  return { world, homes, a, b, c, f, g, h };
}

describe("with no home in reach", () => {
  test("a put succeeds at W stand-ins, the coordinator among them", async () => {
    const { world, homes, f } = cluster();
    world.leave(...homes);
    const put = done(await world.putAt(f, "k", "v"));
    expect(put.acks).toEqual({ primary: 0, fallback: 2, of: 3 });
    expect(put.dot.actor).toBe(f.store.actorId);
    expect(put.context).not.toBeNull();
    await world.clock.run(world.clock.monotonicMs() + 100);
    expect(world.hints("k")).toHaveLength(3);
    const targets = world.hints("k").map((hint) => hint.split(" for ")[1]);
    expect(new Set(targets).size).toBe(3);
    expect(f.replication.counters.standInCoordinations).toBe(1);
  });

  describe("a put that is repeated under its Idempotency-Key", () => {
    const again = { idempotencyKey: "0123456789abcdef", bodyDigest: "fedcba9876543210" };

    test("is kept until as many owners have it as the repeat asked for", async () => {
      const { world, homes, a, f } = cluster();
      world.leave(...homes);
      done(await world.putAt(f, "k", "v", { ...again, consistency: { level: "one" } }));
      expect(world.neededBy(world.hint(f, "k", a))).toBe(1);
      const put = done(await world.putAt(f, "k", "v", { ...again, consistency: { count: 3 } }));
      expect(put.acks).toEqual({ primary: 0, fallback: 3, of: 3 });
      expect(world.neededBy(world.hint(f, "k", a))).toBe(3);
    });

    test("is kept for the home that the node stands for now", async () => {
      const { world, homes, a, b, f } = cluster();
      world.leave(...homes);
      world.also = (_from, _to, kind) => (kind === "hint" ? "refuse" : "deliver");
      const one = { ...again, consistency: { level: "one" } } as const;
      done(await world.putAt(f, "k", "v", one));
      const held = world.hint(f, "k", a);
      if (held === undefined) throw new Error("no hint");
      // What it holds of the put is for another home than the one it stands for.
      f.store.setAside(hintShelf(b.id), held.key, held.record, held.minted, held.note);
      const { shelf, key, sequence } = held;
      f.store.dropAside([{ shelf, key, sequence }]);
      done(await world.putAt(f, "k", "v", one));
      expect(valuesOf(world.hint(f, "k", a)?.record.siblings ?? [])).toEqual(["v"]);
    });

    test("becomes the row of a node that has only a hint of it and is an owner now", async () => {
      const { world, a, b } = cluster();
      const one = { ...again, consistency: { level: "one" } } as const;
      done(await world.putAt(a, "k", "v", one));
      const row = a.store.rows.get(world.key("k").id);
      if (row === undefined) throw new Error("no row");
      a.replication.hints.keep(row.key, b.id, row.record, 1);
      a.store.rows.delete(row.key.id);
      done(await world.putAt(a, "k", "v", one));
      expect(a.store.rows.get(row.key.id)?.record).toEqual(row.record);
    });
  });

  test("a node that may not stand in hands the put to the next healthy one that may", async () => {
    const regions = ["eu", "eu", "eu", "us", "us"];
    const world = new HintCluster(regions, { policy: { regions: { eu: 2 } } });
    const { homes, others } = world.places("k");
    const outsider = world.node(3);
    world.leave(...homes);
    const [keeper] = others as [FakeNode];
    const put = done(await world.putAt(outsider, "k", "v", { consistency: { level: "one" } }));
    expect(put.acks).toEqual({ primary: 0, fallback: 1, of: 2 });
    expect(world.hints("k")).toEqual([
      `${world.nodes.indexOf(keeper)} for ${world.nodes.indexOf(homes[0] as FakeNode)}`,
    ]);
  });

  test("a put whose policy leaves no node that may keep it stores nothing anywhere", async () => {
    const regions = ["eu", "eu", "us", "us"];
    const world = new HintCluster(regions, { policy: { regions: { eu: 2 } } });
    world.leave(world.node(0), world.node(1));
    expect(await world.putAt(world.node(2), "k", "v")).toMatchObject({
      status: "quorum-not-reached",
      indeterminate: false,
    });
    expect(world.hints("k")).toEqual([]);
  });

  test("a put handed to a stand-in that does not answer is indeterminate, and handed to no other", async () => {
    const regions = ["eu", "eu", "eu", "eu", "us"];
    const world = new HintCluster(regions, { policy: { regions: { eu: 2 } } });
    const { homes, others } = world.places("k");
    const outsider = world.node(4);
    world.leave(...homes);
    world.also = (_from, _to, kind) => (kind === "forward" ? "lose-answer" : "deliver");
    expect(await world.putAt(outsider, "k", "v")).toMatchObject({
      status: "quorum-not-reached",
      indeterminate: true,
    });
    const forwards = outsider.sent.filter(({ kind }) => kind === "forward");
    expect(forwards.map(({ to }) => to)).toEqual([(others[0] as FakeNode).id]);
  });

  test("one that can keep no more refuses before it has done anything, and another is asked", async () => {
    const regions = ["eu", "eu", "eu", "eu", "us"];
    const policy = { regions: { eu: 2 } };
    const world = new HintCluster(regions, { policy, hintBytesMax: 1 });
    const { homes, others } = world.places("k");
    const [first, second] = others as [FakeNode, FakeNode];
    const one = { consistency: { level: "one" } } as const;
    world.leave(...homes, second);
    done(await world.putAt(first, "k", "full", one));
    world.comeBack(second);
    const put = done(await world.putAt(world.node(4), "k", "v", one));
    expect(put.dot.actor).toBe(second.store.actorId);
    expect(first.replication.counters.standInCoordinations).toBe(1);
  });
});

describe("a home in reach", () => {
  test("coordinates, however many others are away", async () => {
    const { world, a, b, c, f } = cluster();
    world.leave(b, c);
    const put = done(await world.putAt(f, "k", "v"));
    expect(put.dot.actor).toBe(a.store.actorId);
    expect(f.replication.counters.standInCoordinations).toBe(0);
  });

  test("that is overloaded is not relieved of coordinating: the client is told to come later", async () => {
    const { world, homes, f } = cluster();
    for (const home of homes) {
      Object.assign(home.handlers, {
        forward: () => {
          throw new PeerError("refused", "overloaded", "too much to do");
        },
      });
    }
    expect(await world.putAt(f, "k", "v")).toEqual({ status: "overloaded" });
    expect(world.hints("k")).toEqual([]);
  });

  test("thought gone by mistake acknowledges the stand-in's record as the home it is", async () => {
    const { world, homes, f } = cluster();
    for (const { id } of homes) world.down.add(id);
    const put = done(await world.putAt(f, "k", "v"));
    expect(put.dot.actor).toBe(f.store.actorId);
    await world.clock.run(world.clock.monotonicMs() + 100);
    for (const home of homes) expect(home.store.rows.size).toBe(1);
  });
});

describe("the dots of a stand-in", () => {
  test("are counted on while its row is there", async () => {
    const { world, homes, f } = cluster();
    world.leave(...homes);
    const first = done(await world.putAt(f, "k", "v"));
    const second = done(await world.putAt(f, "k", "w"));
    expect(second.dot).toEqual({ ...first.dot, counter: first.dot.counter + 1 });
    const hint = world.hint(f, "k", homes[0] as FakeNode);
    expect(hint?.record.context).toHaveLength(1);
    expect(valuesOf(hint?.record.siblings ?? [])).toEqual(["w"]);
  });

  test("cover what the stand-in keeps for other homes: a blind put replaces it", async () => {
    const { world, homes, a, b, f } = cluster();
    world.leave(b);
    const first = done(await world.putAt(a, "k", "v", { consistency: { count: 3 } }));
    expect(world.hint(f, "k", b)).toBeDefined();
    world.leave(...homes);
    const second = done(await world.putAt(f, "k", "w"));
    expect(second.liveSiblings).toBe(1);
    expect(second.context?.entries).toContainEqual(first.dot);
    expect(second.stamp).toBeGreaterThan(first.stamp);
  });

  test("begin a new epoch when the row was handed over and forgotten", async () => {
    const { world, homes, f } = cluster();
    world.leave(...homes);
    const first = done(await world.putAt(f, "k", "v"));
    await world.clock.run(world.clock.monotonicMs() + 100);
    world.comeBack(...homes);
    await world.handOffFor(3_000);
    expect(world.hints("k")).toEqual([]);
    world.leave(...homes);
    const second = done(await world.putAt(f, "k", "w"));
    expect(second.dot.epoch).toBeGreaterThan(first.dot.epoch);
  });

  test("begin a new epoch in a row that another stand-in's dots came to", async () => {
    const { world, homes, f, g } = cluster();
    world.leave(...homes);
    done(await world.putAt(f, "k", "v", { consistency: { count: 3 } }));
    const atG = done(await world.putAt(g, "k", "w", { consistency: { count: 3 } }));
    expect(atG.dot.actor).toBe(g.store.actorId);
    const again = done(await world.putAt(f, "k", "x"));
    expect(again.dot.actor).toBe(f.store.actorId);
    expect(again.liveSiblings).toBe(1);
  });
});
