import { describe, expect, test } from "bun:test";
import { decodeScanAnswer } from "../../src/replication/data-messages.ts";
import type { ListOutcome, ListRequest } from "../../src/replication/requests.ts";
import { scanLocal } from "../../src/replication/scan-local.ts";
import { dotOf, siblingOf } from "../support/arbitraries.ts";
import { done, HintCluster } from "../support/hint-cluster.ts";
import { type FakeNode, ReplicationCluster } from "../support/replication-cluster.ts";

async function list(cluster: ReplicationCluster, at: number, options: Partial<ListRequest> = {}) {
  const outcome: ListOutcome = await cluster.settle(
    cluster.node(at).coordinator.list({
      namespace: cluster.namespace,
      start: new Uint8Array(0),
      end: null,
      reverse: false,
      limit: 1000,
      conflict: "majority",
      timeoutMs: 5_000,
      session: null,
      ...options,
    }),
  );
  return outcome;
}

async function listAll(cluster: ReplicationCluster, limit: number, reverse = false) {
  const names: string[] = [];
  let bound: Uint8Array | null = null;
  for (;;) {
    const page = await list(cluster, 0, {
      limit,
      reverse,
      ...boundOf(bound, reverse),
    });
    if (page.status !== "ok") throw new Error(JSON.stringify(page));
    names.push(...page.keys.map((key) => key.name));
    if (page.complete) return names;
    bound = page.lastKey;
  }
}

function boundOf(last: Uint8Array | null, reverse: boolean): Partial<ListRequest> {
  if (last === null) return {};
  return reverse ? { end: last } : { start: after(last) };
}

function after(key: Uint8Array): Uint8Array {
  return new Uint8Array([...key, 0]);
}

const SIX = ["eu", "us", "ap", "eu", "us", "ap"];

describe("list", () => {
  test("an answer that has more rows after none is no answer: the list would end there and look complete", () => {
    expect(() => decodeScanAnswer([true, false, [], false], 10)).toThrow(
      "Cannot read peer message",
    );
    expect(decodeScanAnswer([false, false, [], false], 10).rows).toEqual([]);
  });

  test("pages of every size give all keys once, in byte order, both ways", async () => {
    const cluster = new ReplicationCluster(SIX);
    // U+FF5E sorts before U+1F600 in UTF-8 and after it in UTF-16.
    const names = [
      "a",
      "a/b",
      "b",
      "\u{1F600}",
      "\uFF5E",
      "z",
      ...Array.from({ length: 40 }, (_, i) => `n${i}`),
    ];
    for (const name of names) await cluster.put(0, name, "v");
    const bytes = (text: string) => Buffer.from(text, "utf8");
    const want = [...names].sort((a, b) => Buffer.compare(bytes(a), bytes(b)));
    for (const limit of [1, 7, 46, 1000]) expect(await listAll(cluster, limit)).toEqual(want);
    expect(await listAll(cluster, 5, true)).toEqual([...want].reverse());
  });

  test("a key that one owner missed is listed, a deleted one is not", async () => {
    const cluster = new ReplicationCluster(["eu", "us", "ap"]);
    cluster.drop = (_from, to) => (to === cluster.node(0).id ? "refuse" : "deliver");
    await cluster.put(1, "missed", "v");
    cluster.drop = () => "deliver";
    await cluster.put(1, "kept", "v");
    await cluster.put(1, "gone", "v");
    cluster.drop = (_from, to) => (to === cluster.node(0).id ? "refuse" : "deliver");
    await cluster.put(1, "gone", "", { deleted: true, contentType: "" });
    cluster.drop = () => "deliver";
    expect(await listAll(cluster, 10)).toEqual(["kept", "missed"]);
  });

  test("too few owners of a unit is an error, never a short page", async () => {
    const cluster = new ReplicationCluster(SIX);
    await cluster.put(0, "k", "v");
    const dead = new Set([
      cluster.node(1).id,
      cluster.node(2).id,
      cluster.node(4).id,
      cluster.node(5).id,
    ]);
    cluster.drop = (_from, to) => (dead.has(to) ? "refuse" : "deliver");
    expect((await list(cluster, 0)).status).toBe("quorum-not-reached");
  });

  test("an answer that grows too large ends early, and the list goes on from there", async () => {
    const cluster = new ReplicationCluster(["eu"]);
    // Heads of some 100 kB, with the most siblings and metadata: 300 of them are two answers' worth.
    const metadata = `"${"m".repeat(1_000)}"`;
    const siblings = Array.from({ length: 100 }, (_, i) =>
      siblingOf(dotOf(1, 0, i + 1), { metadata }),
    );
    const record = { context: [dotOf(1, 0, 100)], siblings };
    for (let i = 0; i < 300; i++) {
      const key = cluster.key(`k${i}`);
      cluster.node(0).store.rows.set(key.id, { key, record, minted: null, sequence: 0 });
    }
    const scan = scanLocal(cluster.node(0).replication, {
      layoutVersion: 1,
      namespace: 1,
      start: new Uint8Array(0),
      end: null,
      reverse: false,
      limit: 1000,
    });
    const answer = await cluster.settle(scan);
    expect(answer.more).toBe(true);
    expect(answer.rows.length).toBeLessThan(300);
    expect(new Set(await listAll(cluster, 1000)).size).toBe(300);
  });

  test("one region down: the rest covers every unit", async () => {
    const cluster = new ReplicationCluster(SIX);
    for (let i = 0; i < 30; i++) await cluster.put(0, `k${i}`, "v");
    const dead = new Set([cluster.node(1).id, cluster.node(4).id]);
    cluster.drop = (_from, to) => (dead.has(to) ? "refuse" : "deliver");
    expect(await listAll(cluster, 1000)).toHaveLength(30);
  });

  test("a row that cannot be trusted gets a quorum read of its own", async () => {
    const cluster = new ReplicationCluster(["eu", "us", "ap"]);
    for (const name of ["a", "b", "c"])
      await cluster.put(0, name, "v", { consistency: { level: "all" } });
    cluster.node(0).store.unreadable.add(cluster.key("b").id);
    expect(await listAll(cluster, 1000)).toEqual(["a", "b", "c"]);
  });

  test("a stand-in's older hint does not speak for the owners: what a majority acknowledged is never left out", async () => {
    const cluster = new HintCluster();
    const { homes } = cluster.places("k");
    const [a, b, c] = homes as [FakeNode, FakeNode, FakeNode];
    cluster.leave(b);
    done(await cluster.putAt(a, "k", "", { deleted: true, contentType: "" }));
    await cluster.clock.run(cluster.clock.monotonicMs() + 100);
    // Of the next one the stand-in hears nothing.
    cluster.also = (_from, _to, kind) => (kind === "hint" ? "refuse" : "deliver");
    done(await cluster.putAt(a, "k", "v"));
    cluster.also = () => "deliver";
    a.store.unreadable.add(cluster.key("k").id);
    cluster.comeBack(b);
    cluster.leave(c);
    const page = await list(cluster, cluster.nodes.indexOf(b));
    expect(page.status).toBe("quorum-not-reached");
    cluster.comeBack(c);
    const whole = await list(cluster, cluster.nodes.indexOf(b));
    expect(whole.status === "ok" && whole.keys.map(({ name }) => name)).toEqual(["k"]);
  });

  // Found by the simulator (seed 58): the list was answered 500.
  test("what a full disk rolled back while a list waited for it is not listed", async () => {
    const cluster = new ReplicationCluster(["eu"], 1);
    await cluster.put(0, "a", "1");
    const { store, coordinator } = cluster.node(0);
    store.autoCommit = false;
    void coordinator.put(cluster.putRequest("b", "2"));
    const listed = list(cluster, 0);
    cluster.clock.after(5, () => store.rollback());
    const page = await listed;
    expect(page.status === "ok" && page.keys.map((key) => key.name)).toEqual(["a"]);
  });
});
