/**
 * Real input, real faults: every stanza of `apt-cache dumpavail` goes into a six-node, three-region cluster while two
 * nodes are killed with -9 and started again, one after the other. Then every acknowledged key is read from every region
 * and compared byte by byte, and all keys are listed in order.
 *
 *     npm run e2e:packages [-- --runtime bun] [--file stanzas.txt]
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCommandLine } from "../support/command-line.ts";
import { DevCluster, type DevNode, isAlive, RUNTIMES } from "./dev-cluster.ts";

const WRITERS = 64;
const READERS = 64;
/** A writer that gets no acknowledgement tries another node, for at most this many rounds with a pause between. */
const ROUNDS_MAX = 40;
const PAUSE_MS = 250;

interface Stanza {
  readonly name: string;
  readonly text: Buffer;
}

const options = await readCommandLine({
  name: "npm run e2e:packages --",
  description:
    "Every stanza of apt-cache into six nodes in three regions, of which two are killed meanwhile",
  options: {
    runtime: { type: "choice", of: RUNTIMES, default: "node", description: "Of the nodes" },
    file: { type: "text", hint: "FILE", description: "Stanzas instead of `apt-cache dumpavail`" },
    port: { type: "count", default: 7301, description: "Of the first node; the others follow" },
  },
});

function readStanzas(): Stanza[] {
  const all =
    options.file === undefined
      ? execFileSync("apt-cache", ["dumpavail"], { maxBuffer: 1 << 30 })
      : readFileSync(options.file);
  const byName = new Map<string, Stanza>();
  for (const text of all.toString("utf8").split("\n\n")) {
    const name = /^Package: (.+)$/m.exec(text)?.[1];
    if (name !== undefined) byName.set(name, { name, text: Buffer.from(text, "utf8") });
  }
  return [...byName.values()];
}

const counts = { acknowledged: 0, retries: 0, indeterminate: 0, refused: 0 };

/** One put, until it is acknowledged: by this node or, when it does not answer, by the next. */
async function putOne(nodes: readonly DevNode[], stanza: Stanza, at: number): Promise<void> {
  const path = `/v1/kv/default/${encodeURIComponent(stanza.name)}?consistency=quorum`;
  for (let round = 0; round < ROUNDS_MAX; round++) {
    for (let hop = 0; hop < nodes.length; hop++) {
      const node = nodes[(at + hop) % nodes.length] as DevNode;
      try {
        const response = await fetch(node.url + path, {
          method: "PUT",
          body: new Uint8Array(stanza.text),
        });
        await response.arrayBuffer();
        if (response.status === 204) {
          counts.acknowledged++;
          return;
        }
        if (response.status !== 503) throw new Error(`PUT ${stanza.name}: ${response.status}`);
        counts.indeterminate++;
      } catch (error) {
        if (error instanceof Error && error.message.startsWith("PUT ")) throw error;
        counts.refused++;
      }
      counts.retries++;
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  throw new Error(`PUT ${stanza.name}: not acknowledged in ${ROUNDS_MAX} rounds`);
}

async function parallel<T>(
  items: readonly T[],
  workers: number,
  act: (item: T, index: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) await act(items[i] as T, i);
  };
  await Promise.all(Array.from({ length: workers }, worker));
}

/** Kills and restarts at given shares of the import; the second kill comes only after the first node is back. */
async function nemesis(cluster: DevCluster, total: number): Promise<void> {
  const reached = async (share: number): Promise<void> => {
    while (counts.acknowledged < total * share) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  };
  for (const [number, killAt, restartAt] of [
    [2, 0.5, 0.6],
    [6, 0.75, 0.85],
  ] as const) {
    await reached(killAt);
    const { region } = cluster.node(number);
    cluster.kill(number);
    console.log(`  ${counts.acknowledged} acknowledged: kill -9 of node ${number} (${region})`);
    await reached(restartAt);
    await cluster.restart(number);
    console.log(`  ${counts.acknowledged} acknowledged: node ${number} is back`);
  }
}

async function readAll(node: DevNode, stanzas: readonly Stanza[]): Promise<number> {
  let wrong = 0;
  await parallel(stanzas, READERS, async (stanza) => {
    const response = await fetch(`${node.url}/v1/kv/default/${encodeURIComponent(stanza.name)}`);
    const body = Buffer.from(await response.arrayBuffer());
    if (response.status !== 200 || !body.equals(stanza.text)) {
      wrong++;
      if (wrong <= 5) console.log(`  LOST at ${node.region}: ${stanza.name} (${response.status})`);
    }
  });
  return wrong;
}

async function listAll(node: DevNode): Promise<string[]> {
  const names: string[] = [];
  let cursor = "";
  for (;;) {
    const response = await fetch(`${node.url}/v1/keys/default?limit=1000${cursor}`);
    if (response.status !== 200)
      throw new Error(`list: ${response.status} ${await response.text()}`);
    const page = (await response.json()) as {
      keys: { name: string }[];
      complete: boolean;
      cursor?: string;
    };
    names.push(...page.keys.map((key) => key.name));
    if (page.complete) return names;
    cursor = `&cursor=${encodeURIComponent(page.cursor ?? "")}`;
  }
}

function seconds(sinceMs: number): number {
  return (performance.now() - sinceMs) / 1000;
}

async function main(): Promise<number> {
  const stanzas = readStanzas();
  const bytes = stanzas.reduce((sum, stanza) => sum + stanza.text.length, 0);
  console.log(`${stanzas.length} stanzas, ${(bytes / 1e6).toFixed(1)} MB, ${options.runtime}`);
  const data = mkdtempSync(join(tmpdir(), "gyre-packages-"));
  const { runtime } = options;
  const cluster = new DevCluster({ runtime, data, port: options.port, nodes: 6 });
  try {
    await cluster.start();
    const startedMs = performance.now();
    const faults = nemesis(cluster, stanzas.length);
    await parallel(stanzas, WRITERS, (stanza, i) => putOne(cluster.nodes, stanza, i));
    const importS = seconds(startedMs);
    await faults;
    console.log(
      `imported ${counts.acknowledged} in ${importS.toFixed(1)} s (${Math.round(counts.acknowledged / importS)}/s), ` +
        `${counts.retries} retries: ${counts.refused} refused connections, ${counts.indeterminate} answers of 503`,
    );
    let lost = 0;
    const regions = new Map(cluster.nodes.map((node) => [node.region, node]));
    for (const node of regions.values()) {
      const sinceMs = performance.now();
      const wrong = await readAll(node, stanzas);
      lost += wrong;
      const rate = Math.round(stanzas.length / seconds(sinceMs));
      console.log(`read ${stanzas.length} from ${node.region} (${rate}/s): ${wrong} lost`);
    }
    const sinceMs = performance.now();
    const listed = await listAll(cluster.node(1));
    const want = stanzas
      .map((stanza) => stanza.name)
      .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const inOrder = listed.length === want.length && listed.every((name, i) => name === want[i]);
    console.log(
      `listed ${listed.length} keys in ${seconds(sinceMs).toFixed(1)} s, ${inOrder ? "all, in order" : "WRONG"}`,
    );
    const pids = cluster.nodes.map((node) => node.pid);
    await cluster.stop();
    const left = pids.filter(isAlive);
    console.log(`stopped: ${left.length} processes left`);
    console.log(`${lost} lost`);
    return lost === 0 && inOrder && left.length === 0 ? 0 : 1;
  } finally {
    await cluster.stop();
    rmSync(data, { recursive: true, force: true });
  }
}

process.exitCode = await main();
