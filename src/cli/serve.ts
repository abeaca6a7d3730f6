import type { ArgsDef } from "citty";
import { type ConfigSources, resolveServeConfig } from "../config.ts";
import { flagName, SERVE_OPTION_KEYS, SERVE_OPTIONS, type ServeOption } from "../config-options.ts";
import { sleep } from "../env/worker.ts";
import { type Command, makeCommand } from "./command.ts";
import { EXIT, type ExitCode, usageError } from "./errors.ts";
import type { Platform, RunningNode } from "./platform.ts";

/** A stop waits for requests under way and for the last commit, then for nothing more. */
const STOP_TIMEOUT_MS = 15_000;

export function serveCommand(platform: Platform): Command {
  return makeCommand({
    name: "serve",
    description: "Run one node of a cluster",
    args: serveArgs(),
    hiddenFlags: SERVE_OPTION_KEYS.filter(isInternal).map(flagName),
    run: async (args) => {
      const flags: Record<string, string | boolean> = {};
      for (const key of SERVE_OPTION_KEYS) {
        const given = args[flagName(key)];
        if (typeof given === "string" || typeof given === "boolean") flags[key] = given;
      }
      const config = resolveServeConfig({
        flags,
        environment: platform.environment,
        file: await readConfigFile(platform, args["config"]),
      });
      const node = await platform.startNode(config);
      return await runUntilStopped(platform, node, config.untilStdinCloses);
    },
  });
}

function isInternal(key: (typeof SERVE_OPTION_KEYS)[number]): boolean {
  const option: ServeOption<unknown> = SERVE_OPTIONS[key];
  return option.internal === true;
}

/** The flags have no citty default: a default would hide that the environment or the file may speak. */
function serveArgs(): ArgsDef {
  const args: ArgsDef = {
    config: {
      type: "string",
      valueHint: "FILE",
      description: "JSON file with any of these options, in camelCase",
    },
  };
  for (const key of SERVE_OPTION_KEYS) {
    const option: ServeOption<unknown> = SERVE_OPTIONS[key];
    const fallback =
      option.fallback === null || option.hint === "" ? "" : ` (default: ${option.fallback})`;
    const description = option.help + fallback;
    args[flagName(key)] =
      option.hint === ""
        ? { type: "boolean", description }
        : { type: "string", valueHint: option.hint, description };
  }
  return args;
}

async function readConfigFile(platform: Platform, flag: unknown): Promise<ConfigSources["file"]> {
  const path = typeof flag === "string" ? flag : platform.environment["GYRE_CONFIG"];
  if (path === undefined || path === "") return null;
  const text = await platform.files.readText(path);
  if (text === undefined)
    throw usageError(`Cannot find the configuration file ${path} (from --config)`);
  return { path, text };
}

/** The first signal stops in order; a second SIGINT, from someone who will not wait, ends the process. */
async function runUntilStopped(
  platform: Platform,
  node: RunningNode,
  watchStdin: boolean,
): Promise<ExitCode> {
  let stopping = false;
  await new Promise<void>((resolve) => {
    platform.onStopSignal((signal) => {
      if (stopping && signal === "SIGINT") platform.exitNow(EXIT.failed);
      stopping = true;
      resolve();
    });
    if (watchStdin) stdinEnd(platform).then(resolve, resolve);
  });
  const stopped = node.stop().then(() => true);
  const late = sleep(platform.clock, STOP_TIMEOUT_MS).then(() => false);
  if (await Promise.race([stopped, late])) return EXIT.done;
  await platform.stderr.write(
    `gyre serve: could not stop in order within ${STOP_TIMEOUT_MS / 1000} s; ending anyway\n`,
  );
  return EXIT.failed;
}

async function stdinEnd(platform: Platform): Promise<void> {
  const reader = platform.stdin.stream().getReader();
  while (!(await reader.read()).done);
}
