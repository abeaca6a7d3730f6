import { backupData, type Manifest } from "../data-tools.ts";
import { type Command, makeCommand } from "./command.ts";
import { CONNECTION_ARGS, connect, JSON_ARG } from "./connection.ts";
import { EXIT, usageError } from "./errors.ts";
import { humanBytes, printJson } from "./output.ts";
import type { Platform } from "./platform.ts";
import { yieldingProgress } from "./verify.ts";

/** A large database takes a while, and the answer comes at the end. */
const ONLINE_TIMEOUT_DEFAULT_MS = 3_600_000;

export function backupCommand(platform: Platform): Command {
  return makeCommand({
    name: "backup",
    description: "Back up one node: a running one with --url, a stopped one with --data and --to",
    args: {
      data: { type: "string", valueHint: "DIR", description: "Data directory of a stopped node" },
      to: {
        type: "string",
        valueHint: "DIR",
        description: "Where to put it, with --data: a directory that is empty or not there yet",
      },
      "with-secret": {
        type: "boolean",
        description: "With --data: the secret that the node made for itself goes along",
      },
      url: CONNECTION_ARGS.url,
      "timeout-ms": CONNECTION_ARGS["timeout-ms"],
      ...JSON_ARG,
    },
    run: async (args) => {
      const { data, to } = args;
      const withSecret = args["with-secret"] === true;
      if ((data === undefined) !== (to === undefined)) {
        throw usageError("--data and --to go together: a running node chooses the place itself");
      }
      if (data === undefined && withSecret) {
        throw usageError("--with-secret needs --data: a running node does not give its secret");
      }
      const made =
        data !== undefined && to !== undefined
          ? {
              path: to,
              manifest: await offline(platform, data, to, withSecret, args.json === true),
            }
          : await online(platform, { url: args.url, "timeout-ms": args["timeout-ms"] });
      if (args.json === true) await printJson(platform, { path: made.path, ...made.manifest });
      else await platform.stdout.write(render(made.path, made.manifest));
      return EXIT.done;
    },
  });
}

async function offline(
  platform: Platform,
  data: string,
  target: string,
  withSecret: boolean,
  isQuiet: boolean,
): Promise<Manifest> {
  const world = await platform.openDataWorld();
  const progress = yieldingProgress(platform, "backup", isQuiet);
  const manifest = await backupData(world, { data, target, withSecret }, progress.onProgress);
  await progress.end();
  return manifest;
}

async function online(
  platform: Platform,
  flags: { readonly url?: string | undefined; readonly "timeout-ms"?: string | undefined },
): Promise<{ readonly path: string; readonly manifest: Manifest }> {
  const timeoutMs = flags["timeout-ms"] ?? String(ONLINE_TIMEOUT_DEFAULT_MS);
  // Never twice: the first attempt may still be at work.
  const client = connect(platform, { ...flags, "timeout-ms": timeoutMs }, 0);
  const answer = await client.send({
    method: "POST",
    target: "/v1/backups",
    repeatable: false,
    accept: [201],
  });
  const { path, ...manifest } = JSON.parse(new TextDecoder().decode(answer.body)) as Manifest & {
    readonly path: string;
  };
  return { path, manifest };
}

function render(path: string, manifest: Manifest): string {
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0);
  return (
    `${path}: ${manifest.rows} rows of node ${manifest.nodeId.slice(0, 8)}, ${humanBytes(bytes)}, read back and sound\n` +
    "It is one node's share of the data: back up every node, and keep the cluster secret elsewhere.\n"
  );
}
