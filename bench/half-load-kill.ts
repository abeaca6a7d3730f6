/**
 * One of three nodes is killed with -9 at half load: how many requests fail at the two others, in the first five seconds and
 * after. First the most that this client gets out of the cluster is measured, half of it gets and half puts; then the same mix
 * comes at half that rate, on time whether answers come or not (an open loop), and in the midst of it the node dies.
 *
 *     npm run bench:half-load-kill [-- --runtime node|bun] [--seconds 10] [--port 7890]
 *
 * Exit code 1 when the goals are missed: below 0.1 % in the first 5 s, none after.
 */
import { Agent, request } from "node:http";
import process from "node:process";
import { readCommandLine } from "../test/support/command-line.ts";
import { Workspace } from "./servers.ts";

const values = await readCommandLine({
  name: "npm run bench:half-load-kill --",
  description:
    "One of three nodes is killed at half load: how many requests fail at the two others",
  options: {
    runtime: { type: "choice", of: ["node", "bun"], default: "node", description: "Of the nodes" },
    seconds: {
      type: "count",
      default: 10,
      description: "Seconds after the first five after the kill",
    },
    port: { type: "count", default: 7890, description: "Of the first node; the others follow" },
  },
});
const { runtime } = values;

const KEYS = 2_000;
const CONNECTIONS = 64;
const WARM_MS = 3_000;
const MEASURE_MS = 4_000;
const BEFORE_MS = 5_000;
const FIRST_MS = 5_000;
const GOAL = 0.001;
/** Above the server's own deadline: a request that is still open then was forgotten, which is an error too. */
const TIMEOUT_MS = 7_000;
const TICK_MS = 4;

const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
const VALUE = "x".repeat(100);

interface Sent {
  /** Since the kill; negative before it. */
  readonly atMs: number;
  readonly tookMs: number;
  /** "" when it succeeded. */
  readonly error: string;
}

let count = 0;

/** A get or a put in turn, at the ports in turn. Never rejects; resolves with what went wrong, or "". */
function send(ports: readonly number[]): Promise<string> {
  const number = count++;
  const isPut = number % 2 === 0;
  const port = ports[(number >> 1) % ports.length];
  const path = `/v1/kv/default/key-${Math.floor(Math.random() * KEYS)}`;
  return new Promise((resolve) => {
    const sent = request(
      { agent, host: "127.0.0.1", port, path, method: isPut ? "PUT" : "GET", timeout: TIMEOUT_MS },
      (answer) => {
        const status = answer.statusCode ?? 0;
        answer.resume();
        answer.once("end", () => resolve(status === 200 || status === 204 ? "" : String(status)));
        answer.once("error", (error) => resolve(error.message));
      },
    );
    sent.once("timeout", () => sent.destroy(new Error("no answer in time")));
    sent.once("error", (error) => resolve(error.message));
    sent.end(isPut ? VALUE : undefined);
  });
}

/** Every key exists before gets are counted. */
async function fill(port: number): Promise<void> {
  const value = Buffer.from(VALUE).toString("base64");
  for (let at = 0; at < KEYS; at += 1_000) {
    const ops = Array.from({ length: 1_000 }, (_, i) => ({
      op: "put",
      key: `key-${at + i}`,
      value,
    }));
    const answer = await fetch(`http://127.0.0.1:${port}/v1/batch/default`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ops }),
    });
    const { results } = (await answer.json()) as { results: { status: number }[] };
    if (results.some(({ status }) => status !== 204)) throw new Error("Cannot fill the cluster");
  }
}

/** Requests a second that as many clients get as have a connection, each sending when it was answered. */
async function mostPerSecond(ports: readonly number[], forMs: number): Promise<number> {
  const endMs = performance.now() + forMs;
  let answered = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < endMs) {
      if ((await send(ports)) === "") answered++;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  return (answered * 1000) / forMs;
}

/** Sends at the rate, come what may. `onKill` is called once, when its time has come. */
async function atRate(
  ports: readonly number[],
  perSecond: number,
  forMs: number,
  onKill: () => Promise<void>,
): Promise<Sent[]> {
  const startMs = performance.now();
  const results: Promise<Sent>[] = [];
  let killMs = Number.POSITIVE_INFINITY;
  let killed: Promise<void> | null = null;
  for (;;) {
    const nowMs = performance.now() - startMs;
    if (nowMs >= BEFORE_MS && killed === null) {
      killMs = performance.now();
      killed = onKill();
    }
    if (nowMs >= forMs) break;
    for (let due = (nowMs * perSecond) / 1000; results.length < due; ) {
      const sentMs = performance.now();
      const answered = send(ports);
      results.push(
        answered.then((error) => ({
          atMs: sentMs - (Number.isFinite(killMs) ? killMs : startMs + BEFORE_MS),
          tookMs: performance.now() - sentMs,
          error,
        })),
      );
    }
    await new Promise((wake) => setTimeout(wake, TICK_MS));
  }
  await killed;
  return Promise.all(results);
}

function line(title: string, sent: readonly Sent[]): string {
  const took = sent.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  const at = (share: number): string => (took[Math.floor(took.length * share)] ?? 0).toFixed(1);
  const errors = sent.filter(({ error }) => error !== "").length;
  const rate = ((errors / Math.max(1, sent.length)) * 100).toFixed(3);
  return `${title.padEnd(22)} ${String(sent.length).padStart(7)} requests  ${String(errors).padStart(4)} errors (${rate} %)  p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  max ${at(0.9999)} ms`;
}

async function measure(workspace: Workspace): Promise<boolean> {
  const nodes = workspace.cluster(runtime, "half", values.port);
  const [first, second, dying] = nodes;
  if (first === undefined || second === undefined || dying === undefined) return false;
  try {
    await Promise.all(nodes.map((node) => node.start()));
    const all = nodes.map((node) => node.port);
    const alive = [first.port, second.port];
    await fill(first.port);
    await mostPerSecond(all, WARM_MS);
    const most = await mostPerSecond(alive, MEASURE_MS);
    const half = most / 2;
    console.log(
      `${runtime}: at most ${Math.round(most)} requests/s at two of three nodes; now ${Math.round(half)}/s`,
    );
    const forMs = BEFORE_MS + FIRST_MS + values.seconds * 1000;
    const sent = await atRate(alive, half, forMs, () => dying.kill());
    const within = (fromMs: number, toMs: number): Sent[] =>
      sent.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
    const [early, late] = [within(0, FIRST_MS), within(FIRST_MS, Number.POSITIVE_INFINITY)];
    console.log(line("before the kill", within(Number.NEGATIVE_INFINITY, 0)));
    for (let at = 0; at < FIRST_MS; at += 1_000) {
      console.log(line(`second ${at / 1_000 + 1} after it`, within(at, at + 1_000)));
    }
    console.log(line("first 5 s", early));
    console.log(line("after that", late));
    const reasons = new Set(sent.filter(({ error }) => error !== "").map(({ error }) => error));
    if (reasons.size > 0) console.log(`errors: ${[...reasons].join(", ")}`);
    const failed = (of: readonly Sent[]): number => of.filter(({ error }) => error !== "").length;
    const ok = failed(early) < early.length * GOAL && failed(late) === 0;
    console.log(
      ok
        ? "goal reached: below 0.1 % in the first 5 s, none after"
        : "GOAL MISSED: want below 0.1 % in the first 5 s, none after",
    );
    return ok;
  } finally {
    await Promise.all(nodes.map((node) => node.stop()));
    agent.destroy();
  }
}

const workspace = new Workspace();
try {
  process.exitCode = (await measure(workspace)) ? 0 : 1;
} finally {
  workspace.remove();
}
