/** Three processes hold three copies: no stand-ins, so that whatever a node has missed comes back by anti-entropy alone. */
import { loadBetterSqlite } from "../runtimes/shared/sqlite-better.ts";
import { LOCAL_BYTES } from "../src/storage/row-bytes.ts";
import { type Server, Workspace } from "./servers.ts";

const PORT = 7640;
const BATCH = 500;
const BATCHES_AT_ONCE = 4;
/** Keys that all three have before one goes away. */
const SHARED_KEYS = 20_000;
const GOAL_S = 30;
const POLL_MS = 250;

export async function runMissed(missed: number): Promise<void> {
  const workspace = new Workspace();
  const servers = workspace.cluster("node", "missed", PORT);
  const [first, , last] = servers as [Server, Server, Server];
  try {
    await Promise.all(servers.map((server) => server.start()));
    await fill(first, "shared", SHARED_KEYS);
    await last.kill();
    await fill(first, "missed", missed);
    const startedMs = performance.now();
    const othersCpuMs = cpuMs(servers.slice(0, 2));
    const readyMs = await last.start();
    const backAtMs = Date.now();
    await untilEqual(last, SHARED_KEYS + missed, backAtMs);
    const tookS = (performance.now() - startedMs) / 1000;
    const cpuS = (cpuMs(servers) - othersCpuMs) / 1000;
    console.log(`one of three was killed, missed ${missed} writes and came back`);
    console.log(
      `  ready after ${(readyMs / 1000).toFixed(1)} s, nothing differs any more after ${tookS.toFixed(1)} s (goal ${GOAL_S})`,
    );
    console.log(`  processor time of all three in that time: ${cpuS.toFixed(1)} s`);
    for (const [i, server] of servers.entries())
      console.log(`  node ${i + 1}: ${await figures(server)}`);
    await Promise.all(servers.map((server) => server.stop()));
    const rows = await Promise.all(
      ["eu", "us", "ap"].map((region) => rowsOf(`${workspace.path}/missed-${region}/gyre.db`)),
    );
    const [one, ...others] = rows;
    const equal = others.every((other) => other === one);
    console.log(`  the rows in the three databases are ${equal ? "byte-equal" : "NOT EQUAL"}`);
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
    workspace.remove();
  }
}

async function figures(server: Server): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${server.port}/metrics`);
  const metrics = await response.text();
  const names = ["rounds", "rounds_failed", "rows_sent", "rows_received", "sent_bytes"];
  return names
    .map((name) => `${name} ${new RegExp(`anti_entropy_${name}_total (\\d+)`).exec(metrics)?.[1]}`)
    .join(", ");
}

function cpuMs(servers: readonly Server[]): number {
  return servers.reduce((sum, server) => sum + server.cpuMs(), 0);
}

interface View {
  readonly self: string;
  readonly nodes: readonly { readonly id: string; readonly keys: number }[];
  readonly antiEntropy: {
    readonly trees: string;
    readonly peers: readonly { readonly completedAtMs: number; readonly rows: number }[];
  };
}

/** The node has all keys, and its last rounds with both others, begun since, found nothing to do. */
async function untilEqual(server: Server, keys: number, sinceMs: number): Promise<void> {
  for (;;) {
    const view = (await getJson(server, "/v1/cluster")) as View;
    const own = view.nodes.find((node) => node.id === view.self);
    const { peers } = view.antiEntropy;
    const isQuiet = peers.filter((peer) => peer.rows === 0 && peer.completedAtMs > sinceMs).length;
    if (own?.keys === keys && isQuiet === 2) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

async function getJson(server: Server, path: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${server.port}${path}`);
  return response.json();
}

async function fill(server: Server, prefix: string, keys: number): Promise<void> {
  const value = Buffer.from("x".repeat(100)).toString("base64");
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next; at < keys; at = next) {
      next += BATCH;
      const count = Math.min(BATCH, keys - at);
      const ops = Array.from({ length: count }, (_, i) => ({
        op: "put",
        key: `${prefix}-${at + i}`,
        value,
      }));
      const response = await fetch(`http://127.0.0.1:${server.port}/v1/batch/default`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ ops }),
      });
      if (!response.ok) throw new Error(`batch: ${response.status} ${await response.text()}`);
      const { results } = (await response.json()) as { results: readonly { status: number }[] };
      const failed = results.filter((result) => result.status >= 300);
      if (failed.length > 0) throw new Error(`batch: ${failed.length} failed`);
    }
  };
  await Promise.all(Array.from({ length: BATCHES_AT_ONCE }, worker));
}

/** A hash over all that replicas must have alike: namespace, key, head without its local part, body. */
async function rowsOf(path: string): Promise<string> {
  const driver = await loadBetterSqlite();
  const database = driver.open(path);
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  const rows = database
    .prepare("SELECT namespace, hex(key) AS key, head, body FROM record ORDER BY namespace, key")
    .all();
  for (const row of rows) {
    hash.update(`${String(row["namespace"])} ${String(row["key"])} `);
    hash.update((row["head"] as Uint8Array).subarray(LOCAL_BYTES));
    hash.update(row["body"] as Uint8Array);
  }
  database.close();
  return `${rows.length} ${hash.digest("hex")}`;
}
