import { type Command, makeCommand } from "./command.ts";
import {
  checkPorts,
  type DevProcess,
  describeEnd,
  startProcess,
  stopAll,
  untilReady,
  untilSeesAll,
} from "./dev-nodes.ts";
import {
  type DevFlags,
  type DevPlan,
  makePlan,
  nodeOfNumber,
  parseSettings,
  settingsPath,
} from "./dev-plan.ts";
import { CliError, EXIT, type ExitCode, usageError } from "./errors.ts";
import type { Platform } from "./platform.ts";

const SECRET_BYTES = 32;

export function devCommand(platform: Platform): Command {
  return makeCommand({
    name: "dev",
    description: "Run a whole cluster on this machine, one process per node",
    args: {
      nodes: { type: "string", valueHint: "N", description: "Number of nodes (default: 6)" },
      regions: {
        type: "string",
        valueHint: "NAME,...",
        description: "Regions, dealt round robin (default: eu,us,ap)",
      },
      port: {
        type: "string",
        valueHint: "PORT",
        description:
          "Client port of node 1; the others follow, peers are 1000 above (default: 7101)",
      },
      data: {
        type: "string",
        valueHint: "DIR",
        description: "Directory of the data; node N keeps DIR/N",
        default: "data",
      },
      wan: {
        type: "string",
        valueHint: "MS",
        description: "One-way delay between regions in milliseconds (default: 0)",
      },
      runtime: {
        type: "string",
        valueHint: "NAME",
        description: "node, bun or deno (default: what runs this command)",
      },
      only: {
        type: "string",
        valueHint: "N",
        description: "Start node N again, of the cluster that DIR holds",
      },
    },
    run: async (args) => {
      const earlier = await readSettings(platform, args.data);
      if (args.only !== undefined && earlier === undefined) {
        throw usageError(
          `Cannot start node ${args.only} alone: ${args.data} holds no cluster of gyre dev (see --data)`,
        );
      }
      const flags: DevFlags = args;
      const plan = makePlan(args.data, flags, earlier, platform.runtime);
      return args.only === undefined
        ? await runCluster(platform, plan)
        : await runOne(platform, plan, args.only);
    },
  });
}

async function readSettings(platform: Platform, directory: string) {
  const text = await platform.files.readText(settingsPath(directory));
  return text === undefined ? undefined : parseSettings(directory, text);
}

/** Becomes true at the first SIGINT or SIGTERM. */
interface StopRequest {
  asked: boolean;
  readonly promise: Promise<void>;
}

function listenForStop(platform: Platform): StopRequest {
  const { promise, resolve } = Promise.withResolvers<void>();
  const request: StopRequest = { asked: false, promise };
  platform.onStopSignal(() => {
    request.asked = true;
    resolve();
  });
  return request;
}

async function runCluster(platform: Platform, plan: DevPlan): Promise<ExitCode> {
  await checkPorts(platform, plan.nodes);
  await prepareDirectory(platform, plan);
  const stop = listenForStop(platform);
  const processes: DevProcess[] = [];
  try {
    for (const node of plan.nodes) {
      if (stop.asked) break;
      processes.push(await startProcess(platform, plan, node));
    }
    await Promise.all(processes.map((started) => announce(platform, started, stop)));
    await Promise.all(
      processes.map((started) =>
        untilSeesAll(platform, started, plan.nodes.length, () => stop.asked),
      ),
    );
  } catch (error) {
    stop.asked = true;
    await stopAll(platform, processes);
    throw error;
  }
  if (!stop.asked) {
    await writeSettings(platform, plan, true);
    await platform.stdout.write("cluster ready\n");
    await platform.stderr.write(whatToTry(platform, plan));
  }
  return await watchUntilStopped(platform, plan, processes, stop);
}

/** One node of a cluster whose other nodes run elsewhere: another `gyre dev`, or none yet. */
async function runOne(platform: Platform, plan: DevPlan, number: string): Promise<ExitCode> {
  const node = nodeOfNumber(plan, number);
  await checkPorts(platform, [node]);
  const stop = listenForStop(platform);
  const started = await startProcess(platform, plan, node);
  try {
    await announce(platform, started, stop);
  } catch (error) {
    await stopAll(platform, [started]);
    throw error;
  }
  return await watchUntilStopped(platform, plan, [started], stop);
}

async function prepareDirectory(platform: Platform, plan: DevPlan): Promise<void> {
  await platform.files.makeDirectory(plan.directory);
  if ((await platform.files.sizeBytes(plan.secretPath)) === undefined) {
    const secret = Array.from(platform.random.bytes(SECRET_BYTES), (byte) =>
      byte.toString(16).padStart(2, "0"),
    );
    await platform.files.writeText(plan.secretPath, `${secret.join("")}\n`, { secret: true });
  }
  await writeSettings(platform, plan, plan.settings.created);
}

async function writeSettings(platform: Platform, plan: DevPlan, created: boolean): Promise<void> {
  const settings = { ...plan.settings, created };
  await platform.files.writeText(
    settingsPath(plan.directory),
    `${JSON.stringify(settings, null, 2)}\n`,
  );
}

async function announce(platform: Platform, started: DevProcess, stop: StopRequest): Promise<void> {
  await untilReady(platform, started, () => stop.asked);
  if (stop.asked) return;
  const { node, child } = started;
  await platform.stdout.write(
    `node=${node.number} region=${node.region} url=${node.url} pid=${child.pid} ready\n`,
  );
}

/** Reports nodes that end by themselves; they stay down, as a dead machine would, until someone starts them. */
async function watchUntilStopped(
  platform: Platform,
  plan: DevPlan,
  processes: readonly DevProcess[],
  stop: StopRequest,
): Promise<ExitCode> {
  const ends = processes.map((started) =>
    started.child.exited.then(async () => {
      if (!stop.asked) await platform.stderr.write(reportEnd(platform, plan, started));
    }),
  );
  await Promise.race([stop.promise, Promise.all(ends)]);
  if (!stop.asked)
    throw new CliError(processes.length > 1 ? "No node is left running" : "The node has ended");
  const killed = await stopAll(platform, processes);
  if (killed.length === 0) return EXIT.done;
  throw new CliError(`Had to kill node ${killed.join(", ")}, which did not stop in order`);
}

function reportEnd(platform: Platform, plan: DevPlan, started: DevProcess): string {
  const { node } = started;
  return (
    `node=${node.number} region=${node.region} url=${node.url} down: ${describeEnd(started)}; start it again with: ` +
    `${platform.command} dev --data ${plan.directory} --only ${node.number}\n`
  );
}

function whatToTry(platform: Platform, plan: DevPlan): string {
  const [first] = plan.nodes;
  const other = plan.nodes.find((node) => node.region !== first?.region) ?? first;
  if (first === undefined || other === undefined) return "";
  return [
    "",
    "Try:",
    `  curl -X PUT --data 'hello' ${first.url}/v1/kv/default/greeting    # put in ${first.region}`,
    `  curl ${other.url}/v1/kv/default/greeting                          # get in ${other.region}`,
    `  ${platform.command} status --url ${first.url}`,
    "",
    `Dashboard: ${first.url}/    Stop with Ctrl-C; data stays in ${plan.directory}/`,
    "",
  ].join("\n");
}
