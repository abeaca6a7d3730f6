/** The processes of `gyre dev`: started, watched until they answer, stopped together. */
import { sleep } from "../env/worker.ts";
import { type DevNode, type DevPlan, serveFlags } from "./dev-plan.ts";
import { CliError } from "./errors.ts";
import type { ChildNode, Platform } from "./platform.ts";

const POLL_INTERVAL_MS = 100;
const POLL_TIMEOUT_MS = 2_000;
/** Six nodes share the machine while they start; slow machines get the time they need. */
const START_TIMEOUT_MS = 120_000;
/** Longer than a node's own limit, so that it can still say what it waited for. */
const STOP_TIMEOUT_MS = 20_000;
const LOG_TAIL_LINES = 8;

export interface DevProcess {
  readonly node: DevNode;
  readonly child: ChildNode;
  /** Set when the process has ended. */
  ended: { readonly code: number | null; readonly signal: string | null } | null;
}

/** @throws CliError when a port of these nodes is taken. */
export async function checkPorts(platform: Platform, nodes: readonly DevNode[]): Promise<void> {
  for (const node of nodes) {
    for (const [port, use] of [
      [node.port, "clients"],
      [node.peerPort, "peers"],
    ] as const) {
      if (await platform.isPortFree("127.0.0.1", port)) continue;
      throw new CliError(
        `Port ${port} (${use} of node ${node.number}) is in use; stop what uses it (an earlier gyre dev?) or choose ` +
          "other ports with --port",
      );
    }
  }
}

export async function startProcess(
  platform: Platform,
  plan: DevPlan,
  node: DevNode,
): Promise<DevProcess> {
  await platform.files.makeDirectory(node.directory);
  const firstStart = !plan.settings.created;
  const child = await platform.spawnGyre({
    runtime: plan.settings.runtime,
    args: ["serve", ...serveFlags(plan, node, firstStart)],
    logPath: node.logPath,
  });
  const started: DevProcess = { node, child, ended: null };
  void child.exited.then((end) => {
    started.ended = end;
  });
  return started;
}

/**
 * Resolves when the node takes requests: it is a member of a formed cluster.
 * @throws CliError when the process ends before, or is not ready in time; the message shows the end of its log.
 */
export async function untilReady(
  platform: Platform,
  started: DevProcess,
  aborted: () => boolean,
): Promise<void> {
  await poll(platform, started, aborted, async () => {
    const answer = await ask(platform, `${started.node.url}/readyz`);
    return answer?.ok === true;
  });
}

/** Resolves when the node sees as many members up as the plan has nodes. @throws CliError as untilReady */
export async function untilSeesAll(
  platform: Platform,
  started: DevProcess,
  expected: number,
  aborted: () => boolean,
): Promise<void> {
  await poll(platform, started, aborted, async () => {
    const cluster = await ask(platform, `${started.node.url}/v1/cluster`);
    if (cluster === undefined || !cluster.ok) return false;
    const { nodes } = (await cluster.json()) as {
      readonly nodes: readonly { readonly state: string }[];
    };
    return nodes.filter((node) => node.state === "up").length >= expected;
  });
}

async function poll(
  platform: Platform,
  started: DevProcess,
  aborted: () => boolean,
  isDone: () => Promise<boolean>,
): Promise<void> {
  const deadlineMs = platform.clock.monotonicMs() + START_TIMEOUT_MS;
  while (!aborted()) {
    if (started.ended !== null) {
      throw new CliError(
        `node ${started.node.number} ${describeEnd(started)}${await logTail(platform, started.node)}`,
      );
    }
    if (await isDone()) return;
    if (platform.clock.monotonicMs() > deadlineMs) {
      throw new CliError(
        `node ${started.node.number} is not ready after ${START_TIMEOUT_MS / 1000} s${await logTail(platform, started.node)}`,
      );
    }
    await sleep(platform.clock, POLL_INTERVAL_MS);
  }
}

/** Undefined when nobody answers. */
async function ask(platform: Platform, url: string): Promise<Response | undefined> {
  try {
    return await platform.fetch(url, { signal: AbortSignal.timeout(POLL_TIMEOUT_MS) });
  } catch {
    return undefined;
  }
}

export function describeEnd(started: DevProcess): string {
  if (started.ended === null) return "is running";
  const { code, signal } = started.ended;
  return signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
}

async function logTail(platform: Platform, node: DevNode): Promise<string> {
  const text = (await platform.files.readText(node.logPath)) ?? "";
  const lines = text.trimEnd().split("\n").slice(-LOG_TAIL_LINES);
  return `; its log, ${node.logPath}, ends with:\n${lines.map((line) => `  ${line}`).join("\n")}`;
}

/** Asks all to stop, then makes those stop that hang. Returns the numbers of nodes that had to be killed. */
export async function stopAll(
  platform: Platform,
  processes: readonly DevProcess[],
): Promise<number[]> {
  const running = processes.filter((started) => started.ended === null);
  for (const started of running) started.child.signal("SIGTERM");
  const late = sleep(platform.clock, STOP_TIMEOUT_MS).then(() => "late" as const);
  await Promise.race([late, Promise.all(running.map((started) => started.child.exited))]);
  const hanging = running.filter((started) => started.ended === null);
  for (const started of hanging) started.child.signal("SIGKILL");
  await Promise.all(hanging.map((started) => started.child.exited));
  return hanging.map((started) => started.node.number);
}
