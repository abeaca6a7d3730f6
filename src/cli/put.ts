import type { ConsistencyName } from "../client/types.ts";
import { type Command, makeCommand } from "./command.ts";
import { CONNECTION_ARGS, CONSISTENCY_ARG, connect, JSON_ARG, parseCount } from "./connection.ts";
import { EXIT, usageError } from "./errors.ts";
import { printJson } from "./output.ts";
import type { Platform } from "./platform.ts";
import { SESSION_ARG, withSession } from "./session.ts";

/** The server's own limit is 25 MiB; what is far above is not even read to its end. */
const VALUE_BYTES_MAX = 64 * 1024 * 1024;

export const WRITE_ARGS = {
  ...CONNECTION_ARGS,
  ...CONSISTENCY_ARG,
  w: {
    type: "string",
    valueHint: "N",
    description: "Replicas that must acknowledge, instead of --consistency",
  },
  context: {
    type: "string",
    valueHint: "TOKEN",
    description: "What this write has seen (from get --json): replaces it",
  },
  "if-match": {
    type: "string",
    valueHint: "ETAG",
    description: "Only if the value is still this one",
  },
  "if-none-match": {
    type: "string",
    valueHint: "ETAG",
    description: "Only if the value is not this one; * for no value",
  },
  "idempotency-key": {
    type: "string",
    valueHint: "TEXT",
    description: "Makes a repetition harmless (default: a new one each time)",
  },
  ...SESSION_ARG,
  ...JSON_ARG,
} as const;

export function putCommand(platform: Platform): Command {
  return makeCommand({
    name: "put",
    description: "Store a value from the command line, a file or stdin",
    args: {
      key: { type: "positional", required: true, description: "the key" },
      value: {
        type: "positional",
        required: false,
        description: "the value; - or nothing reads stdin",
      },
      file: { type: "string", valueHint: "FILE", description: "Read the value from a file" },
      ttl: {
        type: "string",
        valueHint: "SECONDS",
        description: "Expire after so many seconds; 0 for never",
      },
      expires: {
        type: "string",
        valueHint: "TIME",
        description: "Expire at this time, in unix seconds",
      },
      metadata: {
        type: "string",
        valueHint: "JSON",
        description: "Metadata kept beside the value, up to 1024 bytes",
      },
      "content-type": {
        type: "string",
        valueHint: "TYPE",
        description: "Content type (default: application/octet-stream)",
      },
      ...WRITE_ARGS,
    },
    run: async (args) => {
      const client = connect(platform, args);
      const value = await readValue(platform, args.value, args.file);
      const options = {
        ...writeOptions(platform, args),
        ttl: parseSeconds("--ttl", args.ttl),
        expires: parseSeconds("--expires", args.expires),
        metadata: parseMetadata(args.metadata),
        contentType: args["content-type"],
      };
      const result = await withSession(platform, client, args.session, (session) =>
        session.put(args.key, value, options),
      );
      if (args.json === true)
        await printJson(platform, { key: args.key, bytes: value.length, ...result });
      else if (result.siblings > 1) await platform.stderr.write(siblingsNote(result.siblings));
      return EXIT.done;
    },
  });
}

export function siblingsNote(siblings: number): string {
  return `The key now has ${siblings} concurrent values; put with --context of a get --json replaces them\n`;
}

export interface WriteFlags {
  readonly consistency?: ConsistencyName | undefined;
  readonly w?: string | undefined;
  readonly context?: string | undefined;
  readonly "if-match"?: string | undefined;
  readonly "if-none-match"?: string | undefined;
  readonly "idempotency-key"?: string | undefined;
}

/** With an Idempotency-Key even when none is asked for: then the client may repeat the write when the line breaks. */
export function writeOptions(platform: Platform, flags: WriteFlags) {
  return {
    consistency: flags.consistency,
    w: parseCount("--w", flags.w, 1, 1000),
    context: flags.context,
    ifMatch: flags["if-match"],
    ifNoneMatch: flags["if-none-match"],
    idempotencyKey: flags["idempotency-key"] ?? randomHex(platform),
  };
}

function randomHex(platform: Platform): string {
  return Array.from(platform.random.bytes(16), (byte) => byte.toString(16).padStart(2, "0")).join(
    "",
  );
}

async function readValue(
  platform: Platform,
  value: string | undefined,
  file: string | undefined,
): Promise<Uint8Array> {
  if (value !== undefined && value !== "-") {
    if (file !== undefined)
      throw usageError("Cannot take the value from the command line and from --file at once");
    return new TextEncoder().encode(value);
  }
  if (file !== undefined && file !== "-")
    return await readAll((await platform.files.openRead(file)).stream);
  if (platform.stdin.isTerminal && value === undefined && file === undefined) {
    throw usageError("Missing VALUE: give it, or --file FILE, or - to type it and end with Ctrl-D");
  }
  return await readAll(platform.stdin.stream());
}

async function readAll(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    bytes += value.length;
    if (bytes > VALUE_BYTES_MAX)
      throw usageError(`Cannot put a value of more than ${VALUE_BYTES_MAX} bytes`);
    chunks.push(value);
  }
  const all = new Uint8Array(bytes);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function parseSeconds(flag: string, given: string | undefined): number | undefined {
  if (given === undefined) return undefined;
  if (/^\d{1,15}(\.\d{1,6})?$/.test(given)) return Number(given);
  throw usageError(`Cannot use ${flag} ${JSON.stringify(given)}, want seconds, such as 60 or 0.5`);
}

function parseMetadata(given: string | undefined): unknown {
  if (given === undefined) return undefined;
  try {
    return JSON.parse(given);
  } catch (error) {
    throw usageError(
      `Cannot use --metadata ${JSON.stringify(given)}, want JSON: ${(error as Error).message}`,
      error,
    );
  }
}
