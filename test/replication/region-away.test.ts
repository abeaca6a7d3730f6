/** A region that hangs or is gone, as test/e2e/region-down.test.ts met it with real processes. */
import { describe, expect, test } from "bun:test";
import { ReplicationCluster } from "../support/replication-cluster.ts";

const TWO_EACH = ["eu", "us", "ap", "eu", "us", "ap"];
const THREE = ["eu", "us", "ap"];
const ALL = { consistency: { level: "all" } } as const;

function homesOf(cluster: ReplicationCluster, text: string): readonly string[] {
  const layout = cluster.node(0).replication.membership.layout();
  return layout?.homes("default", (cluster.key(text).hash.hi >>> 28) as never) ?? [];
}

describe("a node that is no home", () => {
  test("hands a put to the home in its own region, however fast another one answers", async () => {
    const cluster = new ReplicationCluster(TWO_EACH);
    const outsider = cluster.node(5);
    // The fake's round-trip times grow with the node's number: the homes in eu and us are nearer by time.
    let text = "k0";
    for (let i = 0; homesOf(cluster, text).includes(outsider.id); i++) text = `k${i}`;
    expect((await cluster.put(5, text, "v")).status).toBe("ok");
    const forwards = outsider.sent.filter(({ kind }) => kind === "forward");
    expect(forwards.map(({ to }) => to)).toEqual([cluster.node(2).id]);
  });
});

describe("all with one home away", () => {
  test("counts the home that is about to answer, when another is known to be down", async () => {
    const cluster = new ReplicationCluster(THREE);
    const dead = cluster.node(2).id;
    cluster.down.add(dead);
    cluster.drop = (_from, to) => (to === dead ? "silence" : "deliver");
    const put = await cluster.put(0, "k", "v", ALL);
    expect(put).toMatchObject({
      status: "quorum-not-reached",
      indeterminate: true,
      acks: { primary: 2, fallback: 0, of: 3 },
    });
  });

  test("counts the home that is about to answer, when another refuses the connection first", async () => {
    const cluster = new ReplicationCluster(THREE);
    const dead = cluster.node(1).id;
    cluster.drop = (_from, to) => (to === dead ? "refuse" : "deliver");
    const acks = { primary: 2, fallback: 0, of: 3 };
    expect(await cluster.put(0, "k", "v", ALL)).toMatchObject({
      status: "quorum-not-reached",
      acks,
    });
    expect(await cluster.get(0, "k", ALL)).toMatchObject({ status: "quorum-not-reached", acks });
  });

  test("waits for a home that hangs no longer than patience, once the outcome is certain", async () => {
    const cluster = new ReplicationCluster(THREE);
    const [, refusing, hanging] = cluster.nodes.map((node) => node.id);
    cluster.drop = (_from, to) => {
      if (to === refusing) return "refuse";
      return to === hanging ? "silence" : "deliver";
    };
    const acks = { primary: 1, fallback: 0, of: 3 };
    for (const ask of [() => cluster.put(0, "k", "v", ALL), () => cluster.get(0, "k", ALL)]) {
      const beforeMs = cluster.clock.monotonicMs();
      expect(await ask()).toMatchObject({ status: "quorum-not-reached", acks });
      expect(cluster.clock.monotonicMs() - beforeMs).toBeLessThan(500);
    }
  });
});

describe("a list", () => {
  test("asks other owners when a region hangs that nobody knows to be down", async () => {
    const cluster = new ReplicationCluster(TWO_EACH);
    const names = Array.from({ length: 30 }, (_, index) => `k${String(index).padStart(2, "0")}`);
    for (const name of names) await cluster.put(0, name, "v", ALL);
    const hanging = [cluster.node(1).id, cluster.node(4).id];
    cluster.drop = (_from, to) => (hanging.includes(to) ? "silence" : "deliver");
    const beforeMs = cluster.clock.monotonicMs();
    const outcome = await cluster.settle(
      cluster.node(0).coordinator.list({
        namespace: cluster.namespace,
        start: new Uint8Array(0),
        end: null,
        reverse: false,
        limit: 100,
        conflict: "majority",
        timeoutMs: 5_000,
        session: null,
      }),
    );
    if (outcome.status !== "ok") throw new Error(JSON.stringify(outcome));
    expect(outcome.keys.map((key) => key.name)).toEqual(names);
    expect(cluster.clock.monotonicMs() - beforeMs).toBeLessThan(1_000);
  });
});
