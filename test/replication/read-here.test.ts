import { expect, test } from "bun:test";
import { demandOf, NEW_SESSION } from "../../src/core/session.ts";
import type { GetRequest } from "../../src/replication/requests.ts";
import { QUARANTINE_SHELF } from "../../src/storage/shelves.ts";
import { ReplicationCluster } from "../support/replication-cluster.ts";

function request(cluster: ReplicationCluster, text: string): GetRequest {
  return {
    key: cluster.key(text),
    namespace: cluster.namespace,
    consistency: { level: "quorum" },
    sloppy: true,
    conflict: "majority",
    timeoutMs: 5_000,
    session: null,
  };
}

/** As every get that has to wait goes: the same outcome, through a round. */
function slowly(get: GetRequest): GetRequest {
  const demand = demandOf(NEW_SESSION, get.key.hash);
  return { ...get, session: demand };
}

test("a get of a sole home is answered at once, as a round would answer it", async () => {
  const cluster = new ReplicationCluster(["eu"]);
  await cluster.put(0, "k", "v");
  await cluster.put(0, "gone", "");
  await cluster.put(0, "brief", "v", { expiresAtMs: cluster.clock.wallMs() + 10_000 });
  await cluster.put(0, "gone", "", { deleted: true, contentType: "", metadata: "" });
  const { coordinator } = cluster.node(0);
  const check = async (): Promise<void> => {
    for (const text of ["k", "gone", "brief", "never put"]) {
      const get = request(cluster, text);
      const outcome = coordinator.get(get);
      expect(outcome).not.toBeInstanceOf(Promise);
      expect(coordinator.get(slowly(get))).toBeInstanceOf(Promise);
      expect(await outcome).toEqual(await cluster.settle(coordinator.get(slowly(get))));
    }
  };
  await check();
  expect(coordinator.get(request(cluster, "brief"))).toMatchObject({ liveSiblings: 1 });
  await cluster.clock.run(cluster.clock.monotonicMs() + 20_000);
  await check();
  expect(coordinator.get(request(cluster, "brief"))).toMatchObject({ chosen: [] });
});

test("a get waits for the commit of what it shows, also at a sole home", async () => {
  const cluster = new ReplicationCluster(["eu"]);
  const { coordinator, store } = cluster.node(0);
  store.autoCommit = false;
  const put = coordinator.put(cluster.putRequest("k", "v"));
  const get = coordinator.get(request(cluster, "k"));
  expect(get).toBeInstanceOf(Promise);
  let answered = false;
  void Promise.resolve(get).then(() => {
    answered = true;
  });
  await cluster.clock.run(cluster.clock.monotonicMs() + 100);
  expect(answered).toBe(false);
  store.autoCommit = true;
  store.commit();
  expect(await cluster.settle(get)).toMatchObject({ status: "ok", liveSiblings: 1 });
  await cluster.settle(put);
});

test("a sole home that cannot read its row, or doubts it, does not answer at once", async () => {
  const cluster = new ReplicationCluster(["eu"]);
  await cluster.put(0, "k", "v");
  const { coordinator, store, replication } = cluster.node(0);
  store.unreadable.add(cluster.key("k").id);
  expect(await cluster.get(0, "k")).toMatchObject({ status: "quorum-not-reached" });
  store.unreadable.clear();
  replication.doubt.beforeOverwrite(cluster.key("k"));
  expect(coordinator.get(request(cluster, "k"))).toBeInstanceOf(Promise);
  const all = new ReplicationCluster(["eu"], 3, { inDoubt: [0] });
  expect(all.node(0).coordinator.get(request(all, "k"))).toBeInstanceOf(Promise);
});

test("a row in quarantine costs reads and puts of other keys no question", async () => {
  for (const regions of [["eu"], ["eu", "us", "ap"]]) {
    const cluster = new ReplicationCluster(regions);
    await cluster.put(0, "k", "v");
    let asked = 0;
    for (const { store } of cluster.nodes) {
      const record = store.rows.get(cluster.key("k").id)?.record ?? { context: [], siblings: [] };
      store.setAside(QUARANTINE_SHELF, cluster.key("q"), record, null, new Uint8Array(0));
      const asides = store.asides.bind(store);
      store.asides = (key) => {
        asked++;
        return asides(key);
      };
    }
    expect((await cluster.get(0, "k")).status).toBe("ok");
    expect((await cluster.put(0, "k", "w")).status).toBe("ok");
    expect(asked).toBe(0);
  }
});
