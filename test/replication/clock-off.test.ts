import { describe, expect, test } from "bun:test";
import { ReplicationCluster } from "../support/replication-cluster.ts";

const THREE = ["eu", "us", "ap"];

/** The node whose clock is wrong is 0, a home of every key. */
function clockOff(): ReplicationCluster {
  const cluster = new ReplicationCluster(THREE);
  cluster.clocksOff.add(cluster.node(0).id);
  return cluster;
}

describe("a home whose clock is wrong", () => {
  test("lets another home coordinate", async () => {
    const cluster = clockOff();
    const put = await cluster.put(0, "k", "v");
    expect(put).toMatchObject({ status: "ok" });
    if (put.status !== "ok") return;
    expect(put.dot.actor).not.toBe(cluster.node(0).store.actorId);
    expect(cluster.node(0).sent.map(({ kind }) => kind)).toEqual(["forward"]);
  });

  test("coordinates when no other home can be reached", async () => {
    const cluster = clockOff();
    cluster.drop = (_from, _to, kind) => (kind === "forward" ? "refuse" : "deliver");
    const put = await cluster.put(0, "k", "v");
    expect(put).toMatchObject({ status: "ok" });
    if (put.status === "ok") expect(put.dot.actor).toBe(cluster.node(0).store.actorId);
  });

  test("does not coordinate a put again of which it cannot know whether it was taken", async () => {
    const cluster = clockOff();
    cluster.drop = (_from, _to, kind) => (kind === "forward" ? "lose-answer" : "deliver");
    const put = await cluster.put(0, "k", "v", { timeoutMs: 500 });
    expect(put).toMatchObject({ status: "quorum-not-reached", indeterminate: true });
    const dots = cluster.node(1).store.rows.get(cluster.key("k").id)?.record.siblings.length;
    expect(dots).toBe(1);
  });

  test("takes what another one hands it: both may be wrong, and somebody must", async () => {
    const cluster = clockOff();
    cluster.clocksOff.add(cluster.node(1).id);
    cluster.down.add(cluster.node(2).id);
    const third = cluster.node(2).id;
    cluster.drop = (_from, to) => (to === third ? "refuse" : "deliver");
    expect(await cluster.put(1, "k", "v")).toMatchObject({ status: "ok" });
  });
});
