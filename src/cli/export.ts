import { z } from "zod";
import type { BulkFormat } from "./bulk-item.ts";
import { closing, opening } from "./bulk-write.ts";
import { type Command, makeCommand } from "./command.ts";
import {
  CONNECTION_ARGS,
  CONSISTENCY_ARG,
  connect,
  namespaceOf,
  parseCount,
} from "./connection.ts";
import { CliError, EXIT, type ExitCode, usageError } from "./errors.ts";
import { type ExportPosition, runExport } from "./export-run.ts";
import { humanBytes, printJson } from "./output.ts";
import type { FileWriter, Platform, Sha256 } from "./platform.ts";
import { startProgress } from "./progress.ts";

/** Beside the output while it is not complete: what is needed to go on. */
const STATE = z.strictObject({
  gyre: z.literal("export state"),
  namespace: z.string(),
  prefix: z.string(),
  format: z.enum(["ndjson", "wrangler"]),
  cursor: z.string(),
  items: z.int(),
  /** Of the output: what is behind is cut off. */
  bytes: z.int(),
});
type State = z.infer<typeof STATE>;

export function exportCommand(platform: Platform): Command {
  return makeCommand({
    name: "export",
    description: "Write all keys as NDJSON or as wrangler's bulk JSON",
    args: {
      file: {
        type: "positional",
        required: false,
        description: "the file; - or nothing for stdout",
      },
      format: {
        type: "enum",
        options: ["ndjson", "wrangler"] as BulkFormat[],
        description:
          "ndjson keeps content types, wrangler is for wrangler kv bulk put (default: ndjson)",
      },
      prefix: { type: "string", valueHint: "TEXT", description: "Only keys that begin so" },
      conflict: {
        type: "enum",
        options: ["majority", "latest"] as ("majority" | "latest")[],
        description: "Which of several concurrent values is written (default: majority)",
      },
      "retry-seconds": {
        type: "string",
        valueHint: "N",
        description: "How long what may pass is tried again (default: 60)",
      },
      quiet: { type: "boolean", description: "No progress, only the summary" },
      ...CONNECTION_ARGS,
      ...CONSISTENCY_ARG,
      json: { type: "boolean", description: "Write the summary as JSON to stdout; needs a FILE" },
    },
    run: (args) => exportKeys(platform, args),
  });
}

interface ExportFlags {
  readonly file?: string | undefined;
  readonly format?: BulkFormat | undefined;
  readonly prefix?: string | undefined;
  readonly conflict?: "majority" | "latest" | undefined;
  readonly "retry-seconds"?: string | undefined;
  readonly quiet?: boolean | undefined;
  readonly json?: boolean | undefined;
  readonly url?: string | undefined;
  readonly namespace?: string | undefined;
  readonly "timeout-ms"?: string | undefined;
  readonly consistency?: "one" | "local-quorum" | "quorum" | "each-quorum" | "all" | undefined;
}

async function exportKeys(platform: Platform, flags: ExportFlags): Promise<ExitCode> {
  const startedMs = platform.clock.monotonicMs();
  const format = flags.format ?? "ndjson";
  const target = await openTarget(platform, flags, format);
  const progress = startProgress(platform, "export", null, flags.quiet === true);
  const stop = { asked: false };
  const forget = platform.onStopSignal(() => {
    if (stop.asked) platform.exitNow(EXIT.failed);
    stop.asked = true;
  });
  let end: Awaited<ReturnType<typeof runExport>>;
  try {
    if (target.start.items === 0) await target.write(opening(format));
    end = await runExport(platform, target.start, {
      client: connect(platform, flags),
      prefix: flags.prefix,
      format,
      conflict: flags.conflict ?? "majority",
      consistency: flags.consistency,
      retryBudgetMs:
        1000 * (parseCount("--retry-seconds", flags["retry-seconds"], 0, 86_400) ?? 60),
      write: target.write,
      onPage: target.remember,
      onProgress: (items) => progress.update(items, `${items} keys`),
      isStopped: () => stop.asked,
    });
    if (end.complete) await target.write(closing(format));
  } finally {
    forget();
    await target.close();
  }
  await progress.end(`${end.items} keys`);
  if (!end.complete) throw new CliError(`Stopped after ${end.items} keys${target.howToGoOn}`);
  await target.finish();
  const seconds = (platform.clock.monotonicMs() - startedMs) / 1000;
  await summarize(platform, flags, {
    format,
    items: end.items,
    bytes: target.bytes(),
    sha256: target.sum.hex(),
    seconds,
  });
  return EXIT.done;
}

interface Target {
  readonly start: ExportPosition;
  readonly sum: Sha256;
  readonly howToGoOn: string;
  bytes(): number;
  write(text: string): Promise<void>;
  remember(position: ExportPosition): Promise<void>;
  close(): Promise<void>;
  /** The output is complete. */
  finish(): Promise<void>;
}

async function openTarget(
  platform: Platform,
  flags: ExportFlags,
  format: BulkFormat,
): Promise<Target> {
  if (flags.file === undefined || flags.file === "-") {
    if (flags.json === true)
      throw usageError("Cannot write both the keys and the --json summary to stdout: give a FILE");
    return createTarget({ cursor: undefined, items: 0 }, 0, platform.sha256(), {
      write: platform.stdout.write,
      close: () => Promise.resolve(),
    });
  }
  const { file } = flags;
  const statePath = `${file}.gyre-export`;
  const identity = { namespace: namespaceOf(platform, flags), prefix: flags.prefix ?? "", format };
  const state = await readState(platform, statePath, identity);
  if (state === undefined && ((await platform.files.sizeBytes(file)) ?? 0) > 0) {
    throw usageError(
      `${file} exists and is not an unfinished export: choose another FILE or remove it`,
    );
  }
  const sum = platform.sha256();
  if (state !== undefined) {
    await addExisting(platform, file, state.bytes, sum);
    await platform.stderr.write(`going on after ${state.items} keys that are in ${file}\n`);
  }
  const writer = await platform.files.openWrite(file, state?.bytes ?? 0);
  const start = { cursor: state?.cursor, items: state?.items ?? 0 };
  const target = createTarget(start, state?.bytes ?? 0, sum, writer);
  return {
    ...target,
    howToGoOn: "; the same command goes on from there",
    remember: async ({ cursor, items }) => {
      const next: State = {
        gyre: "export state",
        ...identity,
        cursor: cursor ?? "",
        items,
        bytes: target.bytes(),
      };
      await platform.files.writeText(statePath, `${JSON.stringify(next)}\n`);
    },
    finish: () => platform.files.remove(statePath),
  };
}

function createTarget(
  start: ExportPosition,
  startBytes: number,
  sum: Sha256,
  writer: FileWriter,
): Target {
  let bytes = startBytes;
  const encoder = new TextEncoder();
  return {
    start,
    sum,
    howToGoOn: "",
    bytes: () => bytes,
    write: async (text) => {
      if (text === "") return;
      const encoded = encoder.encode(text);
      await writer.write(encoded);
      sum.update(encoded);
      bytes += encoded.length;
    },
    remember: () => Promise.resolve(),
    close: () => writer.close(),
    finish: () => Promise.resolve(),
  };
}

async function readState(
  platform: Platform,
  path: string,
  identity: { readonly namespace: string; readonly prefix: string; readonly format: BulkFormat },
): Promise<State | undefined> {
  const text = await platform.files.readText(path);
  if (text === undefined) return undefined;
  let state: State;
  try {
    state = STATE.parse(JSON.parse(text));
  } catch (error) {
    throw new CliError(
      `Cannot understand ${path}; remove it and the output to export from the beginning`,
      { cause: error },
    );
  }
  const isSame =
    state.namespace === identity.namespace &&
    state.prefix === identity.prefix &&
    state.format === identity.format;
  if (isSame) return state;
  throw usageError(
    `${path} is of another export (namespace ${state.namespace}, prefix ${JSON.stringify(state.prefix)}, ${state.format}); ` +
      "give the same options to go on, or remove it and the output",
  );
}

/** The checksum of a resumed export is that of the whole file. @throws CliError when the file is shorter than it was. */
async function addExisting(
  platform: Platform,
  file: string,
  bytes: number,
  sum: Sha256,
): Promise<void> {
  const { sizeBytes, stream } = await platform.files.openRead(file);
  if (sizeBytes < bytes) {
    throw new CliError(
      `${file} is shorter than its unfinished export: remove it and ${file}.gyre-export to begin again`,
    );
  }
  let left = bytes;
  const reader = stream.getReader();
  while (left > 0) {
    const { done, value } = await reader.read();
    if (done) break;
    const part = value.subarray(0, left);
    sum.update(part);
    left -= part.length;
  }
  await reader.cancel();
}

async function summarize(
  platform: Platform,
  flags: ExportFlags,
  summary: { format: BulkFormat; items: number; bytes: number; sha256: string; seconds: number },
): Promise<void> {
  if (flags.json === true) await printJson(platform, summary);
  const { items, bytes, format, seconds, sha256 } = summary;
  await platform.stderr.write(
    `${items} keys, ${humanBytes(bytes)} of ${format} in ${seconds.toFixed(1)} s; sha256 ${sha256}\n`,
  );
}
