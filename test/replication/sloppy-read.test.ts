/** Reads while homes are away: what a stand-in's word is worth. */
import { describe, expect, test } from "bun:test";
import type { NodeId } from "../../src/core/ids.ts";
import { SqliteError } from "../../src/env/sqlite.ts";
import { done, found, HintCluster, held, texts } from "../support/hint-cluster.ts";
import type { FakeNode } from "../support/replication-cluster.ts";

function cluster() {
  const world = new HintCluster();
  const { homes, others } = world.places("k");
  const [a, b, c] = homes as [FakeNode, FakeNode, FakeNode];
  const [f, g, h] = others as [FakeNode, FakeNode, FakeNode];
  return { world, homes, a, b, c, f, g, h };
}

const LOST = { status: "quorum-not-reached", indeterminate: false } as const;

describe("a sloppy read", () => {
  test("finds what only a stand-in has, and counts it", async () => {
    const { world, a, b, c } = cluster();
    world.leave(b, c);
    done(await world.putAt(a, "k", "v"));
    world.leave(a);
    world.comeBack(b);
    for (const at of [b, ...world.places("k").others]) {
      const read = await world.getAt(at, "k");
      expect(texts(read)).toEqual(["v"]);
      expect(found(read).acks).toEqual({ primary: 1, fallback: 1, of: 3 });
    }
  });

  test("is answered by stand-ins alone when no home can be asked, with a value", async () => {
    const { world, homes, f, h } = cluster();
    world.leave(...homes);
    done(await world.putAt(f, "k", "v", { consistency: { count: 3 } }));
    const read = await world.getAt(h, "k");
    expect(texts(read)).toEqual(["v"]);
    expect(found(read).acks).toEqual({ primary: 0, fallback: 2, of: 3 });
  });

  test("is 503 and not 404 when no home has answered: stand-ins know of a delete, not of all there is", async () => {
    const { world, homes, f, h } = cluster();
    const deleted = { deleted: true, contentType: "", metadata: "" } as const;
    world.leave(...homes);
    done(await world.putAt(f, "k", "", { ...deleted, consistency: { count: 3 } }));
    expect(await world.getAt(h, "k")).toMatchObject({ ...LOST, acks: { primary: 0, fallback: 2 } });
    world.comeBack(homes[0] as FakeNode);
    expect(found(await world.getAt(h, "k")).chosen).toEqual([]);
  });

  test("never counts that a stand-in has nothing", async () => {
    const { world, a, b, c, f } = cluster();
    world.leave(b, c);
    expect(await world.getAt(a, "k")).toMatchObject({ ...LOST, acks: { primary: 1, fallback: 0 } });
    expect(await world.getAt(f, "k")).toMatchObject({ ...LOST, acks: { primary: 1, fallback: 0 } });
  });

  test("does not wait for its deadline to say that it is lost", async () => {
    const { world, a, b, c } = cluster();
    world.down.add(b.id).add(c.id);
    world.also = (_from, to) => (to === b.id || to === c.id ? "silence" : "deliver");
    const beforeMs = world.clock.monotonicMs();
    expect(await world.getAt(a, "k")).toMatchObject(LOST);
    expect(world.clock.monotonicMs() - beforeMs).toBeLessThan(500);
  });

  test("asks no stand-in while the homes are well", async () => {
    const { world, a, f } = cluster();
    done(await world.putAt(a, "k", "v"));
    const before = f.sent.length;
    await world.getAt(f, "k");
    const { homes } = world.places("k");
    for (const { to } of f.sent.slice(before)) expect(homes.map(({ id }) => id)).toContain(to);
  });

  test("asks a stand-in when its homes keep silent", async () => {
    const { world, a, b, c, f } = cluster();
    world.leave(b, c);
    done(await world.putAt(a, "k", "v"));
    world.comeBack(b, c);
    world.also = (_from, to) => (to === b.id || to === c.id ? "silence" : "deliver");
    const beforeMs = world.clock.monotonicMs();
    expect(found(await world.getAt(f, "k")).acks).toEqual({ primary: 1, fallback: 1, of: 3 });
    expect(world.clock.monotonicMs() - beforeMs).toBeLessThan(600);
  });

  test("brings the homes that are there what it found at a stand-in", async () => {
    const { world, a, b, c } = cluster();
    world.leave(b, c);
    done(await world.putAt(a, "k", "v"));
    world.leave(a);
    world.comeBack(b);
    await world.getAt(b, "k");
    await world.settle(b.coordinator.idle());
    expect(held(b, world.key("k").id)).toEqual(["v"]);
  });

  test("fetches a large value from the stand-in that alone has it", async () => {
    const { world, homes, f, g } = cluster();
    const value = "v".repeat(5_000);
    world.leave(...homes);
    done(await world.putAt(f, "k", value, { consistency: { level: "one" } }));
    world.comeBack(homes[0] as FakeNode);
    expect(texts(await world.getAt(g, "k"))).toEqual([value]);
  });

  test("waits for the hint's commit before it shows it", async () => {
    const { world, homes, f, g } = cluster();
    world.leave(...homes);
    f.store.autoCommit = false;
    const one = { consistency: { level: "one" } } as const;
    const put = f.coordinator.put(world.putRequest("k", "v", one));
    let ended = false;
    const read = Promise.resolve(g.coordinator.get(world.getRequest("k", one)));
    void read.then(() => {
      ended = true;
    });
    await world.clock.run(world.clock.monotonicMs() + 100);
    expect(ended).toBe(false);
    f.store.commit();
    expect(texts(await world.settle(read))).toEqual(["v"]);
    done(await world.settle(put));
  });

  test("is lost, and no more, where this node cannot read the hints that it keeps", async () => {
    for (const homesDo of ["refuse", "silence"] as const) {
      const { world, homes, a, f } = cluster();
      world.leave(a);
      done(await world.putAt(f, "k", "v", { consistency: { count: 3 } }));
      world.comeBack(a);
      f.store.asides = () => {
        throw new SqliteError("corrupt", "database disk image is malformed");
      };
      const isHome = (id: NodeId) => homes.some((home) => home.id === id);
      world.also = (_from, to, kind) => (kind === "read" && isHome(to) ? homesDo : "deliver");
      expect(await world.getAt(f, "k")).toMatchObject(LOST);
    }
  });
});

describe("a strict read", () => {
  test("asks no stand-in and counts none", async () => {
    const { world, a, b, c, f } = cluster();
    world.leave(b, c);
    done(await world.putAt(a, "k", "v"));
    const before = f.sent.length;
    for (const options of [{ sloppy: false }, { consistency: { level: "all" } }] as const) {
      expect(await world.getAt(f, "k", options)).toMatchObject({
        ...LOST,
        acks: { primary: 1, fallback: 0, of: 3 },
      });
    }
    const { others } = world.places("k");
    for (const { to } of f.sent.slice(before)) expect(others.map(({ id }) => id)).not.toContain(to);
  });

  test("of a session that has seen more hears the stand-ins, and still does not count them", async () => {
    const { world, a, b, c, f } = cluster();
    world.leave(b, c);
    const put = done(await world.putAt(a, "k", "v"));
    world.leave(a);
    world.comeBack(b, c);
    const session = {
      newestStamp: put.stamp,
      minimum: { dots: [put.dot], goneFromMs: null },
    };
    expect(found(await world.getAt(f, "k", { sloppy: false })).chosen).toEqual([]);
    const read = await world.getAt(f, "k", { sloppy: false, session });
    expect(texts(read)).toEqual(["v"]);
    expect(found(read).acks).toEqual({ primary: 2, fallback: 0, of: 3 });
  });
});

describe("the vote", () => {
  test("knows nothing of the slot that a stand-in stands for", async () => {
    const { world, homes, a, b, c, f } = cluster();
    world.leave(...homes);
    done(await world.putAt(f, "k", "older", { consistency: { level: "one" } }));
    world.comeBack(...homes);
    // A strict write that a and b have acknowledged: c has missed it, and a goes away.
    world.also = (_from, to, kind) => (to === c.id && kind === "write" ? "refuse" : "deliver");
    done(await world.putAt(b, "k", "newer", { sloppy: false }));
    world.leave(a);
    const read = await world.getAt(c, "k", { consistency: { count: 3 } });
    expect(found(read).acks).toEqual({ primary: 2, fallback: 1, of: 3 });
    // With f's answer for a's, "newer" would be held by one of three, and out-voted.
    expect(texts(read)).toEqual(["newer"]);
  });
});
