/** What must outlive the processes: settings, values, deletions and expiries; and a database that did not. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DevCluster, type DevNode, freeDevPort, isAlive } from "./dev-cluster.ts";
import {
  type Answer,
  ask,
  type ClusterView,
  jsonOf,
  listAll,
  parallel,
  until,
} from "./requests.ts";
import { E2E_RUNTIME } from "./serve-cluster.ts";

setDefaultTimeout(240_000);

const NODES = 3;
const CLIENTS = 16;
const KEYS = Array.from({ length: 200 }, (_, index) => `key-${String(index).padStart(3, "0")}`);
const SETTINGS = {
  policy: { n: 2 },
  conflict: "siblings",
  consistency: "all",
  defaultTtlSeconds: 86_400,
  valueBytesMax: 100,
  maxAgeSeconds: 60,
  strict: true,
};

const data = mkdtempSync(join(tmpdir(), "gyre-restart-"));
let cluster: DevCluster;

beforeAll(async () => {
  const port = await freeDevPort(NODES);
  cluster = new DevCluster({ runtime: E2E_RUNTIME, data, port, nodes: NODES });
  await cluster.start();
});
afterAll(async () => {
  await cluster.stop();
  rmSync(data, { recursive: true, force: true });
});

function address(node: DevNode, key: string, query = "", namespace = "default"): string {
  return `${node.url}/v1/kv/${namespace}/${key}${query === "" ? "" : `?${query}`}`;
}

function put(node: DevNode, key: string, body: string, query = "", ns = "default") {
  return ask(address(node, key, query, ns), { method: "PUT", body });
}

async function settingsAt(node: DevNode): Promise<unknown> {
  return jsonOf(await ask(`${node.url}/v1/namespaces/orders`));
}

async function settingsAreEverywhere(): Promise<void> {
  for (const node of cluster.nodes) {
    await until(`the settings of orders at node ${node.number}`, async () => {
      const { placement, ...settings } = (await settingsAt(node)) as Record<string, unknown>;
      const { policy, ...wanted } = SETTINGS;
      const isThere = Object.entries(wanted).every(([name, value]) => settings[name] === value);
      return isThere && JSON.stringify(placement) === JSON.stringify(policy) ? true : undefined;
    });
    // Not only shown but obeyed.
    const tooLarge = await put(node, "large", "x".repeat(101), "", "orders");
    expect([node.number, tooLarge.status]).toEqual([node.number, 413]);
    const fits = await put(node, `fits-${node.number}`, "x".repeat(100), "", "orders");
    expect([node.number, fits.status]).toEqual([node.number, 204]);
    const got = await ask(address(node, `fits-${node.number}`, "", "orders"));
    expect(got.headers.get("gyre-expires")).not.toBeNull();
    expect(got.headers.get("cache-control")).toBe("max-age=60");
    expect(got.headers.get("gyre-acks")).toBe("primary=2 fallback=0 of=2");
  }
}

async function dataIsEverywhere(): Promise<void> {
  for (const node of cluster.nodes) {
    const wrong: string[] = [];
    await parallel(KEYS, CLIENTS, async (key) => {
      const got = await ask(address(node, key));
      if (got.body.toString() !== `value of ${key}`) wrong.push(`${key}: ${got.status}`);
    });
    expect([node.number, wrong]).toEqual([node.number, []]);
    expect((await ask(address(node, "deleted"))).status).toBe(404);
    expect((await ask(address(node, "deleted", "consistency=all"))).status).toBe(404);
    expect((await ask(address(node, "short-lived"))).status).toBe(404);
    expect((await ask(address(node, "long-lived"))).status).toBe(200);
    const names = await listAll(node.url, "default");
    expect(names).toEqual([...KEYS, "long-lived"]);
  }
}

async function untilAllUp(): Promise<void> {
  for (const node of cluster.nodes) {
    await until(`node ${node.number} to see all up`, async () => {
      const answer = await ask(`${node.url}/v1/cluster`).catch(() => undefined);
      if (answer === undefined) return undefined;
      const { nodes } = jsonOf<ClusterView>(answer);
      return nodes.filter((member) => member.state === "up").length === NODES ? true : undefined;
    });
  }
}

describe("a cluster of three regions", () => {
  test("spreads a namespace and its settings from one node to all, and obeys them there", async () => {
    const created = await ask(`${cluster.node(2).url}/v1/namespaces/orders`, {
      method: "PUT",
      body: JSON.stringify(SETTINGS),
    });
    expect(created.status).toBe(201);
    await settingsAreEverywhere();
  });

  test("forgets a value when its time is over, at every node", async () => {
    expect((await put(cluster.node(1), "long-lived", "x", "ttl=86400")).status).toBe(204);
    expect((await put(cluster.node(1), "short-lived", "x", "ttl=0.5")).status).toBe(204);
    for (const node of cluster.nodes) {
      await until(`the value to expire at node ${node.number}`, async () =>
        (await ask(address(node, "short-lived"))).status === 404 ? true : undefined,
      );
    }
  });

  test("shows what was put, and not what was deleted", async () => {
    await parallel(KEYS, CLIENTS, async (key, index) => {
      const node = cluster.node(1 + (index % NODES));
      expect((await put(node, key, `value of ${key}`, "consistency=all")).status).toBe(204);
    });
    expect((await put(cluster.node(1), "deleted", "x", "consistency=all")).status).toBe(204);
    const gone = await ask(address(cluster.node(3), "deleted"), { method: "DELETE" });
    expect(gone.status).toBe(204);
    await dataIsEverywhere();
  });

  test("stops at SIGINT with exit code 0 and leaves no process and no lock", async () => {
    const pids = cluster.nodes.map((node) => node.pid);
    expect(await cluster.stop()).toEqual([0]);
    expect(pids.filter(isAlive)).toEqual([]);
    const locks = cluster.nodes.filter((node) => existsSync(join(data, `${node.number}`, "lock")));
    expect(locks).toEqual([]);
  });

  test("has its namespaces, settings and data when all of it is started again", async () => {
    await cluster.start();
    await settingsAreEverywhere();
    await dataIsEverywhere();
  });

  test("has them when all nodes were killed with -9 at once and started again", async () => {
    for (const node of cluster.nodes) cluster.kill(node.number);
    await cluster.stop();
    expect(cluster.nodes.map((node) => node.pid).filter(isAlive)).toEqual([]);
    await cluster.start();
    await settingsAreEverywhere();
    await dataIsEverywhere();
  });
});

/** What a read may answer about an acknowledged key: its value, or that it cannot tell. Never that it is absent. */
function isHonest(answer: Answer, key: string): boolean {
  return answer.status === 503 || answer.body.toString() === `value of ${key}`;
}

async function actorsOf(node: DevNode, key: string): Promise<Set<string>> {
  const explained = jsonOf<{ owners: { siblings: { dot: string }[] | null }[] }>(
    await ask(`${node.url}/v1/cluster/explain/default/${key}`),
  );
  const dots = explained.owners.flatMap((owner) => owner.siblings ?? []);
  return new Set(dots.map((sibling) => sibling.dot.split(":")[0] ?? ""));
}

describe("a node whose database was deleted while it was stopped", () => {
  const LOST = 3;
  let logged = "";

  function logSince(): string {
    return readFileSync(join(data, String(LOST), "log"), "utf8").slice(logged.length);
  }

  test("never says that an acknowledged key is absent, while it knows nothing and while it recovers", async () => {
    const lost = cluster.node(LOST);
    await put(lost, "mark", "before", "consistency=all");
    const [actorBefore] = await actorsOf(lost, "mark");
    cluster.kill(LOST);
    await until("the process to end", () => (isAlive(lost.pid) ? undefined : true));
    for (const file of ["gyre.db", "gyre.db-wal", "gyre.db-shm"]) {
      rmSync(join(data, String(LOST), file), { force: true });
    }
    logged = readFileSync(join(data, String(LOST), "log"), "utf8");
    const dishonest: string[] = [];
    let answered = 0;
    let restarted = false;
    const restart = cluster.restart(LOST).then(() => {
      restarted = true;
    });
    // Readers go on from before the node listens until it has heard all others out.
    await parallel(KEYS.slice(0, CLIENTS), CLIENTS, async (_, client) => {
      for (let step = client; !(restarted && logSince().includes("doubt-ended")); step += 7) {
        const key = KEYS[step % KEYS.length] ?? "";
        for (const query of ["consistency=quorum", "consistency=one", "r=1&conflict=siblings"]) {
          const answer = await ask(address(lost, key, query)).catch(() => undefined);
          if (answer === undefined) continue;
          answered++;
          if (!isHonest(answer, key)) dishonest.push(`${key} ${query}: ${answer.status}`);
        }
        await new Promise((wake) => setTimeout(wake, 1));
      }
    });
    await restart;
    expect(dishonest).toEqual([]);
    expect(answered).toBeGreaterThan(0);
    await put(lost, "mark", "after", "consistency=all");
    const [actorAfter] = await actorsOf(lost, "mark");
    expect([typeof actorAfter, actorAfter === actorBefore]).toEqual(["string", false]);
  });

  test("says in its log that the database was gone, whom it has heard, and that doubt has ended", () => {
    const log = logSince();
    expect(log).toContain('"event":"doubt-heard"');
    expect(log).toContain('"event":"doubt-ended"');
    const loud = log.split("\n").filter((line) => /"level":"(?:error|warn)"/.test(line));
    expect(loud.join("\n")).toContain("gyre.db");
  });

  test("has all its rows again, those of deletions among them", async () => {
    const lost = cluster.node(LOST);
    await untilAllUp();
    const missing: string[] = [];
    await parallel([...KEYS, "deleted", "long-lived"], CLIENTS, async (key) => {
      const { owners } = jsonOf<{ owners: { region: string; siblings: unknown[] | null }[] }>(
        await ask(`${lost.url}/v1/cluster/explain/default/${key}`),
      );
      const own = owners.find((owner) => owner.region === lost.region);
      if (own?.siblings?.length !== 1) missing.push(`${key}: ${JSON.stringify(own)}`);
    });
    expect(missing).toEqual([]);
    expect((await ask(address(lost, "mark"))).body.toString()).toBe("after");
    expect((await ask(address(lost, "mark"), { method: "DELETE" })).status).toBe(204);
    await settingsAreEverywhere();
    await dataIsEverywhere();
  });
});
