/**
 * The figures of the README: throughput of one node and of three, each beside a bare Hono route that was measured in the
 * same run with the same client, so that the ratio means something on a noisy machine. 64 connections, 100-byte values,
 * fsync on.
 *
 *     npm run bench [-- --runtime node,bun] [--seconds 4] [--rounds 3] [--warmup 20] [--only single,cluster,million]
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { readCommandLine } from "../test/support/command-line.ts";
import type { LoadOptions, LoadResult } from "./load.ts";
import { runMillion } from "./million.ts";
import { bareServer, type Runtime, type Server, Workspace } from "./servers.ts";

const values = await readCommandLine({
  name: "npm run bench --",
  description: "Throughput of one node and of three, each beside a bare Hono route",
  options: {
    runtime: {
      type: "choices",
      of: ["node", "bun"],
      default: "node,bun",
      description: "Which are measured",
    },
    seconds: { type: "count", default: 4, description: "Length of each measurement" },
    rounds: { type: "count", default: 3, description: "Measurements of each" },
    warmup: {
      type: "count",
      default: 20,
      description: "Seconds of load before the first measurement of each kind",
    },
    only: {
      type: "choices",
      of: ["single", "cluster", "million"],
      default: "single,cluster,million",
      description: "What is measured",
    },
  },
});
const { seconds, rounds, warmup } = values;

const KEYS = 10_000;
const PORT = 7790;

/** The client is a process of its own, on Node, so that it never shares a thread with what is measured. */
export async function load(
  options: Partial<LoadOptions> & Pick<LoadOptions, "ports" | "method">,
): Promise<LoadResult> {
  const whole: LoadOptions = {
    connections: 64,
    seconds,
    warmupSeconds: Math.max(1, seconds / 3),
    path: "/v1/kv/default/key-{n}",
    keys: KEYS,
    bodyBytes: 100,
    ...options,
  };
  const client = fileURLToPath(new URL("load.ts", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [client, JSON.stringify(whole)]);
  return JSON.parse(stdout) as LoadResult;
}

/** All servers stay up, and take turns, so that a slow minute of the machine hits all of them. */
async function measure(
  title: string,
  runtime: Runtime,
  servers: readonly Server[],
  goals: { readonly GET: number; readonly PUT: number },
): Promise<void> {
  const bare = bareServer(runtime, PORT);
  await Promise.all([bare, ...servers].map((server) => server.start()));
  try {
    await fill(servers);
    for (const method of ["GET", "PUT"] as const) {
      // Compilers and caches have settled before anything counts, on both sides: three nodes on two processors still spent a
      // fifth of their time on compiling after five seconds, and a thirtieth after twenty-five.
      await loadAndWatch([bare], method, warmup);
      await loadAndWatch(servers, method, warmup);
      const ratios: number[] = [];
      const rows: string[] = [];
      const cpu: string[] = [];
      for (let round = 0; round < rounds; round++) {
        const base = await loadAndWatch([bare], method);
        const ours = await loadAndWatch(servers, method);
        ratios.push(ours.perSecond / base.perSecond);
        rows.push(`${ours.perSecond}/${base.perSecond}`);
        cpu.push(`${ours.cpuUs}/${base.cpuUs}`);
        if (ours.failures > 0) rows.push(`(${ours.failures} failures)`);
      }
      ratios.sort((a, b) => a - b);
      const median = ratios[Math.floor(ratios.length / 2)] ?? 0;
      const verdict = median >= goals[method] ? "ok" : "BELOW";
      console.log(
        `${title}  ${method}  ratio ${median.toFixed(2)} (goal ${goals[method].toFixed(2)} ${verdict})  ` +
          `requests/s ours/bare: ${rows.join("  ")}  CPU us/request: ${cpu.join("  ")}`,
      );
    }
  } finally {
    await Promise.all([bare, ...servers].map((server) => server.stop()));
  }
}

/** The load and what it cost: processor time of all servers per answered request, warm-up included in both. */
async function loadAndWatch(
  servers: readonly Server[],
  method: "GET" | "PUT",
  forSeconds: number = seconds,
): Promise<LoadResult & { readonly cpuUs: number }> {
  const spent = () => servers.reduce((sum, server) => sum + server.cpuMs(), 0);
  const before = spent();
  const ports = servers.map((server) => server.port);
  const result = await load({ ports, method, seconds: forSeconds });
  return { ...result, cpuUs: Math.round(((spent() - before) * 1000) / result.answered) };
}

/** Every key exists before gets are measured. */
async function fill(servers: readonly Server[]): Promise<void> {
  const value = Buffer.from("x".repeat(100)).toString("base64");
  for (let at = 0; at < KEYS; at += 1000) {
    const ops = Array.from({ length: 1000 }, (_, i) => ({
      op: "put",
      key: `key-${at + i}`,
      value,
    }));
    const response = await fetch(`http://127.0.0.1:${servers[0]?.port}/v1/batch/default`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ops }),
    });
    if (!response.ok) throw new Error(`batch: ${response.status} ${await response.text()}`);
    await response.arrayBuffer();
  }
}

const workspace = new Workspace();
try {
  for (const runtime of values.runtime) {
    const only = values.only;
    if (only.includes("single")) {
      await measure(
        `${runtime}  one node    `,
        runtime,
        [workspace.node(runtime, `${runtime}-one`, PORT + 1)],
        {
          GET: 0.7,
          PUT: 0.35,
        },
      );
    }
    if (only.includes("cluster")) {
      const goal = runtime === "node" ? 0.3 : 0.22;
      await measure(
        `${runtime}  three nodes `,
        runtime,
        workspace.cluster(runtime, `${runtime}-three`, PORT + 2),
        {
          GET: goal,
          PUT: goal,
        },
      );
    }
    if (only.includes("million")) await runMillion(runtime, workspace, PORT + 6, load);
  }
} finally {
  workspace.remove();
}
