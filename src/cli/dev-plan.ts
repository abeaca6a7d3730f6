/** What `gyre dev` will start: computed from its flags and from what an earlier run left in the data directory. */
import { z } from "zod";
import { CliError, usageError } from "./errors.ts";
import type { RuntimeName } from "./platform.ts";

const HOST = "127.0.0.1";
/** Peer listeners lie this far above the client listeners. */
const PEER_PORT_OFFSET = 1000;
const NODES_MAX = 64;
const REGION = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

export interface DevNode {
  /** 1 and up. */
  readonly number: number;
  readonly region: string;
  readonly zone: string;
  readonly port: number;
  readonly peerPort: number;
  readonly url: string;
  readonly peerUrl: string;
  readonly directory: string;
  readonly logPath: string;
}

export interface DevPlan {
  readonly directory: string;
  readonly secretPath: string;
  readonly settings: DevSettings;
  readonly nodes: readonly DevNode[];
}

/** Kept in DIR/dev.json, so that `--only N` and later runs start the same cluster. */
const SETTINGS = z.strictObject({
  nodes: z.int().min(1).max(NODES_MAX),
  regions: z.array(z.string()).min(1),
  port: z.int(),
  wanMs: z.int(),
  runtime: z.enum(["node", "bun", "deno"]),
  /** True once all nodes have been members: from then on node 1 joins, too, instead of creating a second cluster. */
  created: z.boolean(),
});
export type DevSettings = z.infer<typeof SETTINGS>;

/** Flags as given; undefined where not. */
export interface DevFlags {
  readonly nodes: string | undefined;
  readonly regions: string | undefined;
  readonly port: string | undefined;
  readonly wan: string | undefined;
  readonly runtime: string | undefined;
}

export function settingsPath(directory: string): string {
  return `${directory}/dev.json`;
}

/** @throws CliError when the file is not one that `gyre dev` wrote. */
export function parseSettings(directory: string, text: string): DevSettings {
  try {
    return SETTINGS.parse(JSON.parse(text));
  } catch (error) {
    throw new CliError(
      `Cannot understand ${settingsPath(directory)}; choose another directory with --data or remove ${directory}`,
      { cause: error },
    );
  }
}

/**
 * Flags win over what an earlier run used, that over the defaults; but a cluster that exists keeps its nodes and regions.
 * @throws CliError
 */
export function makePlan(
  directory: string,
  flags: DevFlags,
  earlier: DevSettings | undefined,
  runtime: RuntimeName,
): DevPlan {
  const settings: DevSettings = {
    nodes: whole("--nodes", flags.nodes, earlier?.nodes ?? 6, 1, NODES_MAX),
    regions: parseRegions(flags.regions) ?? earlier?.regions ?? ["eu", "us", "ap"],
    port: whole("--port", flags.port, earlier?.port ?? 7101, 1, 65_535),
    wanMs: whole("--wan", flags.wan, earlier?.wanMs ?? 0, 0, 60_000),
    runtime: parseRuntime(flags.runtime) ?? runtime,
    created: earlier?.created ?? false,
  };
  if (earlier?.created === true) refuseOtherShape(directory, settings, earlier);
  if (settings.port + PEER_PORT_OFFSET + settings.nodes - 1 > 65_535) {
    throw usageError(
      `Cannot use --port ${settings.port}: the peers' ports, ${PEER_PORT_OFFSET} above, would pass 65535`,
    );
  }
  const nodes = Array.from({ length: settings.nodes }, (_, index) =>
    makeNode(directory, settings, index),
  );
  return { directory, secretPath: `${directory}/cluster-secret`, settings, nodes };
}

/** The flags of `gyre serve` for one node of the plan. */
export function serveFlags(plan: DevPlan, node: DevNode, firstStart: boolean): string[] {
  const flags = [
    ...["--data", node.directory],
    ...["--listen", `${HOST}:${node.port}`],
    ...["--peer-listen", `${HOST}:${node.peerPort}`],
    ...["--region", node.region, "--zone", node.zone],
    ...["--cluster-secret-file", plan.secretPath],
    ...["--bootstrap-expect", String(plan.nodes.length)],
    ...["--log-format", "json"],
    "--until-stdin-closes",
  ];
  const creates = node.number === 1 && firstStart;
  const others = plan.nodes.filter((other) => other !== node).map((other) => other.peerUrl);
  if (!creates && others.length > 0) flags.push("--join", others.join(","));
  if (plan.settings.wanMs > 0) {
    const map = plan.nodes.map((each) => `${each.peerUrl}=${each.region}`).join(",");
    flags.push("--wan-delay-ms", String(plan.settings.wanMs), "--wan-map", map);
  }
  return flags;
}

function makeNode(directory: string, settings: DevSettings, index: number): DevNode {
  const { regions, port } = settings;
  const peerPort = port + PEER_PORT_OFFSET + index;
  const nodeDirectory = `${directory}/${index + 1}`;
  return {
    number: index + 1,
    region: regions[index % regions.length] ?? "local",
    // Nodes of one region lie in zones of their own: z1, z2, ...
    zone: `z${Math.floor(index / regions.length) + 1}`,
    port: port + index,
    peerPort,
    url: `http://${HOST}:${port + index}`,
    peerUrl: `http://${HOST}:${peerPort}`,
    directory: nodeDirectory,
    logPath: `${nodeDirectory}/log`,
  };
}

function refuseOtherShape(directory: string, asked: DevSettings, earlier: DevSettings): void {
  if (asked.nodes === earlier.nodes && asked.regions.join() === earlier.regions.join()) return;
  throw usageError(
    `The cluster in ${directory} has ${earlier.nodes} nodes in ${earlier.regions.join(",")}, not ${asked.nodes} in ` +
      `${asked.regions.join(",")}; leave out --nodes and --regions, or choose another directory with --data`,
  );
}

function whole(
  flag: string,
  given: string | undefined,
  fallback: number,
  least: number,
  most: number,
): number {
  if (given === undefined) return fallback;
  const value = Number(given);
  if (!/^\d{1,9}$/.test(given) || value < least || value > most) {
    throw usageError(
      `Cannot use ${flag} ${JSON.stringify(given)}, want a whole number from ${least} to ${most}`,
    );
  }
  return value;
}

function parseRegions(given: string | undefined): string[] | undefined {
  if (given === undefined) return undefined;
  const regions = given.split(",");
  if (!regions.every((region) => REGION.test(region)) || new Set(regions).size !== regions.length) {
    throw usageError(
      `Cannot use --regions ${JSON.stringify(given)}, want different names of a-z, 0-9 and - separated by commas`,
    );
  }
  return regions;
}

function parseRuntime(given: string | undefined): RuntimeName | undefined {
  if (given === undefined || given === "node" || given === "bun" || given === "deno") return given;
  throw usageError(`Cannot use --runtime ${JSON.stringify(given)}, want node, bun or deno`);
}

/** @throws CliError unless there is a node of this number. */
export function nodeOfNumber(plan: DevPlan, given: string): DevNode {
  const node = plan.nodes.find((each) => String(each.number) === given);
  if (node !== undefined) return node;
  throw usageError(
    `Cannot use --only ${JSON.stringify(given)}, want a whole number from 1 to ${plan.nodes.length}`,
  );
}
