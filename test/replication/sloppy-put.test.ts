/** Puts while homes are away: who stands in, who never does, and what counts. */
import { describe, expect, test } from "bun:test";
import { PeerError } from "../../src/cluster/peer-channel.ts";
import { done, HintCluster, valuesOf } from "../support/hint-cluster.ts";
import type { FakeNode } from "../support/replication-cluster.ts";

const THREE_ACKS = { consistency: { count: 3 } } as const;

function cluster(options: ConstructorParameters<typeof HintCluster>[1] = {}) {
  const world = new HintCluster(undefined, options);
  const { homes, others } = world.places("k");
  const [a, b, c] = homes as [FakeNode, FakeNode, FakeNode];
  const [f, g, h] = others as [FakeNode, FakeNode, FakeNode];
  return { world, a, b, c, f, g, h };
}

function sentHints(node: FakeNode): string[] {
  return node.sent.filter(({ kind }) => kind === "hint").map(({ to }) => to);
}

/** Answers writes as if it had too much to do. */
function overload(node: FakeNode): void {
  Object.assign(node.handlers, {
    write: () => {
      throw new PeerError("refused", "overloaded", "too much to do");
    },
  });
}

describe("a home that is away", () => {
  test("is stood in for by the next node on the ring, which keeps the full record in its name", async () => {
    const { world, a, c, f } = cluster();
    world.leave(c);
    const put = done(await world.putAt(a, "k", "v", THREE_ACKS));
    expect(put.acks).toEqual({ primary: 2, fallback: 1, of: 3 });
    const hint = world.hint(f, "k", c);
    expect(valuesOf(hint?.record.siblings ?? [])).toEqual(["v"]);
    expect(hint?.minted).toBeNull();
    expect(world.neededBy(hint)).toBe(3);
    expect(f.store.rows.size).toBe(0);
    expect(f.replication.hints.usage()).toMatchObject({ count: 1 });
    expect(a.replication.counters.hintsSent).toBe(1);
  });

  test("is still sent the write: the belief that it is gone may be wrong", async () => {
    const { world, a, c } = cluster();
    world.down.add(c.id);
    const put = done(await world.putAt(a, "k", "v", THREE_ACKS));
    expect(put.acks.primary + put.acks.fallback).toBeGreaterThanOrEqual(3);
    expect(c.store.rows.size).toBe(1);
  });

  test("counts when it is there after all, as for a node that has just started and knows of nobody", async () => {
    for (const options of [{}, { sloppy: false }]) {
      const { world, a, b, c, f, g, h } = cluster();
      for (const { id } of [b, c, f, g, h]) world.down.add(id);
      const put = done(await world.putAt(a, "k", "v", options));
      expect(put.acks).toEqual({ primary: 2, fallback: 0, of: 3 });
    }
  });

  test("that is gone is not waited for longer than patience", async () => {
    const { world, a, b, c, f, g, h } = cluster();
    for (const { id } of [b, c, f, g, h]) world.down.add(id);
    world.also = () => "silence";
    const beforeMs = world.clock.monotonicMs();
    expect((await world.putAt(a, "k", "v")).status).toBe("quorum-not-reached");
    expect(world.clock.monotonicMs() - beforeMs).toBeLessThan(500);
  });

  test("does not keep W from being reached while stand-ins are there", async () => {
    const { world, a, b, c } = cluster();
    world.leave(b, c);
    expect(done(await world.putAt(a, "k", "v")).acks).toEqual({ primary: 1, fallback: 1, of: 3 });
  });

  test("that refuses the connection gets a stand-in as soon as it does", async () => {
    const { world, a, b, c } = cluster();
    world.also = (_from, to) => (to === b.id || to === c.id ? "refuse" : "deliver");
    const beforeMs = world.clock.monotonicMs();
    expect(done(await world.putAt(a, "k", "v")).acks).toEqual({ primary: 1, fallback: 1, of: 3 });
    expect(world.clock.monotonicMs() - beforeMs).toBeLessThan(20);
  });

  test("has its hints merged, one row for each target and key", async () => {
    const { world, a, b, c, f } = cluster();
    world.leave(c);
    done(await world.putAt(a, "k", "v", THREE_ACKS));
    const seen = done(await world.putAt(b, "k", "w", THREE_ACKS));
    expect(seen.liveSiblings).toBe(1);
    expect(valuesOf(world.hint(f, "k", c)?.record.siblings ?? [])).toEqual(["w"]);
    expect(f.replication.hints.usage().count).toBe(1);
  });
});

describe("hints for one target", () => {
  test("are merged: what was written at the same time stands side by side", async () => {
    const { world, a, b, c, f } = cluster();
    world.leave(c);
    world.also = (_from, to, kind) =>
      kind === "write" && (to === a.id || to === b.id) ? "refuse" : "deliver";
    done(await world.putAt(a, "k", "v"));
    done(await world.putAt(b, "k", "w"));
    await world.clock.run(world.clock.monotonicMs() + 100);
    expect(valuesOf(world.hint(f, "k", c)?.record.siblings ?? [])).toEqual(["v", "w"]);
  });
});

describe("a home that keeps silent", () => {
  test("gets a stand-in in addition after patience, and not before", async () => {
    const { world, a, b, c } = cluster();
    world.also = (_from, to) => (to === b.id || to === c.id ? "silence" : "deliver");
    const beforeMs = world.clock.monotonicMs();
    const put = a.coordinator.put(world.putRequest("k", "v"));
    await world.clock.run(beforeMs + 140);
    expect(sentHints(a)).toEqual([]);
    expect(done(await world.settle(put)).acks).toEqual({ primary: 1, fallback: 1, of: 3 });
    expect(sentHints(a)).toHaveLength(2);
    expect(world.clock.monotonicMs() - beforeMs).toBeLessThan(250);
  });

  test("that is known to be slow is given its time", async () => {
    const { world, a, b, c } = cluster();
    Object.assign(a.replication, { patienceMs: () => 400 });
    world.also = (_from, to) => (to === b.id || to === c.id ? "silence" : "deliver");
    const beforeMs = world.clock.monotonicMs();
    done(await world.putAt(a, "k", "v"));
    expect(world.clock.monotonicMs() - beforeMs).toBeGreaterThanOrEqual(400);
  });

  test("gets it also when the put is won without it", async () => {
    const { world, a, c, f } = cluster();
    world.also = (_from, to) => (to === c.id ? "silence" : "deliver");
    expect(done(await world.putAt(a, "k", "v")).acks).toEqual({ primary: 2, fallback: 0, of: 3 });
    expect(world.hints("k")).toEqual([]);
    await world.clock.run(world.clock.monotonicMs() + 300);
    expect(world.hint(f, "k", c)).toBeDefined();
    expect(sentHints(a)).toHaveLength(1);
  });

  test("counts when it answers late, although somebody else was asked for it meanwhile", async () => {
    const { world, a, b, c, f, g, h } = cluster();
    const write = b.handlers.write;
    Object.assign(b.handlers, {
      write: async (...args: Parameters<NonNullable<typeof write>>) => {
        await new Promise<void>((resolve) => world.clock.after(400, resolve));
        return write?.(...args);
      },
    });
    world.leave(c);
    world.also = (_from, to) => (to === g.id || to === h.id ? "refuse" : "deliver");
    const put = done(await world.putAt(a, "k", "v", THREE_ACKS));
    expect(put.acks).toEqual({ primary: 2, fallback: 1, of: 3 });
    expect(sentHints(a)).toEqual([f.id, g.id, h.id]);
  });

  test("is stood in for by yet another node when its stand-in is silent too", async () => {
    const { world, a, b, c, f, g } = cluster();
    world.leave(c);
    world.also = (_from, to) => ([b.id, f.id, g.id].includes(to) ? "silence" : "deliver");
    const put = done(await world.putAt(a, "k", "v"));
    expect(put.acks).toEqual({ primary: 1, fallback: 1, of: 3 });
  });
});

describe("an overloaded home", () => {
  test("gets no stand-in while W is in reach without it", async () => {
    const { world, a, c } = cluster();
    overload(c);
    expect(done(await world.putAt(a, "k", "v")).acks).toEqual({ primary: 2, fallback: 0, of: 3 });
    await world.clock.run(world.clock.monotonicMs() + 1_000);
    expect(sentHints(a)).toEqual([]);
  });

  test("gets one when W would be out of reach else", async () => {
    const { world, a, b, c } = cluster();
    overload(b);
    overload(c);
    expect(done(await world.putAt(a, "k", "v")).acks).toEqual({ primary: 1, fallback: 1, of: 3 });
    expect(sentHints(a)).toHaveLength(1);
  });
});

describe("a strict put", () => {
  for (const [name, options] of Object.entries({
    "sloppy=false": { sloppy: false },
    "consistency=all": { consistency: { level: "all" } },
    "consistency=each-quorum": { consistency: { level: "each-quorum" } },
  } as const)) {
    test(`with ${name} sends nothing to a stand-in, whoever is away`, async () => {
      const { world, a, b, c } = cluster();
      world.leave(b);
      world.also = (_from, to) => (to === c.id ? "silence" : "deliver");
      expect(await world.putAt(a, "k", "v", options)).toMatchObject({
        status: "quorum-not-reached",
        indeterminate: true,
        acks: { primary: 1, fallback: 0, of: 3 },
      });
      expect(sentHints(a)).toEqual([]);
      const [sibling] = a.store.rows.get(world.key("k").id)?.record.siblings ?? [];
      expect(sibling?.sloppy).toBe(false);
    });
  }

  test("is not coordinated by a stand-in", async () => {
    const { world, a, b, c, f } = cluster();
    world.leave(a, b, c);
    expect(await world.putAt(f, "k", "v", { sloppy: false })).toMatchObject({
      status: "quorum-not-reached",
      indeterminate: false,
    });
    expect(world.hints("k")).toEqual([]);
  });
});

describe("a stand-in", () => {
  test("acknowledges only what is durable", async () => {
    const { world, a, b, c, f } = cluster();
    world.leave(b, c);
    f.store.autoCommit = false;
    world.also = (_from, to) =>
      world.places("k").others.indexOf(world.byId(to)) > 0 ? "refuse" : "deliver";
    let ended = false;
    const put = a.coordinator.put(world.putRequest("k", "v")).then((outcome) => {
      ended = true;
      return outcome;
    });
    await world.clock.run(world.clock.monotonicMs() + 100);
    expect(world.hint(f, "k", b)).toBeDefined();
    expect(ended).toBe(false);
    f.store.commit();
    expect(done(await world.settle(put)).acks.fallback).toBe(1);
  });

  test("whose budget is used up refuses new hints, and the next one on the ring is asked", async () => {
    const { world, a, c, f, g } = cluster({ hintBytesMax: 10 });
    world.leave(c);
    done(await world.putAt(a, "k", "0123456789", THREE_ACKS));
    expect(f.replication.hints.isFull).toBe(true);
    const before = world.hint(f, "k", c)?.sequence;
    done(await world.putAt(a, "k", "another", THREE_ACKS));
    expect(world.hint(f, "k", c)?.sequence).toBe(before);
    expect(valuesOf(world.hint(g, "k", c)?.record.siblings ?? [])).toEqual(["another"]);
    expect(f.replication.counters.hintsRefused).toBe(1);
  });

  test("of a slot that its policy pins to a region is in that region", async () => {
    const regions = ["eu", "eu", "us", "us", "us", "eu"];
    const world = new HintCluster(regions, { policy: { regions: { eu: 2, us: 1 } } });
    const { homes } = world.places("k");
    const regionOf = (node: FakeNode) => node.replication.region as string;
    for (const gone of homes) {
      const from = homes.find((home) => home !== gone) as FakeNode;
      world.leave(gone);
      await world.putAt(from, "k", "v", THREE_ACKS);
      const keeper = world.nodes.find((node) => world.hint(node, "k", gone) !== undefined);
      expect(keeper === undefined ? "nobody" : regionOf(keeper)).toBe(regionOf(gone));
      world.comeBack(gone);
    }
  });

  test("of another region than the slot is pinned to refuses the write", async () => {
    const regions = ["eu", "eu", "us", "us", "us", "eu"];
    const world = new HintCluster(regions, { policy: { regions: { eu: 2, us: 1 } } });
    const { homes } = world.places("k");
    const [eu] = homes.filter((home) => home.replication.region === ("eu" as never));
    const us = world.nodes.find(
      (node) => !homes.includes(node) && node.replication.region === ("us" as never),
    );
    if (eu === undefined || us === undefined) throw new Error("no such nodes");
    // As from a node that does not know better.
    world.leave(eu);
    const from = homes.find((home) => home !== eu) as FakeNode;
    await world.putAt(from, "k", "v", THREE_ACKS);
    const sent = from.sent.find(({ kind }) => kind === "hint");
    if (sent === undefined) throw new Error("no hint was sent");
    const context = { from: from.id, timeoutMs: 1_000, diesMs: Number.POSITIVE_INFINITY };
    expect(() => us.handlers.hint?.(sent.fields, context)).toThrow(/Not a home/);
  });
});
