/**
 * What a put and a get cost without sockets: whole nodes in one process, with SQLite in the temporary directory, whose peer
 * calls are function calls. Node only. For profiles (`--cpu-prof`) and for comparing two commits.
 *
 *     node bench/in-process.ts [--nodes 1|3] [--ops 40000]
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadBetterSqlite } from "../runtimes/shared/sqlite-better.ts";
import { createSystemEnv } from "../runtimes/shared/system-env.ts";
import { createSystemFiles } from "../runtimes/shared/system-files.ts";
import type { PeerHandler, Transport } from "../src/env/transport.ts";
import { createNode, type GyreNode, openData } from "../src/node.ts";

const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "3" },
    ops: { type: "string", default: "40000" },
  },
});
const NODES = Number(values.nodes);
const OPS = Number(values.ops);
const KEYS = 10_000;
const WORKERS = 64;
const CLIENT_URL = "http://127.0.0.1:1";
const BODY = "x".repeat(100);

const driver = await loadBetterSqlite();
const files = createSystemFiles(driver);
const directory = mkdtempSync(join(tmpdir(), "gyre-in-process-"));
const peers = new Map<string, PeerHandler>();

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

const transport: Transport = {
  call: async ({ url, path, auth, body }) => {
    await turn();
    const answer = await peers.get(url)?.({ path, auth, body });
    await turn();
    if (answer === undefined) throw new Error(`no peer at ${url}`);
    return answer;
  },
};

function ignore(): void {
  // Figures are all that is wanted here.
}

async function makeNode(number: number): Promise<GyreNode> {
  const env = await createSystemEnv({
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: console.error,
  });
  const path = join(directory, String(number));
  const data = openData({ path, files, driver, durability: "power", ...env });
  const peerUrl = `http://127.0.0.1:${number + 2}`;
  const node = createNode({
    runtime: driver.name,
    env: { ...env, transport },
    data,
    config: {
      region: ["eu", "us", "ap"][number % 3] ?? "eu",
      zone: "z1",
      weight: 1,
      role: "storage",
      url: CLIENT_URL,
      peerUrl,
      join: number === 0 ? [] : ["http://127.0.0.1:2"],
      bootstrapExpect: NODES,
      partitions: 1024,
      copies: 3,
      secrets: [new Uint8Array(32).fill(5)],
      cacheBytes: 64 << 20,
      durability: "power",
      corsOrigins: [],
      requestTimeoutMs: 5_000,
      gossipIntervalMs: 500,
    },
  });
  peers.set(peerUrl, node.peer);
  node.start();
  return node;
}

async function isReady(node: GyreNode): Promise<boolean> {
  return (await node.fetch(new Request(`${CLIENT_URL}/readyz`))).status === 200;
}

async function run(nodes: readonly GyreNode[], method: "GET" | "PUT"): Promise<void> {
  let left = OPS;
  const startedMs = performance.now();
  const before = process.cpuUsage();
  const worker = async (node: GyreNode): Promise<void> => {
    while (left-- > 0) {
      const url = `${CLIENT_URL}/v1/kv/default/key-${Math.floor(Math.random() * KEYS)}`;
      const put = { method, body: BODY, headers: { "content-length": String(BODY.length) } };
      const response = await node.fetch(new Request(url, method === "PUT" ? put : { method }));
      if (![200, 204, 404].includes(response.status)) throw new Error(await response.text());
      await turn();
    }
  };
  await Promise.all(
    Array.from({ length: WORKERS }, (_, i) => worker(nodes[i % NODES] as GyreNode)),
  );
  const { user, system } = process.cpuUsage(before);
  const wallUs = ((performance.now() - startedMs) * 1000) / OPS;
  console.log(
    `${NODES} node(s)  ${method}  ${wallUs.toFixed(1)} us wall, ${((user + system) / OPS).toFixed(1)} us CPU each`,
  );
}

const nodes: GyreNode[] = [];
for (let i = 0; i < NODES; i++) nodes.push(await makeNode(i));
while (!(await Promise.all(nodes.map(isReady))).every(Boolean)) await turn();
for (const method of ["PUT", "PUT", "PUT", "GET", "GET"] as const) await run(nodes, method);
await Promise.all(nodes.map((node) => node.stop()));
rmSync(directory, { recursive: true, force: true });
process.exit(0);
