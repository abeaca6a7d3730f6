/**
 * The three-region deployment of compose.yaml without containers: one process per service, with the same options.
 *
 *   node deploy/regions.ts [--data DIR] [--shift PORTS] [--program FILE]
 *
 * Prints a line per node when it is ready, then `cluster ready`; SIGINT or SIGTERM stops all. `--program` is a single
 * executable to run in place of this checkout.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type PlannedNode, planRegions } from "./regions/plan.ts";

const READY_TIMEOUT_MS = 60_000;
const POLL_MS = 100;
const HERE = import.meta.dirname;

const { values } = parseArgs({
  options: {
    data: { type: "string", default: "data/regions" },
    shift: { type: "string", default: "0" },
    program: { type: "string" },
  },
});

await main(resolve(values.data), Number(values.shift));

async function main(directory: string, portShift: number): Promise<void> {
  const nodes = planRegions({
    compose: readFileSync(join(HERE, "compose.yaml"), "utf8"),
    directory,
    secretFile: makeSecret(directory),
    portShift,
    variables: process.env,
  });
  const children = nodes.map(start);
  let stopping = false;
  const stop = (): void => {
    stopping = true;
    for (const child of children) child.kill("SIGTERM");
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  const ended = children.map((child, index) => whenEnded(child, nodes[index], () => stopping));
  try {
    await Promise.race([
      Promise.all(nodes.map((node, index) => ready(node, children[index]))),
      Promise.all(ended),
    ]);
    if (!stopping) console.log("cluster ready");
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
    stop();
  }
  await Promise.all(ended);
}

/** What the service `secret` of the compose file does. */
function makeSecret(directory: string): string {
  mkdirSync(directory, { recursive: true });
  const file = join(directory, "cluster-secret");
  if (!existsSync(file)) {
    writeFileSync(file, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
  }
  return file;
}

function start(node: PlannedNode): ChildProcess {
  const [command, ...args] =
    values.program === undefined
      ? [process.execPath, resolve(HERE, "../runtimes/node.ts"), "serve"]
      : [resolve(values.program), "serve"];
  const { GYRE_DATA: data = "." } = node.environment;
  mkdirSync(data, { recursive: true });
  const log = openSync(join(data, "log"), "a");
  // The pipe on stdin ends with this process, however it ends, and takes the node with it.
  return spawn(command ?? "", args, {
    stdio: ["pipe", log, log],
    env: { ...process.env, ...node.environment, GYRE_UNTIL_STDIN_CLOSES: "true" },
  });
}

/** Never rejects: a node that ends is reported and stays down, as a container that is not restarted. */
function whenEnded(
  child: ChildProcess,
  node: PlannedNode | undefined,
  stopping: () => boolean,
): Promise<void> {
  return new Promise((done) => {
    child.once("error", (error) => {
      console.error(`${node?.name} could not start: ${error.message}`);
      process.exitCode = 1;
      done();
    });
    child.once("exit", (code, signal) => {
      if (!stopping())
        console.error(
          `${node?.name} ended with ${code ?? signal}: see ${node?.environment["GYRE_DATA"]}/log`,
        );
      else if (code !== 0) process.exitCode = 1;
      done();
    });
  });
}

async function ready(node: PlannedNode, child: ChildProcess | undefined): Promise<void> {
  const giveUpAt = performance.now() + READY_TIMEOUT_MS;
  while (performance.now() < giveUpAt) {
    const answer = await fetch(`${node.url}/readyz`).catch(() => undefined);
    if (answer?.ok === true) {
      console.log(
        `node=${node.name} region=${node.region} url=${node.url} pid=${child?.pid} ready`,
      );
      return;
    }
    if (child?.exitCode !== null) throw new Error(`${node.name} ended before it was ready`);
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
  throw new Error(`${node.name} is not ready after ${READY_TIMEOUT_MS} ms: see its log`);
}
