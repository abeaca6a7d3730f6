import { describe, expect, test } from "bun:test";
import { done, HintCluster } from "../support/hint-cluster.ts";
import { type FakeNode, ReplicationCluster } from "../support/replication-cluster.ts";

describe("explain", () => {
  test("shows what each owner holds, who cannot be asked and who would stand in", async () => {
    const cluster = new ReplicationCluster(["eu", "us", "ap", "eu"]);
    const silent = cluster.node(2).id;
    await cluster.put(0, "k", "v", { consistency: { level: "all" } });
    cluster.drop = (_from, to) => (to === silent ? "refuse" : "deliver");
    cluster.node(1).store.unreadable.add(cluster.key("k").id);
    const explained = await cluster.settle(
      cluster.node(3).coordinator.explain(cluster.key("k"), cluster.namespace, 1_000),
    );
    const layout = cluster.node(0).replication.membership.layout();
    const homes = layout?.homes("default", explained.partition as never) ?? [];
    expect(explained.owners.map((owner) => owner.id)).toEqual([...homes]);
    expect(explained.fallbacks).toHaveLength(1);
    for (const owner of explained.owners) {
      if (owner.id === silent) expect(owner.error).toMatch(/^unreachable: /);
      else if (owner.id === cluster.node(1).id) expect(owner.error).toMatch(/^unknown: /);
      else {
        expect(owner.siblings).toMatchObject([{ bytes: 1, deleted: false }]);
        expect(owner.context).toBe(owner.siblings?.[0]?.dot);
      }
    }
  });
});

describe("explain of a key with hints", () => {
  test("shows who keeps a write for whom, asked of whoever may", async () => {
    const world = new HintCluster();
    const { homes, others } = world.places("k");
    const [a, b, c] = homes as [FakeNode, FakeNode, FakeNode];
    const [f, g, h] = others as [FakeNode, FakeNode, FakeNode];
    world.leave(b, c);
    done(await world.putAt(a, "k", "v", { consistency: { count: 3 } }));
    for (const at of [a, f, h]) {
      const explained = await world.settle(
        at.coordinator.explain(world.key("k"), world.namespace, 1_000),
      );
      expect(explained.fallbacks).toEqual(others.map(({ id }) => id));
      const pairs = explained.hints.map((hint) => `${hint.at} for ${hint.for}`);
      expect(pairs.sort()).toEqual([`${f.id} for ${b.id}`, `${g.id} for ${c.id}`].sort());
    }
  });
});

describe("local-quorum", () => {
  test("asks the majority of the coordinator's region, or of the nearest that has owners", async () => {
    const cluster = new ReplicationCluster(["eu", "us", "ap"]);
    await cluster.put(0, "k", "v", { consistency: { level: "all" } });
    const others = new Set([cluster.node(1).id, cluster.node(2).id]);
    cluster.drop = (_from, to) => (others.has(to) ? "refuse" : "deliver");
    const local = { consistency: { level: "local-quorum" } } as const;
    expect(await cluster.get(0, "k", local)).toMatchObject({ status: "ok", acks: { primary: 1 } });
    // Round trips rise with the node's number in this fake: us is nearer than ap.
    const outside = new ReplicationCluster(["ap", "us", "eu"], 2);
    let text = "k0";
    const owned = (key: string) =>
      outside
        .node(2)
        .replication.membership.layout()
        ?.homes("default", (outside.key(key).hash.hi >>> 28) as never)
        .includes(outside.node(2).id);
    for (let i = 0; owned(text) !== false; i++) text = `k${i}`;
    await outside.put(2, text, "v", { consistency: { level: "all" } });
    const far = outside.node(1).id;
    outside.drop = (_from, to) => (to === far ? "refuse" : "deliver");
    expect(await outside.get(2, text, local)).toMatchObject({ status: "ok", acks: { primary: 1 } });
  });
});
