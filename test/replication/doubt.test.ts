import { describe, expect, test } from "bun:test";
import { compileLayout } from "../../src/core/active-layout.ts";
import { actorIdFromBytes, type PartitionId } from "../../src/core/ids.ts";
import { SCAN_SLICE_ROWS } from "../../src/core/limits.ts";
import { recoveryWorker } from "../../src/replication/recovery.ts";
import { scanLocal } from "../../src/replication/scan-local.ts";
import { UnitSet } from "../../src/replication/unit-set.ts";
import { RESTORED_SHELF } from "../../src/storage/shelves.ts";
import { ReplicationCluster } from "../support/replication-cluster.ts";

const THREE = ["eu", "us", "ap"];

/** Three copies of each key; then the database of node 0 is lost. */
async function amnesiac(keys: readonly string[]): Promise<ReplicationCluster> {
  const cluster = new ReplicationCluster(THREE, 3, { inDoubt: [0] });
  for (const key of keys) {
    await cluster.put(1, key, `value of ${key}`, { consistency: { level: "all" } });
  }
  cluster.node(0).store.rows.clear();
  return cluster;
}

describe("a replica in doubt", () => {
  test("its absence does not count to R: no quorum rather than a 404", async () => {
    const cluster = await amnesiac(["k"]);
    const third = cluster.node(2).id;
    cluster.drop = (_from, to) => (to === third ? "refuse" : "deliver");
    expect((await cluster.get(0, "k")).status).toBe("quorum-not-reached");
    expect((await cluster.get(1, "k")).status).toBe("quorum-not-reached");
    cluster.drop = () => "deliver";
    expect(await cluster.get(0, "k")).toMatchObject({ status: "ok", liveSiblings: 1 });
  });

  test("it is no source for a list", async () => {
    const cluster = await amnesiac(["a", "b"]);
    const third = cluster.node(2).id;
    cluster.drop = (_from, to) => (to === third ? "refuse" : "deliver");
    const list = cluster.node(1).coordinator.list({
      namespace: cluster.namespace,
      start: new Uint8Array(0),
      end: null,
      reverse: false,
      limit: 10,
      conflict: "majority",
      timeoutMs: 5_000,
      session: null,
    });
    expect((await cluster.settle(list)).status).toBe("quorum-not-reached");
  });

  test("a scan that began in doubt says so, though the doubt ended before the scan did", async () => {
    const keys = Array.from({ length: SCAN_SLICE_ROWS + 1 }, (_, i) => `k${i}`);
    const cluster = new ReplicationCluster(THREE, 3, { inDoubt: [0] });
    for (const key of keys) await cluster.put(0, key, "v");
    const { replication } = cluster.node(0);
    const scan = scanLocal(replication, {
      layoutVersion: 1,
      namespace: cluster.namespace.id,
      start: new Uint8Array(0),
      end: null,
      reverse: false,
      limit: 1_000,
    });
    const layout = replication.membership.layout();
    if (layout === undefined) throw new Error("no layout");
    for (const at of [1, 2]) replication.doubt.heard(layout, cluster.node(at).id, new UnitSet());
    expect(replication.doubt.any).toBe(false);
    const answer = await cluster.settle(scan);
    expect(answer.rows).toHaveLength(keys.length);
    expect(answer.inDoubt).toBe(true);
  });

  test("a row in doubt when it was read is none that a scan vouches for, though the doubt ended before its commit", async () => {
    const cluster = new ReplicationCluster(THREE);
    const { replication, store } = cluster.node(0);
    const key = cluster.key("k");
    store.autoCommit = false;
    replication.doubt.beforeOverwrite(key);
    const put = replication.replica.coordinate({ ...cluster.putRequest("k", "v"), writeQuorum: 2 });
    expect(put.status).toBe("written");
    const scan = scanLocal(replication, {
      layoutVersion: 1,
      namespace: cluster.namespace.id,
      start: new Uint8Array(0),
      end: null,
      reverse: false,
      limit: 10,
    });
    const loss = replication.doubt.rows[0]?.lossNumber ?? 0;
    const all = { answered: 2, heard: 2, trusted: 2 };
    expect(replication.doubt.heardRow(key, loss, 2, all)).toBe("trusted");
    store.commit();
    expect((await cluster.settle(scan)).rows.map((row) => row.head)).toEqual([null]);
  });

  test("doubt ends when enough other owners have been heard, and every row is back", async () => {
    const keys = Array.from({ length: 40 }, (_, i) => `k${i}`);
    const cluster = await amnesiac(keys);
    const { replication, store } = cluster.node(0);
    const worker = recoveryWorker(replication);
    await cluster.settle(worker.step());
    expect(replication.doubt.any).toBe(false);
    expect(store.rows.size).toBe(keys.length);
    expect(store.meta.get("in-doubt")).toBeUndefined();
  });

  test("rows in doubt all get their turn, though the owners of the first ones are away", async () => {
    const cluster = new ReplicationCluster(["eu", "us", "ap", "sa"], 2);
    const { replication } = cluster.node(0);
    const layout = replication.membership.layout();
    const away = cluster.node(1).id;
    const isAway = (text: string) =>
      layout?.homes("default", (cluster.key(text).hash.hi >>> 28) as never).includes(away) === true;
    const isOwn = (text: string) =>
      layout
        ?.homes("default", (cluster.key(text).hash.hi >>> 28) as never)
        .includes(replication.self) === true;
    const own = Array.from({ length: 500 }, (_, i) => `k${i}`).filter(isOwn);
    const stuck = own.filter(isAway).slice(0, 16);
    const free = own.find((text) => !isAway(text)) ?? "";
    expect(stuck).toHaveLength(16);
    for (const text of [...stuck, free]) replication.doubt.beforeOverwrite(cluster.key(text));
    cluster.drop = (_from, to) => (to === away ? "refuse" : "deliver");
    const worker = recoveryWorker(replication);
    await cluster.settle(worker.step());
    await cluster.settle(worker.step());
    expect(replication.doubt.ofRow(cluster.key(free))).toBe(false);
    expect(replication.doubt.rows).toHaveLength(16);
  });

  test("a stop does not wait until a whole peer has been scanned", async () => {
    const cluster = await amnesiac(Array.from({ length: 40 }, (_, i) => `k${i}`));
    const { replication, sent } = cluster.node(0);
    await cluster.settle(recoveryWorker(replication, () => true).step());
    expect(sent.map(({ kind }) => kind)).toEqual(["introduce", "scan"]);
    expect(replication.doubt.any).toBe(true);
  });

  test("an owner that holds rows apart is not heard, however often: what it has it will show later", async () => {
    const cluster = new ReplicationCluster(THREE, 3, { inDoubt: [0, 1] });
    await cluster.put(1, "k", "v", { consistency: { level: "all" } });
    const { replication, store } = cluster.node(0);
    const apart = cluster.node(1).store;
    const key = cluster.key("k");
    const stored = apart.read(key);
    if (stored.state !== "record") throw new Error(stored.state);
    apart.setAside(RESTORED_SHELF, key, stored.record, null, new Uint8Array(0));
    for (const { store: each } of [0, 1, 2].map((at) => cluster.node(at))) each.rows.clear();
    const worker = recoveryWorker(replication);
    for (let i = 0; i < 4; i++) await cluster.settle(worker.step());
    expect(replication.doubt.any).toBe(true);
    await cluster.node(1).replication.replica.merge(key, stored.record);
    apart.dropAside([
      { shelf: RESTORED_SHELF, key, sequence: apart.asides(key)[0]?.sequence ?? 0 },
    ]);
    for (let i = 0; i < 4; i++) await cluster.settle(worker.step());
    expect(replication.doubt.any).toBe(false);
    expect(store.rows.size).toBe(1);
  });

  // Found by the simulator (seed 10899): its peers waited for ever for an ack of the generation that they knew it by.
  test("a node whose database was set back goes above the generation that others know it by, without being asked anything", async () => {
    const cluster = new ReplicationCluster(THREE);
    const { id, replication } = cluster.node(0);
    const other = cluster.node(1).replication;
    const actor = actorIdFromBytes(new Uint8Array(16).fill(7));
    other.actors.learn(id, { actor, generation: 9 });
    const worker = recoveryWorker(replication);
    for (let i = 0; i < 2; i++) await cluster.settle(worker.step());
    expect(replication.actors.own.generation).toBeGreaterThan(9);
    expect(other.actors.generationOf(id)).toBe(replication.actors.own.generation);
  });

  test("doubt lasts while one of the two others cannot be heard", async () => {
    const cluster = await amnesiac(["k"]);
    const third = cluster.node(2).id;
    cluster.drop = (_from, to) => (to === third ? "refuse" : "deliver");
    await cluster.settle(recoveryWorker(cluster.node(0).replication).step());
    expect(cluster.node(0).replication.doubt.any).toBe(true);
  });

  test("a sole owner's doubt ends at once", async () => {
    const cluster = new ReplicationCluster(["eu"], 3, { inDoubt: [0] });
    await cluster.settle(recoveryWorker(cluster.node(0).replication).step());
    expect(cluster.node(0).replication.doubt.any).toBe(false);
  });

  test("owners that are all in doubt end it when they have heard each other, and say so once", async () => {
    const cluster = new ReplicationCluster(THREE, 3, { inDoubt: [0, 1, 2] });
    const { replication } = cluster.node(0);
    const errors: string[] = [];
    Object.assign(replication.env.logger, { error: (event: string) => errors.push(event) });
    const worker = recoveryWorker(replication);
    await cluster.settle(worker.step());
    expect(replication.doubt.any).toBe(true);
    await cluster.settle(worker.step());
    expect(replication.doubt.any).toBe(false);
    expect(errors).toEqual(["all-owners-in-doubt"]);
  });

  test("two of three that are in doubt do not wait for each other for ever", async () => {
    const cluster = new ReplicationCluster(THREE, 3, { inDoubt: [0, 1] });
    for (const key of ["a", "b"]) {
      await cluster.put(2, key, "v", { consistency: { level: "all" } });
    }
    for (const at of [0, 1]) cluster.node(at).store.rows.clear();
    const workers = [0, 1].map((at) => recoveryWorker(cluster.node(at).replication));
    for (let round = 0; round < 3; round++) {
      for (const worker of workers) await cluster.settle(worker.step());
    }
    for (const at of [0, 1]) {
      expect(cluster.node(at).replication.doubt.any).toBe(false);
      expect(cluster.node(at).store.rows.size).toBe(2);
    }
  });

  /** The simulator's seed 8 of the profile `smoke`: the only good copy was at an owner that had just started. */
  test("a row's doubt does not end by an owner that has just started and says nothing yet", async () => {
    const cluster = new ReplicationCluster(THREE);
    const { replication } = cluster.node(0);
    const owner = cluster.node(1);
    const key = cluster.key("k");
    await cluster.put(1, "k", "v", { consistency: { level: "all" } });
    for (const { replication: r } of [cluster.node(0), owner]) r.doubt.beforeOverwrite(key);
    cluster.unsure.add(owner.id);
    const worker = recoveryWorker(replication);
    await cluster.settle(worker.step());
    expect(replication.doubt.ofRow(key)).toBe(true);
    cluster.unsure.delete(owner.id);
    await cluster.settle(worker.step());
    expect(replication.doubt.ofRow(key)).toBe(false);
  });

  test("what was heard under an older layout proves nothing under a newer one", async () => {
    const cluster = await amnesiac(["k"]);
    const { replication } = cluster.node(0);
    const older = replication.membership.layout();
    if (older === undefined) throw new Error("no layout");
    const third = cluster.node(2).id;
    cluster.drop = (_from, to) => (to === third ? "refuse" : "deliver");
    replication.doubt.heard(older, cluster.node(1).id, new UnitSet());
    const newer = compileLayout({ ...older.document, version: older.version + 1 });
    // A node cannot be asked what it answers by two layouts at once: here only the judgement is.
    replication.doubt.unheard(older);
    const partition = 0 as PartitionId;
    expect(replication.doubt.of(newer, "default", partition)).toBe(true);
    expect(replication.doubt.unheard(newer)).toHaveLength(2);
  });

  // The owners heard before the row was forgotten had told of what it held then.
  test("a row that is forgotten while the whole database is in doubt is in doubt by itself as well", () => {
    const cluster = new ReplicationCluster(THREE, 3, { inDoubt: [0] });
    const { doubt } = cluster.node(0).replication;
    doubt.beforeOverwrite(cluster.key("k"));
    expect(doubt.ofRow(cluster.key("k"))).toBe(true);
  });
});
