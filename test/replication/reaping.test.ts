/**
 * Reaping by proof, each rule with the schedule that it closes (design 7; counterexamples 2, 4; reliability.md B1). A node's
 * `write` message is what a slow network, a repair or a hint's delivery may bring at any time.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { mergeContexts } from "../../src/core/context.ts";
import type { ActorId, NodeId } from "../../src/core/ids.ts";
import { EMPTY_RECORD } from "../../src/core/record.ts";
import type { CausalRecord, Sibling } from "../../src/core/version.ts";
import { dotOf, siblingOf, tombstoneOf } from "../support/arbitraries.ts";
import { GRACE_MS, LIFE_MS, QUIET_MS, ReapingCluster } from "../support/reaping-cluster.ts";

const NO_NOTE = new Uint8Array(0);
/** Long enough for a walk to find what is due and for a round. */
const ROUND_MS = 2_000;
const DUE_MS = GRACE_MS + QUIET_MS + ROUND_MS;

let running: ReapingCluster[] = [];
afterEach(async () => {
  for (const cluster of running) await cluster.stop();
  running = [];
});

function cluster(nodes = 4): ReapingCluster {
  const made = new ReapingCluster(nodes);
  running.push(made);
  return made;
}

/** A value, seen by all owners, and then its tombstone. Returns the record as it was before the delete. */
async function deleted(c: ReapingCluster, text: string): Promise<CausalRecord> {
  await c.put(0, text, "old", { consistency: { level: "all" } });
  const old = rowOf(c, text);
  await c.put(0, text, "", { deleted: true, contentType: "", consistency: { level: "all" } });
  return old;
}

function rowOf(c: ReapingCluster, text: string, owner = 0): CausalRecord {
  const stored = c.places(text).owners[owner]?.node.store.read(c.key(text));
  return stored?.state === "record" ? stored.record : EMPTY_RECORD;
}

describe("reaping", () => {
  test("a tombstone is forgotten by all owners when everybody has been quiet for grace and 4 x D", async () => {
    const c = cluster();
    await deleted(c, "k");
    const stamp = rowOf(c, "k").siblings[0]?.stamp ?? 0;
    await c.pass(GRACE_MS - 1_000);
    expect(c.holders("k").length).toBe(3);
    await c.pass(DUE_MS);
    expect(c.holders("k")).toEqual([]);
    const { owners, others } = c.places("k");
    for (const { node, reaping } of owners) {
      expect(node.replication.counters.tombstonesReaped).toBe(1);
      expect(reaping.horizons.all().map((horizon) => horizon.stamp)).toEqual([stamp]);
    }
    for (const { reaping } of others) expect(reaping.horizons.all()).toEqual([]);
  });

  test("an expired value is forgotten too, a live one and a young tombstone never", async () => {
    const c = cluster();
    const all = { consistency: { level: "all" } } as const;
    const expiresAtMs = c.clock.wallMs() + 1_000;
    await c.put(0, "expired", "v", { ...all, expiresAtMs });
    await c.put(0, "live", "v", all);
    await c.put(0, "later", "v", { ...all, expiresAtMs: expiresAtMs + 3_600_000 });
    await c.pass(DUE_MS);
    await deleted(c, "young");
    await c.pass(QUIET_MS + ROUND_MS);
    expect(["expired", "live", "later", "young"].map((text) => c.holders(text).length)).toEqual([
      0, 3, 3, 3,
    ]);
  });

  test("many keys of all units are forgotten, each reaped by the first of its owners", async () => {
    const c = cluster(5);
    const keys = Array.from({ length: 150 }, (_, i) => `k${i}`);
    for (const key of keys) await deleted(c, key);
    await c.pass(2 * DUE_MS);
    expect(keys.filter((key) => c.holders(key).length > 0)).toEqual([]);
    const rounds = c.nodes.map(({ sent }) => sent.filter(({ kind }) => kind === "reapAsk").length);
    expect(rounds.every((asks) => asks > 0)).toBe(true);
  });

  test("a dot is not used again when a key comes back after it was forgotten", async () => {
    const c = cluster();
    await deleted(c, "k");
    const before = rowOf(c, "k");
    await c.pass(DUE_MS);
    expect(c.holders("k")).toEqual([]);
    await c.put(0, "k", "new", { consistency: { level: "all" } });
    const [dot] = rowOf(c, "k").siblings.map((sibling) => sibling.dot);
    const seen = before.context.filter(({ actor }) => actor === dot?.actor);
    for (const entry of seen) expect(entry.epoch).not.toBe(dot?.epoch);
  });

  test("a hint that a stand-in still holds would bring the value back: the tombstone stays", async () => {
    const c = cluster();
    const old = await deleted(c, "k");
    const { others, owners } = c.places("k");
    const [holder] = others;
    const { store } = holder?.node ?? c.node(0);
    const sequence = store.setAside(`hint/${owners[1]?.node.id}`, c.key("k"), old, null, NO_NOTE);
    await c.pass(2 * DUE_MS);
    expect(c.holders("k").length).toBe(3);
    expect(owners[0]?.reaper.status().kept.aside).toBe(1);
    // Delivered and dropped: the reaper still waits until nothing of it can be on its way.
    store.dropAside([{ shelf: `hint/${owners[1]?.node.id}`, key: c.key("k"), sequence }]);
    await c.pass(QUIET_MS - 500);
    expect(c.holders("k").length).toBe(3);
    await c.pass(ROUND_MS);
    expect(c.holders("k")).toEqual([]);
  });

  test("a hint written after the tombstone does not hinder, nor does what is in quarantine", async () => {
    const c = cluster();
    const old = await deleted(c, "k");
    const [sibling] = old.siblings;
    const younger = {
      ...old,
      siblings: sibling === undefined ? [] : [{ ...sibling, stamp: 2 ** 52 }],
    };
    const { store } = c.places("k").others[0]?.node ?? c.node(0);
    store.setAside("hint/x", c.key("k"), younger, null, NO_NOTE);
    store.setAside("quarantine", c.key("k"), old, null, NO_NOTE);
    await c.pass(DUE_MS);
    expect(c.holders("k")).toEqual([]);
  });

  test("a row that was left over at a node that is no owner any more would bring the value back", async () => {
    const c = cluster();
    const old = await deleted(c, "k");
    c.places("k").others[0]?.node.store.write(c.key("k"), old, null);
    await c.pass(2 * DUE_MS);
    expect(c.holders("k").length).toBe(4);
  });

  test("a member that is away may hold anything: reaping is postponed, visibly, however long it takes", async () => {
    const c = cluster();
    await deleted(c, "k");
    const { others, owners } = c.places("k");
    const away = others[0]?.node.id ?? c.node(0).id;
    c.down.add(away);
    c.drop = (_from, to) => (to === away ? "silence" : "deliver");
    await c.pass(10 * DUE_MS);
    expect(c.holders("k").length).toBe(3);
    const status = owners[0]?.reaper.status();
    expect([status?.state, status?.postponed?.by]).toEqual(["postponed", away]);
    expect(owners[0]?.node.replication.counters.reapsPostponed).toBeGreaterThan(1);
    c.down.delete(away);
    c.drop = () => "deliver";
    await c.pass(DUE_MS);
    expect(c.holders("k")).toEqual([]);
    expect(owners[0]?.reaper.status().postponed).toBeNull();
  });

  test("a member that is believed up and does not answer postpones as well", async () => {
    const c = cluster();
    await deleted(c, "k");
    const { others, owners } = c.places("k");
    const mute = others[0]?.node.id;
    c.drop = (_from, to, kind) => (to === mute && kind === "reapAsk" ? "silence" : "deliver");
    await c.pass(2 * DUE_MS);
    expect(c.holders("k").length).toBe(3);
    expect(owners[0]?.reaper.status().postponed?.by).toBe(mute);
  });

  test("an owner that has not seen the delete holds the value: the others keep the tombstone", async () => {
    const c = cluster();
    await c.put(0, "k", "old", { consistency: { level: "all" } });
    const behind = c.places("k").owners[2]?.node.id;
    c.drop = (_from, to, kind) => (to === behind && kind === "write" ? "refuse" : "deliver");
    await c.put(0, "k", "", { deleted: true, contentType: "", sloppy: false });
    await c.pass(2 * DUE_MS);
    expect(c.holders("k").length).toBe(3);
  });

  test("a clock that runs a day ahead at the reaper forgets nothing that is alive to the others", async () => {
    const c = cluster();
    const expiresAtMs = c.clock.wallMs() + 3_600_000;
    await c.put(0, "k", "v", { consistency: { level: "all" }, expiresAtMs });
    const [first] = c.places("k").owners;
    if (first !== undefined) first.aheadMs = 24 * 3_600_000;
    await c.pass(2 * DUE_MS);
    expect(c.holders("k").length).toBe(3);
    expect(first?.reaper.status().kept.early).toBe(1);
  });

  test("what is merged into a row between its owner's answer and the deletion survives", async () => {
    const c = cluster();
    const old = await deleted(c, "k");
    const [, second] = c.places("k").owners;
    if (second === undefined) throw new Error("no second owner");
    const { reapDo } = second.node.handlers;
    const written = { ...siblingOf(dotOf(9, 1, 1)), stamp: 2 ** 52 };
    Object.assign(second.node.handlers, {
      reapDo: (...message: Parameters<NonNullable<typeof reapDo>>) => {
        const record = { context: [written.dot], siblings: [written] };
        second.node.replication.replica.merge(c.key("k"), record);
        return reapDo?.(...message);
      },
    });
    await c.pass(DUE_MS);
    const stored = second.node.store.read(c.key("k"));
    const dots = stored.state === "record" ? stored.record.siblings.map(({ dot }) => dot) : [];
    expect(dots).toContainEqual(written.dot);
    expect(dots).not.toContainEqual(old.siblings[0]?.dot as never);
  });

  test("when the deletion fails at one owner the reaper keeps its own row, and all is tried again", async () => {
    const c = cluster();
    await deleted(c, "k");
    const [first, second] = c.places("k").owners;
    c.drop = (_from, to, kind) =>
      kind === "reapDo" && to === second?.node.id ? "refuse" : "deliver";
    await c.pass(DUE_MS);
    expect(c.holders("k").map(({ id }) => id)).toEqual(
      c.nodes.map(({ id }) => id).filter((id) => id === first?.node.id || id === second?.node.id),
    );
    c.drop = () => "deliver";
    // Anti-entropy gives the tombstone back to the third.
    await c.get(0, "k", { consistency: { level: "all" } });
    await c.pass(DUE_MS);
    expect(c.holders("k")).toEqual([]);
  });

  test("a node that has just started knows nothing of the time before: it counts as unquiet", async () => {
    const c = cluster();
    expect(c.reapers[0]?.reaping.quiet.isQuietKey(c.key("k"))).toBe(false);
    await c.pass(QUIET_MS - LIFE_MS / 2);
    expect(c.reapers[0]?.reaping.quiet.isQuietKey(c.key("k"))).toBe(false);
    await c.pass(LIFE_MS);
    expect(c.reapers[0]?.reaping.quiet.isQuietKey(c.key("k"))).toBe(true);
  });

  test("an owner whose row is another one keeps it, dead as it may be", async () => {
    const c = cluster();
    await deleted(c, "k");
    const tombstone = tombstoneOf(dotOf(9, 1, 1), { stamp: 1_000 });
    const another = { context: [tombstone.dot], siblings: [tombstone] };
    c.places("k").owners[2]?.node.store.write(c.key("k"), another, null);
    await c.pass(2 * DUE_MS);
    expect(c.holders("k").length).toBe(3);
    expect(c.places("k").owners[0]?.reaper.status().kept.different).toBe(1);
  });

  test("an owner whose row has just become identical may still have sent the one before it", async () => {
    const c = cluster();
    await deleted(c, "k");
    await c.pass(GRACE_MS - ROUND_MS);
    const [first, second] = c.places("k").owners;
    second?.node.store.write(c.key("k"), rowOf(c, "k"), null);
    await c.pass(QUIET_MS);
    expect(c.holders("k").length).toBe(3);
    expect(first?.reaper.status().kept.unquiet).toBe(1);
    await c.pass(2 * ROUND_MS);
    expect(c.holders("k")).toEqual([]);
  });

  test("a member that is still looking at a restored backup agrees to nothing", async () => {
    const c = cluster();
    await deleted(c, "k");
    const [other] = c.places("k").others;
    if (other === undefined) throw new Error("every node is an owner");
    other.node.store.isRestoring = true;
    await c.pass(2 * DUE_MS);
    expect(c.holders("k").length).toBe(3);
    other.node.store.isRestoring = false;
    await c.pass(DUE_MS);
    expect(c.holders("k")).toEqual([]);
  });

  test("an owner that is in doubt of the row agrees to nothing", async () => {
    const c = cluster();
    await deleted(c, "k");
    const doubt = c.places("k").owners[1]?.node.replication.doubt;
    doubt?.noteUnreadable(c.key("k"));
    await c.pass(2 * DUE_MS);
    expect(c.holders("k").length).toBe(3);
    doubt?.forgetRow(c.key("k"));
    await c.pass(DUE_MS);
    expect(c.holders("k")).toEqual([]);
  });
});

describe("context compaction", () => {
  /** A live value with entries of forty actors whose databases are gone, the same at all owners. */
  async function worn(c: ReapingCluster): Promise<CausalRecord> {
    await c.put(0, "k", "value", { consistency: { level: "all" } });
    const row = rowOf(c, "k");
    const gone = Array.from({ length: 40 }, (_, i) => dotOf(100 + i, 1, 7));
    const record = { context: mergeContexts(row.context, gone), siblings: row.siblings };
    for (const { node } of c.places("k").owners) {
      const stored = node.store.read(c.key("k"));
      node.store.write(c.key("k"), record, stored.state === "record" ? stored.minted : null);
    }
    return record;
  }

  test("drops the entries of actors that nobody uses any more, at all owners, and nothing else", async () => {
    const c = cluster();
    const before = await worn(c);
    await c.pass(GRACE_MS - ROUND_MS);
    expect(rowOf(c, "k").context.length).toBe(before.context.length);
    await c.pass(QUIET_MS + ROUND_MS);
    for (const [i, { node }] of c.places("k").owners.entries()) {
      expect(rowOf(c, "k", i).siblings).toEqual(before.siblings);
      expect(rowOf(c, "k", i).context).toEqual(before.siblings.map(({ dot }) => dot));
      expect(node.replication.counters.contextsCompacted).toBe(1);
    }
    const [horizon] = c.places("k").owners[1]?.reaping.horizons.all() ?? [];
    expect(horizon?.stamp).toBe(before.siblings[0]?.stamp);
    const { status } = await c.put(0, "k", "next", { consistency: { level: "all" } });
    expect(status).toBe("ok");
  });

  test("waits for a hint that holds what an entry covers", async () => {
    const c = cluster();
    const before = await worn(c);
    const covered = siblingOf(dotOf(100, 1, 3), { stamp: 1_000 });
    const record = { context: [covered.dot], siblings: [covered] };
    c.places("k").others[0]?.node.store.setAside("hint/x", c.key("k"), record, null, NO_NOTE);
    await c.pass(2 * DUE_MS);
    expect(rowOf(c, "k").context.length).toBe(before.context.length);
  });

  test("waits until the actors of all members are known, and says so to nobody as if none were in use", async () => {
    const c = cluster();
    // Whoever reaps the key can be told who everybody is, but for one.
    const [first] = c.places("k").owners;
    const [other] = c.places("k").others;
    c.drop = (from, to, kind) =>
      kind === "introduce" && [from, to].includes(other?.node.id as NodeId) ? "refuse" : "deliver";
    const before = await worn(c);
    await c.pass(2 * DUE_MS);
    expect(rowOf(c, "k").context.length).toBe(before.context.length);
    expect(first?.node.sent.some(({ kind }) => kind === "reapAsk")).toBe(false);
    c.drop = () => "deliver";
    await c.pass(2 * DUE_MS);
    expect(rowOf(c, "k").context.length).toBe(1);
  });

  test("leaves the newest epoch of each actor in use", async () => {
    const c = cluster();
    const [first] = c.places("k").owners;
    const actor = first?.node.store.actorId as ActorId;
    await c.put(0, "k", "value", { consistency: { level: "all" } });
    const row = rowOf(c, "k");
    const old = Array.from({ length: 40 }, (_, i) => ({ ...dotOf(1, 500 + i, 7), actor }));
    const context = mergeContexts(row.context, old);
    for (const { node } of c.places("k").owners) {
      node.store.write(c.key("k"), { context, siblings: row.siblings }, null);
    }
    await c.pass(2 * DUE_MS);
    const kept = rowOf(c, "k").context;
    expect(kept).toContainEqual((row.siblings[0] as Sibling).dot);
    expect(kept.filter((entry) => entry.actor === actor).map(({ epoch }) => epoch)).toContain(539);
    expect(kept.length).toBeLessThanOrEqual(2);
  });
});
