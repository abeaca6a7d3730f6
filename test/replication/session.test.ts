import { describe, expect, test } from "bun:test";
import { utf8Decode } from "../../src/core/bytes.ts";
import {
  afterRead,
  afterWrite,
  demandOf,
  NEW_SESSION,
  type Session,
} from "../../src/core/session.ts";
import type { GetOutcome, PutOutcome, PutRequest } from "../../src/replication/requests.ts";
import { routeOf } from "../../src/replication/route.ts";
import { type Drop, ReplicationCluster } from "../support/replication-cluster.ts";

const THREE = ["eu", "us", "ap"];
const ONE = { consistency: { level: "one" } } as const;

/** A client that keeps its session from call to call, as the token does. */
class Client {
  session: Session = NEW_SESSION;
  readonly #cluster: ReplicationCluster;

  constructor(cluster: ReplicationCluster) {
    this.#cluster = cluster;
  }

  async put(at: number, key: string, value: string, options: Partial<PutRequest> = ONE) {
    const { hash } = this.#cluster.key(key);
    const outcome: PutOutcome = await this.#cluster.put(at, key, value, {
      session: demandOf(this.session, hash),
      ...options,
    });
    if (outcome.status === "ok") {
      const { deleted = false } = options;
      const context = outcome.context?.entries ?? null;
      const written = { ...outcome, deleted, expiresAtMs: 0, context };
      this.session = afterWrite(this.session, hash, written, this.#cluster.clock.wallMs());
    }
    return outcome;
  }

  async get(at: number, key: string, options = {}): Promise<string> {
    const { hash } = this.#cluster.key(key);
    const found: GetOutcome = await this.#cluster.get(at, key, {
      ...ONE,
      session: demandOf(this.session, hash),
      ...options,
    });
    if (found.status !== "ok") return found.status;
    this.session = afterRead(this.session, hash, found.record, this.#cluster.clock.wallMs());
    return found.chosen.map((sibling) => utf8Decode(sibling.value ?? new Uint8Array(0))).join();
  }
}

/** Nothing passes between the nodes of the two sides. */
function cut(cluster: ReplicationCluster, ...side: readonly number[]): Drop {
  const ids = new Set(side.map((at) => cluster.node(at).id));
  return (from, to) => (ids.has(from) === ids.has(to) ? "deliver" : "refuse");
}

/** Writes reach nobody but their coordinator, and no repair arrives. */
const noWrites: Drop = (_from, _to, kind) =>
  kind === "write" || kind === "hint" ? "refuse" : "deliver";

describe("a session's read with consistency=one", () => {
  test("at a replica that missed its write asks the others and shows the write", async () => {
    const cluster = new ReplicationCluster(THREE);
    cluster.drop = noWrites;
    const client = new Client(cluster);
    await client.put(0, "k", "mine");
    expect(await client.get(1, "k")).toBe("mine");
    expect(cluster.node(1).replication.counters.sessionReads).toBe(2);
    expect(cluster.node(1).replication.counters.sessionsNotReached).toBe(0);
  });

  test("is 503 when nobody in reach has the write, never the older value", async () => {
    const cluster = new ReplicationCluster(THREE);
    await cluster.put(0, "k", "old", { consistency: { count: 3 } });
    const client = new Client(cluster);
    cluster.drop = cut(cluster, 0);
    await client.put(0, "k", "mine");
    expect(await client.get(1, "k")).toBe("session-not-reached");
    expect(cluster.node(1).replication.counters.sessionsNotReached).toBe(1);
    expect(await new Client(cluster).get(1, "k")).toBe("old");
    cluster.drop = () => "deliver";
    expect(await client.get(1, "k")).toBe("mine");
  });

  test("waits for a home that keeps silent no longer than its time, and then is 503", async () => {
    const cluster = new ReplicationCluster(THREE);
    const client = new Client(cluster);
    cluster.drop = noWrites;
    await client.put(0, "k", "mine");
    const first = cluster.node(0).id;
    cluster.drop = (_from, to) => (to === first ? "silence" : "deliver");
    const beforeMs = cluster.clock.monotonicMs();
    expect(await client.get(1, "k")).toBe("session-not-reached");
    expect(cluster.clock.monotonicMs() - beforeMs).toBeLessThanOrEqual(5_100);
  });

  test("never goes back behind an earlier one, whichever replica it meets", async () => {
    const cluster = new ReplicationCluster(THREE);
    await cluster.put(0, "k", "1", { consistency: { count: 3 } });
    cluster.drop = noWrites;
    await cluster.put(0, "k", "2", ONE);
    const client = new Client(cluster);
    expect(await client.get(1, "k")).toBe("1");
    expect(await client.get(0, "k")).toBe("2");
    expect(await client.get(1, "k")).toBe("2");
    expect(await new Client(cluster).get(2, "k")).toBe("1");
  });

  test("never shows again what the session has deleted, nor anything under a key it saw deleted", async () => {
    const cluster = new ReplicationCluster(THREE);
    await cluster.put(0, "k", "old", { consistency: { count: 3 } });
    cluster.drop = noWrites;
    const [deleter, reader] = [new Client(cluster), new Client(cluster)];
    await deleter.put(0, "k", "", { ...ONE, deleted: true, contentType: "" });
    expect(await reader.get(0, "k")).toBe("");
    for (const client of [deleter, reader]) expect(await client.get(2, "k")).toBe("");
    cluster.drop = cut(cluster, 0, 2);
    for (const client of [deleter, reader]) {
      expect(await client.get(1, "k")).toBe("session-not-reached");
    }
  });

  test("counts what a replica in doubt shows: its rows are seen, though it cannot vote", async () => {
    const cluster = new ReplicationCluster(THREE, 3, { inDoubt: [0] });
    cluster.drop = noWrites;
    const client = new Client(cluster);
    await client.put(0, "k", "mine");
    expect(await client.get(1, "k")).toBe("mine");
  });
});

describe("before a session's read is answered", () => {
  test("the replicas that answered hold what it shows", async () => {
    const cluster = new ReplicationCluster(THREE);
    cluster.drop = noWrites;
    await cluster.put(0, "k", "new", ONE);
    cluster.drop = () => "deliver";
    const client = new Client(cluster);
    expect(await client.get(0, "k", { consistency: { count: 2 } })).toBe("new");
    const held = cluster.nodes.filter((node) => node.store.rows.size > 0);
    expect(held).toHaveLength(2);
    // So the one that had it alone may leave, and the session's next quorum still finds it.
    cluster.drop = cut(cluster, 0);
    expect(await client.get(2, "k", { consistency: { count: 2 } })).toBe("new");
  });

  test("a replica that is slow to take the repair is waited for with patience only", async () => {
    const cluster = new ReplicationCluster(THREE);
    cluster.drop = noWrites;
    await cluster.put(0, "k", "new", ONE);
    cluster.drop = (_from, _to, kind) => (kind === "write" ? "silence" : "deliver");
    const beforeMs = cluster.clock.monotonicMs();
    const client = new Client(cluster);
    expect(await client.get(0, "k", { consistency: { count: 2 } })).toBe("new");
    const waitedMs = cluster.clock.monotonicMs() - beforeMs;
    expect(waitedMs).toBeGreaterThanOrEqual(150);
    expect(waitedMs).toBeLessThan(400);
  });

  test("a full disk of its own coordinator holds it up no longer, and is no news", async () => {
    const cluster = new ReplicationCluster(THREE);
    cluster.drop = noWrites;
    await cluster.put(0, "k", "new", ONE);
    const { store, replication, coordinator } = cluster.node(1);
    const warnings: string[] = [];
    Object.assign(replication.env.logger, { warn: (event: string) => warnings.push(event) });
    store.autoCommit = false;
    const key = cluster.key("k");
    const session = demandOf(afterRead(NEW_SESSION, key.hash, null, 0), key.hash);
    const got = coordinator.get({ ...cluster.putRequest("k", ""), session });
    await cluster.clock.runUntil(
      () => store.rows.size > 0,
      1_000,
      "the repair to reach its own store",
    );
    store.rollback();
    expect(await cluster.settle(got)).toMatchObject({ status: "ok", liveSiblings: 1 });
    await cluster.settle(coordinator.idle());
    expect(warnings).toEqual([]);
  });

  test("nothing is waited for without a session", async () => {
    const cluster = new ReplicationCluster(THREE);
    cluster.drop = noWrites;
    await cluster.put(0, "k", "new", ONE);
    cluster.drop = (_from, _to, kind) => (kind === "write" ? "silence" : "deliver");
    const beforeMs = cluster.clock.monotonicMs();
    await cluster.get(0, "k", { consistency: { count: 2 } });
    expect(cluster.clock.monotonicMs() - beforeMs).toBeLessThan(50);
  });
});

describe("a session's write", () => {
  test("is newer than all the session has seen, though its coordinator's clock and record are behind", async () => {
    const cluster = new ReplicationCluster(THREE);
    cluster.drop = noWrites;
    const client = new Client(cluster);
    const ahead = (cluster.clock.wallMs() + 50_000) * 1000;
    const context = { entries: [], newestStamp: ahead };
    await client.put(0, "k", "first", { ...ONE, context });
    const second = await client.put(1, "other", "second");
    if (second.status !== "ok") throw new Error(second.status);
    expect(second.stamp).toBeGreaterThan(ahead);
  });

  test("takes the session's stamp along when it is forwarded", async () => {
    const cluster = new ReplicationCluster([...THREE, "eu", "us", "ap"]);
    cluster.drop = noWrites;
    const keys = Array.from({ length: 50 }, (_, i) => `k${i}`);
    const client = new Client(cluster);
    const ahead = (cluster.clock.wallMs() + 50_000) * 1000;
    // Neither the node that is asked nor the one it forwards to has met the stamp.
    const first = keys.find((key) => isHome(cluster, 0, key)) ?? "";
    const second = keys.find((key) => !isHome(cluster, 0, key) && !isHome(cluster, 5, key)) ?? "";
    await client.put(0, first, "first", { ...ONE, context: { entries: [], newestStamp: ahead } });
    const done = await client.put(5, second, "second");
    if (done.status !== "ok") throw new Error(done.status);
    expect(done.stamp).toBeGreaterThan(ahead);
    expect(cluster.node(5).sent.filter(({ kind }) => kind === "forward")).toHaveLength(1);
  });

  test("with a condition is judged by what the session has seen, also where it is forwarded to", async () => {
    for (const nodes of [THREE, [...THREE, "eu", "us", "ap"]]) {
      const cluster = new ReplicationCluster(nodes);
      const homes = cluster.nodes.map((_, at) => (isHome(cluster, at, "k") ? at : -1));
      const [first = 0, second = 0, third = 0] = homes.filter((at) => at >= 0);
      const away = homes.findIndex((home, at) => home === -1 || at === second);
      const client = new Client(cluster);
      cluster.drop = noWrites;
      await client.put(first, "k", "mine");
      cluster.drop = cut(cluster, first);
      const condition = { ifNoneMatch: { any: true } } as const;
      expect(await client.put(away, "k", "twice", condition)).toMatchObject({
        status: "session-not-reached",
      });
      for (const at of [second, third]) expect(cluster.node(at).store.rows.size).toBe(0);
      // Without its session it sees nothing there, and writes.
      expect((await cluster.put(away, "k", "twice", condition)).status).toBe("ok");
    }
  });
});

describe("a session's list", () => {
  async function names(cluster: ReplicationCluster, at: number, session: Session | null) {
    const outcome = await cluster.settle(
      cluster.node(at).coordinator.list({
        namespace: cluster.namespace,
        start: new Uint8Array(0),
        end: null,
        reverse: false,
        limit: 10,
        conflict: "majority",
        timeoutMs: 5_000,
        session,
      }),
    );
    return outcome.status === "ok" ? outcome.keys.map((key) => key.name) : outcome.status;
  }

  test("lacks what the session has deleted, though a majority still lists it; or it is 503", async () => {
    const cluster = new ReplicationCluster(THREE);
    for (const key of ["a", "b"]) await cluster.put(0, key, key, { consistency: { count: 3 } });
    cluster.drop = (_from, to, kind) =>
      kind === "write" || (kind === "scan" && to === cluster.node(0).id) ? "refuse" : "deliver";
    const client = new Client(cluster);
    await client.put(0, "a", "", { ...ONE, deleted: true, contentType: "" });
    expect(await names(cluster, 1, null)).toEqual(["a", "b"]);
    const healing = cluster.drop;
    cluster.drop = cut(cluster, 0);
    expect(await names(cluster, 1, client.session)).toBe("session-not-reached");
    cluster.drop = healing;
    expect(await names(cluster, 1, client.session)).toEqual(["b"]);
  });
});

function isHome(cluster: ReplicationCluster, at: number, key: string): boolean {
  const { id, replication } = cluster.node(at);
  const layout = replication.membership.layout();
  const route = layout === undefined ? undefined : routeOf(layout, cluster.key(key));
  return route?.homes.includes(id) ?? false;
}
