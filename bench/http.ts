/**
 * What http itself costs: a get of a 100-byte value and a put through createApp over a service that answers from memory,
 * each beside a Hono route that does nothing, on the runtime's own listener. `node bench/http.ts [seconds]`, or bun.
 *
 * The load comes from a process of its own with 64 connections; bare and full runs take turns, and the best of each
 * counts. CPU time per request of the server alone is what to compare on a machine that does other things too.
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { Hono } from "hono";
import * as bunListeners from "../runtimes/shared/listen-bun.ts";
import * as nodeListeners from "../runtimes/shared/listen-node.ts";
import { systemClock } from "../runtimes/shared/system-clock.ts";
import { VALUE_BYTES_MAX } from "../src/core/limits.ts";
import type { GetOutcome, PutOutcome } from "../src/replication/requests.ts";
import { dotOf, siblingOf } from "../test/support/arbitraries.ts";
import { createHttpWorld } from "../test/support/http-world.ts";

const CONNECTIONS = 64;
const ROUNDS = 3;
const seconds = Number(process.argv[2] ?? 3);
const { listenClient } = "Bun" in globalThis ? bunListeners : nodeListeners;

const value = new Uint8Array(100).fill(120);
const dot = dotOf(1, 0, 1);
const record = { context: [dot], siblings: [siblingOf(dot, { value, valueBytes: value.length })] };
const acks = { primary: 1, fallback: 0, of: 1 };
const found: GetOutcome = {
  status: "ok",
  record,
  chosen: record.siblings,
  liveSiblings: 1,
  deletedSiblings: 0,
  acks,
};

const world = await createHttpWorld();
Object.assign(world.env.clock, systemClock);
world.service.get = () => Promise.resolve(found);
world.service.put = (): Promise<PutOutcome> =>
  Promise.resolve({
    status: "ok",
    dot,
    stamp: 1_700_000_000_000_001,
    context: { entries: record.context, newestStamp: 1_700_000_000_000_001 },
    liveSiblings: 1,
    acks,
    etag: '"0123456789abcdef0123456789abcdef"',
  });

const bare = new Hono();
bare.get("/v1/kv/:ns/:key", (c) => c.body(value));
bare.put("/v1/kv/:ns/:key", async (c) => {
  await c.req.arrayBuffer();
  return c.body(null, 204);
});

type Fetch = Parameters<typeof listenClient>[0]["fetch"];

async function listening(fetch: Fetch) {
  return await listenClient({ host: "127.0.0.1", port: 0, bodyBytesMax: VALUE_BYTES_MAX, fetch });
}

/** CPU time of this process, the server, per request in microseconds, and requests per second. */
interface Figures {
  readonly cpuUs: number;
  readonly perSecond: number;
}

async function load(url: string, method: "GET" | "PUT"): Promise<Figures> {
  const options = ["-c", String(CONNECTIONS), "-d", String(seconds), "-j", "-m", method];
  if (method === "PUT") options.push("-b", "x".repeat(value.length));
  const target = `${url}/v1/kv/default/k`;
  const before = process.cpuUsage();
  const child = spawn("node", ["node_modules/.bin/autocannon", ...options, target]);
  let text = "";
  child.stdout.on("data", (chunk: Uint8Array) => {
    text += String(chunk);
  });
  await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const { user, system } = process.cpuUsage(before);
  const report = JSON.parse(text) as {
    requests: { average: number; total: number };
    non2xx: number;
  };
  if (report.non2xx > 0) throw new Error(`${report.non2xx} answers were not 2xx`);
  return { cpuUs: (user + system) / report.requests.total, perSecond: report.requests.average };
}

function better(a: Figures, b: Figures): Figures {
  return { cpuUs: Math.min(a.cpuUs, b.cpuUs), perSecond: Math.max(a.perSecond, b.perSecond) };
}

function shown(figures: Figures): string {
  return `${Math.round(figures.perSecond)}/s ${figures.cpuUs.toFixed(1)} us`;
}

const WORST: Figures = { cpuUs: Number.POSITIVE_INFINITY, perSecond: 0 };
const bareListener = await listening(async (request) => bare.fetch(request));
const fullListener = await listening((request, info) => world.app.fetch(request, info));
for (const method of ["GET", "PUT"] as const) {
  let bareBest = WORST;
  let fullBest = WORST;
  for (let round = 0; round < ROUNDS; round++) {
    bareBest = better(bareBest, await load(bareListener.url, method));
    fullBest = better(fullBest, await load(fullListener.url, method));
  }
  const throughput = (fullBest.perSecond / bareBest.perSecond).toFixed(2);
  const cpu = (bareBest.cpuUs / fullBest.cpuUs).toFixed(2);
  console.log(
    `${method} bare ${shown(bareBest)}, http ${shown(fullBest)}: ratio ${throughput} by throughput, ${cpu} by CPU`,
  );
}
await bareListener.close(0);
await fullListener.close(0);
