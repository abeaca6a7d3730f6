import { describe, expect, test } from "bun:test";
import type { MessageHandler } from "../../src/cluster/peer-channel.ts";
import { recoveryWorker } from "../../src/replication/recovery.ts";
import { type FakeNode, ReplicationCluster } from "../support/replication-cluster.ts";

const FIVE = ["r1", "r2", "r3", "r4", "r5"];

/** Holds the node's writes back until `open`: what comes before the hold has happened, what comes after it has not. */
function gate(node: FakeNode, hold: "request" | "answer"): { open: () => void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  const write = node.handlers.write as MessageHandler;
  Object.assign(node.handlers, {
    write: async (...args: Parameters<MessageHandler>) => {
      if (hold === "request") await opened;
      const answer = await write(...args);
      if (hold === "answer") await opened;
      return answer;
    },
  });
  return { open };
}

describe("a database that is gone", () => {
  // Five copies, W = 3. A has acknowledged, loses its disk and hears B, C and D, who have not got the write: its doubt has
  // ended. Were its ack counted with B's later one and the coordinator's, a strict read of A, C and D would miss the write.
  test("is not counted to W by an ack of before, when a co-owner that has heard of its loss acknowledges", async () => {
    const cluster = new ReplicationCluster(FIVE, 5, { inDoubt: [0] });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const acknowledged = gate(a, "answer");
    const underWay = gate(b, "request");
    const away = [cluster.node(2).id, cluster.node(3).id];
    cluster.drop = (_from, to, kind) =>
      kind === "write" && away.includes(to) ? "silence" : "deliver";
    const put = cluster
      .node(4)
      .coordinator.put(cluster.putRequest("k", "v", { timeoutMs: 2_000, sloppy: false }));
    await cluster.clock.runUntil(() => a.store.rows.size === 1, 1_000, "the write at A");

    a.store.rows.clear();
    await cluster.settle(recoveryWorker(a.replication).step());
    expect(a.replication.doubt.any).toBe(false);
    expect(a.store.rows.size).toBe(0);

    acknowledged.open();
    underWay.open();
    const outcome = await cluster.settle(put);
    expect(outcome).toMatchObject({ status: "quorum-not-reached", indeterminate: true });
    expect(outcome.status === "quorum-not-reached" && outcome.acks.primary).toBe(2);
    expect(cluster.node(4).replication.counters.actorsSuperseded).toBe(1);
  });

  test("is known to a co-owner durably before it tells what it holds", async () => {
    const cluster = new ReplicationCluster(["eu", "us", "ap"], 3, { inDoubt: [0] });
    const [a, b] = [cluster.node(0), cluster.node(1)];
    const before = b.replication.actors.generationOf(a.id);
    await cluster.settle(recoveryWorker(a.replication).step());
    const { generation } = a.replication.actors.own;
    expect(generation).toBeGreaterThan(before);
    expect(b.replication.actors.generationOf(a.id)).toBe(generation);
    expect(b.store.meta.get(`actor-of/${a.id}`)).toBeDefined();
    expect(a.sent.map(({ kind }) => kind)).toEqual(["introduce", "scan", "introduce", "scan"]);
  });

  test("takes its knowledge of others' databases from whoever it asks", async () => {
    const cluster = new ReplicationCluster(["eu", "us", "ap"], 3, { inDoubt: [0] });
    const third = cluster.node(2).replication.actors;
    third.raise();
    cluster.node(1).replication.actors.learn(cluster.node(2).id, third.own);
    cluster.drop = (_from, to) => (to === cluster.node(2).id ? "refuse" : "deliver");
    const a = cluster.node(0);
    await cluster.settle(recoveryWorker(a.replication).step());
    expect(a.replication.actors.generationOf(cluster.node(2).id)).toBe(third.own.generation);
  });

  test("a row that was lost makes what was acknowledged before worth nothing, too", async () => {
    const cluster = new ReplicationCluster(["eu", "us", "ap"]);
    await cluster.put(1, "k", "v", { consistency: { level: "all" } });
    const a = cluster.node(0);
    const before = a.replication.actors.own.generation;
    a.store.unreadable.add(cluster.key("k").id);
    await cluster.get(0, "k");
    await cluster.settle(recoveryWorker(a.replication).step());
    expect(a.replication.doubt.anyRow).toBe(false);
    expect(a.replication.actors.own.generation).toBe(before + 1);
    expect(cluster.node(2).replication.actors.generationOf(a.id)).toBe(before + 1);
    expect(a.replication.counters.rowsRecovered).toBe(1);
  });
});
