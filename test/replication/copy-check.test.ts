/** A database that was rolled back or cloned is noticed by what its peers remember (reliability.md 3 A3.5). */
import { describe, expect, test } from "bun:test";
import type { MessageHandlers } from "../../src/cluster/peer-channel.ts";
import { COPY_CHECK_PATIENCE_MS } from "../../src/core/limits.ts";
import { DiskFullError } from "../../src/env/disk.ts";
import { ActorsSeen } from "../../src/replication/actors-seen.ts";
import type { Replication } from "../../src/replication/context.ts";
import { CopyCheck } from "../../src/replication/copy-check.ts";
import { decodeReadAnswer, encodeRead, encodeScan } from "../../src/replication/data-messages.ts";
import { decodeHeldAnswer, encodeHeldQuestion } from "../../src/replication/held.ts";
import { RESTORED_META } from "../../src/storage/meta-names.ts";
import { RESTORED_MARK } from "../../src/storage/restored-tables.ts";
import { done, HintCluster } from "../support/hint-cluster.ts";
import {
  type FakeNode,
  type FakeStore,
  ReplicationCluster,
} from "../support/replication-cluster.ts";

function cluster(): ReplicationCluster {
  const c = new ReplicationCluster(["eu", "eu", "eu"]);
  for (const { handlers, store } of c.nodes) {
    Object.assign(handlers, new ActorsSeen(store.meta, c.clock).handlers());
  }
  return c;
}

/** The database as it was at an earlier moment, under the same node. */
function earlier(store: FakeStore, was: { sequence?: number; epochEnd?: number }): FakeStore {
  const copy = Object.create(store) as FakeStore;
  const { actorId } = store;
  let renewed = actorId;
  Object.defineProperties(copy, {
    actorId: { get: () => renewed },
    epochEnd: { get: () => was.epochEnd ?? store.epochEnd },
    lastSequence: { value: () => was.sequence ?? store.lastSequence() },
    whenDurable: { value: () => Promise.resolve() },
    takeEpoch: { value: () => store.takeEpoch() },
    renewActor: {
      value: () => {
        store.renewActor();
        renewed = store.actorId;
      },
    },
  });
  return copy;
}

/** A process that runs on this database. */
function started(node: FakeNode, store: FakeStore = node.store) {
  let copies = 0;
  let hasEnded = false;
  const r: Replication = { ...node.replication, store };
  const check = new CopyCheck(r, () => {
    copies++;
  });
  return {
    check,
    step: async (c: ReplicationCluster) => {
      try {
        if (!hasEnded) await c.settle(check.step());
      } catch (error) {
        // What failStop throws in this world.
        expect(String(error)).toContain("rolled back");
        hasEnded = true;
      }
    },
    get hasEnded() {
      return hasEnded;
    },
    get copies() {
      return copies;
    },
  };
}

/** A process that has asked, and told of its lease. */
async function run(c: ReplicationCluster, node: FakeNode): Promise<void> {
  const process = started(node);
  await process.step(c);
  await process.step(c);
  expect(process.check.isPending).toBe(false);
}

describe("a database that is no copy", () => {
  test("is left alone through puts and starts", async () => {
    const c = cluster();
    const node = c.node(0);
    for (let start = 0; start < 3; start++) {
      const process = started(node);
      for (let i = 0; i < 3; i++) {
        await process.step(c);
        await c.put(0, `k${i}`, "v");
      }
      expect(process.copies).toBe(0);
    }
    expect(node.replication.counters.actorsRenewed).toBe(0);
  });

  test("is asked about before this node mints, and not for ever when nobody answers", async () => {
    const c = cluster();
    c.drop = () => "refuse";
    const process = started(c.node(0));
    expect(process.check.isPending).toBe(true);
    await process.step(c);
    expect(process.check.isPending).toBe(true);
    await c.clock.run(c.clock.monotonicMs() + COPY_CHECK_PATIENCE_MS);
    await process.step(c);
    await process.step(c);
    expect(process.check.isPending).toBe(false);
  });

  test("is asked about once by each member that answers, and again by those that do not", async () => {
    const c = cluster();
    const mute = c.node(2).id;
    const asked: string[] = [];
    c.drop = (_from, to, kind) => {
      if (kind === "actorSeen") asked.push(to);
      return to === mute ? "refuse" : "deliver";
    };
    const process = started(c.node(0));
    for (let step = 0; step < 3; step++) await process.step(c);
    expect(asked).toEqual([c.node(1).id, mute, mute, mute]);
  });

  test("takes its lease again when a full disk has undone it", async () => {
    const c = cluster();
    const node = c.node(0);
    let undone = 1;
    const store = Object.create(earlier(node.store, {})) as FakeStore;
    Object.defineProperty(store, "takeEpoch", {
      value: () => {
        if (undone-- > 0) throw new DiskFullError("full");
        return node.store.takeEpoch();
      },
    });
    const process = started(node, store);
    for (let i = 0; i < 3; i++) {
      await process.step(c);
      expect(process.check.isPending).toBe(i < 2);
    }
  });

  test("with writes between the question and its answer is none", async () => {
    const c = cluster();
    const process = started(c.node(0));
    await process.step(c);
    const step = process.check.step();
    c.node(0).store.write(c.key("x"), { context: [], siblings: [] }, null);
    await c.settle(step);
    await process.step(c);
    expect(process.copies).toBe(0);
  });
});

describe("a database that is a copy", () => {
  test("older than a start since, takes a new actor before it mints anything, in doubt", async () => {
    const c = cluster();
    const node = c.node(0);
    const { epochEnd } = node.store;
    const actor = node.store.actorId;
    await run(c, node);
    expect(node.store.epochEnd).toBeGreaterThan(epochEnd);
    const copy = started(node, earlier(node.store, { epochEnd, sequence: 0 }));
    await copy.step(c);
    expect(copy.copies).toBe(1);
    expect(node.store.actorId).not.toBe(actor);
    const { actors, doubt, counters } = node.replication;
    expect(actors.own.actor).toBe(node.store.actorId);
    expect([doubt.any, counters.actorsRenewed]).toEqual([true, 1]);
    // Its rows may be from before a reap: the next open holds them apart.
    expect([copy.hasEnded, node.store.meta.get(RESTORED_META)]).toEqual([
      true,
      new Uint8Array([RESTORED_MARK]),
    ]);
  });

  test("of the same start, such as a machine set back to a snapshot, is noticed by its sequence", async () => {
    const c = cluster();
    const node = c.node(0);
    const process = started(node);
    await process.step(c);
    const sequence = node.store.lastSequence();
    await c.put(0, "k", "v");
    await process.step(c);
    const copy = started(node, earlier(node.store, { sequence }));
    await copy.step(c);
    expect(copy.copies).toBe(1);
  });

  test("that hears it while its disk is full is pending, and ends once there is room", async () => {
    const c = cluster();
    const node = c.node(0);
    await run(c, node);
    await c.put(0, "k", "v");
    const store = Object.create(earlier(node.store, { epochEnd: 1, sequence: 0 })) as FakeStore;
    let isFull = true;
    const set = (name: string, value: Uint8Array): void => {
      if (isFull) throw new DiskFullError("full");
      node.store.meta.set(name, value);
    };
    Object.defineProperty(store, "meta", {
      value: Object.create(node.store.meta, { set: { value: set } }),
    });
    const { check } = started(node, store);
    for (let i = 0; i < 3; i++) {
      await expect(c.settle(check.step())).rejects.toThrow(DiskFullError);
      expect(check.isPending).toBe(true);
      await c.clock.run(c.clock.monotonicMs() + COPY_CHECK_PATIENCE_MS);
    }
    isFull = false;
    await expect(c.settle(check.step())).rejects.toThrow("rolled back");
  });

  test("and is so once: under its new actor nothing is known of it", async () => {
    const c = cluster();
    const node = c.node(0);
    await run(c, node);
    await c.put(0, "k", "v");
    const copy = started(node, earlier(node.store, { epochEnd: 1, sequence: 0 }));
    await copy.step(c);
    expect(copy.copies).toBe(1);
    const again = started(node);
    for (let i = 0; i < 4; i++) await again.step(c);
    expect(again.copies).toBe(0);
  });

  test("of a node whose peers have restarted is still known by its epochs", async () => {
    const c = cluster();
    const node = c.node(0);
    const { epochEnd } = node.store;
    await run(c, node);
    for (const { handlers, store } of c.nodes) {
      Object.assign(handlers, new ActorsSeen(store.meta, c.clock).handlers());
    }
    const copy = started(node, earlier(node.store, { epochEnd }));
    await copy.step(c);
    expect(copy.copies).toBe(1);
  });
});

describe("what peers remember of a database", () => {
  test("outlives their own restarts: its newest sequence, too", async () => {
    const c = cluster();
    const node = c.node(0);
    const process = started(node);
    await process.step(c);
    await c.put(0, "k", "v");
    await process.step(c);
    const sequence = node.store.lastSequence();
    // Without another epoch.
    await c.put(0, "k", "w");
    await process.step(c);
    for (const { handlers, store } of c.nodes) {
      Object.assign(handlers, new ActorsSeen(store.meta, c.clock).handlers());
    }
    const copy = started(node, earlier(node.store, { sequence }));
    await copy.step(c);
    expect(copy.copies).toBe(1);
  });

  test("is kept in memory while a disk is full, and the answer is given all the same", () => {
    const { handler, disk } = onDiskThatFills();
    const tell = teller(handler());
    expect(tell(10, 5)).toEqual([0, 0]);
    disk.isFull = true;
    expect(tell(10, 6)).toEqual([10, 5]);
    expect(tell(10, 6)).toEqual([10, 6]);
    expect(() => tell(11, 6)).toThrow(DiskFullError);
  });

  test("is tried on a full disk once in ten seconds, and stored when there is room though nothing has risen", () => {
    const { handler, disk } = onDiskThatFills();
    const tell = teller(handler());
    tell(10, 5);
    disk.isFull = true;
    for (let sequence = 6; sequence < 26; sequence++) {
      tell(10, sequence);
      disk.nowMs += 500;
    }
    expect(disk.failures).toBe(1);
    tell(10, 26);
    expect(disk.failures).toBe(2);
    disk.isFull = false;
    tell(10, 27);
    expect(teller(handler())(0, 0)).toEqual([10, 5]);
    disk.nowMs += 10_000;
    tell(10, 27);
    expect(teller(handler())(0, 0)).toEqual([10, 27]);
  });

  type Handler = MessageHandlers["actorSeen"];

  function teller(handler: Handler) {
    return (epochEnd: number, sequence: number) =>
      handler?.([new Uint8Array(16), epochEnd, sequence], {} as never);
  }

  /** Each `handler` is one of a peer that has just been started. */
  function onDiskThatFills() {
    const { store } = cluster().node(0);
    const disk = { isFull: false, failures: 0, nowMs: 0 };
    const meta = {
      ...store.meta,
      set: (name: string, value: Uint8Array) => {
        if (disk.isFull) {
          disk.failures++;
          throw new DiskFullError("full");
        }
        store.meta.set(name, value);
      },
    };
    const clock = { monotonicMs: () => disk.nowMs };
    const handler = (): Handler => new ActorsSeen(meta, clock).handlers()["actorSeen"];
    return { handler, disk };
  }
});

describe("a start", () => {
  test("whose epochs a member does not know of mints under an actor of its own, without doubt", async () => {
    const c = cluster();
    const node = c.node(0);
    const { store } = node;
    const { actorId, databaseId } = store;
    const { actors, doubt, counters } = node.replication;
    const before = actors.own.generation;
    c.drop = (_from, to) => (to === c.node(2).id ? "refuse" : "deliver");
    const { check, ...process } = started(node);
    await process.step(c);
    await c.clock.run(c.clock.monotonicMs() + COPY_CHECK_PATIENCE_MS);
    for (let i = 0; i < 4; i++) await process.step(c);
    expect([check.isPending, store.actorId]).toEqual([false, actorId]);
    check.beforeMint();
    const taken = store.actorId;
    expect([taken === actorId, store.databaseId, actors.own.actor]).toEqual([
      false,
      databaseId,
      taken,
    ]);
    expect(actors.own.generation).toBeGreaterThan(before);
    expect([doubt.any, counters.actorsTaken]).toEqual([false, 1]);
    check.beforeMint();
    expect(store.actorId).toBe(taken);
  });

  test("does so before it has asked anybody, and when there is nobody to tell", () => {
    for (const c of [cluster(), new ReplicationCluster(["eu"], 1)]) {
      const { store } = c.node(0);
      const { actorId } = store;
      started(c.node(0)).check.beforeMint();
      expect(store.actorId).not.toBe(actorId);
    }
  });

  test("whose epochs everybody knows of goes on under the actor that it found, also when one was told later", async () => {
    for (const late of [false, true]) {
      const c = cluster();
      const { store } = c.node(0);
      const { actorId } = store;
      c.drop = (_from, to) => (late && to === c.node(2).id ? "refuse" : "deliver");
      const { check, ...process } = started(c.node(0));
      await process.step(c);
      await c.clock.run(c.clock.monotonicMs() + COPY_CHECK_PATIENCE_MS);
      for (let i = 0; i < 2; i++) await process.step(c);
      c.drop = () => "deliver";
      for (let i = 0; i < 3; i++) await process.step(c);
      check.beforeMint();
      expect(store.actorId).toBe(actorId);
    }
  });

  test("tells everybody of epochs that it leases later", async () => {
    const c = new ReplicationCluster(["eu", "eu", "eu", "eu", "eu"], 5);
    const told: string[] = [];
    const { store } = c.node(0);
    for (const { handlers, store: own } of c.nodes) {
      Object.assign(handlers, new ActorsSeen(own.meta, c.clock).handlers());
    }
    const process = started(c.node(0));
    for (let i = 0; i < 3; i++) await process.step(c);
    c.drop = (_from, to) => {
      told.push(to);
      return "deliver";
    };
    await process.step(c);
    expect(told.length).toBe(2);
    told.length = 0;
    store.takeEpoch();
    await process.step(c);
    expect(told.length).toBe(4);
  });
});

describe("a peer that could not be asked at the start", () => {
  test("tells it later, though what was merged meanwhile has hidden it", async () => {
    const c = cluster();
    const node = c.node(0);
    const sequence = node.store.lastSequence();
    const { epochEnd } = node.store;
    const lost = started(node);
    await lost.step(c);
    await lost.step(c);
    for (let i = 0; i < 5; i++) await c.put(0, `k${i}`, "v");
    for (let i = 0; i < 3; i++) await lost.step(c);
    // As it was opened it is behind; by the time that somebody answers it has merged more than the lost one had.
    const was = { sequence, epochEnd } as { sequence?: number; epochEnd?: number };
    const copy = started(node, earlier(node.store, was));
    delete was.sequence;
    delete was.epochEnd;
    c.drop = () => "refuse";
    await copy.step(c);
    await c.clock.run(c.clock.monotonicMs() + COPY_CHECK_PATIENCE_MS);
    for (let i = 0; i < 3; i++) await copy.step(c);
    expect([copy.check.isPending, copy.copies]).toEqual([false, 0]);
    c.drop = () => "deliver";
    await copy.step(c);
    expect(copy.copies).toBe(1);
  });
});

describe("a node that has just started", () => {
  test("tells nobody what it holds: it may be from before a reap", async () => {
    const c = cluster();
    const node = c.node(0);
    await c.put(0, "k", "v");
    c.unsure.add(node.id);
    const key = c.key("k");
    const version = node.replication.membership.layout()?.version ?? 0;
    const read = encodeRead(version, key, Number.MAX_SAFE_INTEGER);
    const scan = encodeScan({
      ...{ layoutVersion: version, namespace: key.namespace, start: new Uint8Array(0), end: null },
      ...{ reverse: false, limit: 10 },
    });
    const channel = c.node(1).replication.channel;
    const options = { timeoutMs: 1_000, lane: "direct" } as const;
    const reading = channel.send(node.id, "read", read, options);
    await expect(c.settle(reading)).rejects.toMatchObject({ code: "not_ready" });
    const scanning = channel.send(node.id, "scan", scan, options);
    await expect(c.settle(scanning)).rejects.toMatchObject({ code: "not_ready" });
    const own = node.store.read(key);
    if (own.state !== "record") throw new Error("the key was put");
    const held = encodeHeldQuestion(version, key, own.record);
    const holding = channel.send(node.id, "held", held, options);
    await expect(c.settle(holding)).rejects.toMatchObject({ code: "not_ready" });
    c.unsure.delete(node.id);
    const later = await c.settle(channel.send(node.id, "read", read, options));
    expect(decodeReadAnswer(c.node(1).replication.env.hasher, later).counts).toBe(true);
    const isHeld = await c.settle(channel.send(node.id, "held", held, options));
    expect(decodeHeldAnswer(isHeld, 3)).not.toBeNull();
  });

  test("that is the whole cluster has nobody to ask", () => {
    const c = new ReplicationCluster(["eu"], 1);
    expect(started(c.node(0)).check.isPending).toBe(false);
  });

  test("lets another home mint, and refuses what others forward to it", async () => {
    const c = cluster();
    c.unsure.add(c.node(0).id);
    const outcome = await c.put(0, "k", "v", { consistency: { level: "all" } });
    expect(outcome.status).toBe("ok");
    const stored = c.node(0).store.read(c.key("k"));
    const actor = stored.state === "record" ? stored.record.siblings[0]?.dot.actor : undefined;
    expect(actor).not.toBe(c.node(0).store.actorId);
  });

  test("does not mint what others forward to it either", async () => {
    const c = cluster();
    for (const sure of [2, 1]) {
      c.unsure.clear();
      for (const i of [0, 1, 2]) if (i !== sure) c.unsure.add(c.node(i).id);
      expect((await c.put(0, `k${sure}`, "v", { consistency: { level: "all" } })).status).toBe(
        "ok",
      );
      const stored = c.node(0).store.read(c.key(`k${sure}`));
      const actor = stored.state === "record" ? stored.record.siblings[0]?.dot.actor : undefined;
      expect(actor).toBe(c.node(sure).store.actorId);
    }
  });

  test("does not mint in the place of a home: the next stand-in does", async () => {
    const world = new HintCluster();
    const { homes, others } = world.places("k");
    const [unsure] = others as [FakeNode];
    world.leave(...homes);
    world.unsure.add(unsure.id);
    const put = done(await world.putAt(unsure, "k", "v"));
    expect(others.slice(1).map((node): string => node.store.actorId)).toContain(put.dot.actor);
  });

  test("mints all the same when all of them have just started", async () => {
    const c = cluster();
    for (const { id } of c.nodes) c.unsure.add(id);
    expect((await c.put(0, "k", "v")).status).toBe("ok");
  });
});
