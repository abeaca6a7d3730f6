import type { GetResult, GyreValue } from "../client/types.ts";
import { toBase64 } from "../client/wire.ts";
import { type Command, makeCommand } from "./command.ts";
import {
  CONFLICT_ARG,
  CONNECTION_ARGS,
  CONSISTENCY_ARG,
  connect,
  parseCount,
} from "./connection.ts";
import { CliError, EXIT, type ExitCode } from "./errors.ts";
import { printJson, textOrUndefined } from "./output.ts";
import type { Platform } from "./platform.ts";
import { SESSION_ARG, withSession } from "./session.ts";

export function getCommand(platform: Platform): Command {
  return makeCommand({
    name: "get",
    description: "Write a key's value to stdout, byte by byte",
    args: {
      key: { type: "positional", required: true, description: "the key" },
      ...CONNECTION_ARGS,
      ...CONSISTENCY_ARG,
      r: {
        type: "string",
        valueHint: "N",
        description: "Replicas that must answer, instead of --consistency",
      },
      ...CONFLICT_ARG,
      ...SESSION_ARG,
      json: { type: "boolean", description: "Write value, metadata, context and siblings as JSON" },
    },
    run: async (args) => {
      const r = parseCount("--r", args.r, 1, 1000);
      const { consistency, conflict } = args;
      const result = await withSession(platform, connect(platform, args), args.session, (client) =>
        client.get(args.key, { consistency, conflict, r }),
      );
      if (args.json === true) return await printAsJson(platform, args.key, result);
      return await printValue(platform, args.key, result);
    },
  });
}

async function printValue(platform: Platform, key: string, result: GetResult): Promise<ExitCode> {
  switch (result.status) {
    case "found":
      await platform.stdout.write(result.value.bytes);
      return EXIT.done;
    case "missing":
      throw new CliError(`There is no key ${JSON.stringify(key)}`);
    case "siblings":
      throw new CliError(
        `The key ${JSON.stringify(key)} has ${result.values.length} concurrent values: see all of them with --json, or ` +
          "let --conflict latest choose one",
      );
  }
}

async function printAsJson(platform: Platform, key: string, result: GetResult): Promise<ExitCode> {
  switch (result.status) {
    case "found": {
      const { etag, context, siblings } = result;
      await printJson(platform, { key, ...valueFields(result.value), etag, context, siblings });
      return EXIT.done;
    }
    case "missing":
      await printJson(platform, { key, missing: true, context: result.context });
      return EXIT.failed;
    case "siblings":
      await printJson(platform, {
        key,
        values: result.values.map(valueFields),
        context: result.context,
      });
      return EXIT.done;
  }
}

function valueFields(value: GyreValue) {
  const text = textOrUndefined(value.bytes);
  return {
    ...(text === undefined ? { value_b64: toBase64(value.bytes) } : { value: text }),
    contentType: value.contentType,
    metadata: value.metadata ?? null,
    expires: value.expires,
  };
}
