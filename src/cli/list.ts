import { type Command, makeCommand } from "./command.ts";
import { CONFLICT_ARG, CONNECTION_ARGS, connect, parseCount } from "./connection.ts";
import { EXIT } from "./errors.ts";
import type { Platform } from "./platform.ts";

const PAGE_KEYS = 1000;

export function listCommand(platform: Platform): Command {
  return makeCommand({
    name: "list",
    description: "List keys in byte order, one a line",
    args: {
      prefix: { type: "string", valueHint: "TEXT", description: "Only keys that begin so" },
      start: { type: "string", valueHint: "KEY", description: "From this key on, included" },
      end: { type: "string", valueHint: "KEY", description: "Up to this key, excluded" },
      reverse: { type: "boolean", description: "From the last to the first" },
      limit: { type: "string", valueHint: "N", description: "So many keys at most (default: all)" },
      ...CONNECTION_ARGS,
      ...CONFLICT_ARG,
      json: {
        type: "boolean",
        description: "One JSON object a line: name, size, expiration, metadata",
      },
    },
    run: async (args) => {
      const client = connect(platform, args);
      const limit =
        parseCount("--limit", args.limit, 1, Number.MAX_SAFE_INTEGER) ?? Number.POSITIVE_INFINITY;
      const keys = client.list({
        prefix: args.prefix,
        start: args.start,
        end: args.end,
        reverse: args.reverse === true ? true : undefined,
        limit: Math.min(PAGE_KEYS, limit),
        conflict: args.conflict,
      });
      let count = 0;
      // One write for a page's worth of lines: a system call for each key would cost more than the list.
      let lines = "";
      for await (const key of keys) {
        lines += args.json === true ? `${JSON.stringify(key)}\n` : `${key.name}\n`;
        count += 1;
        if (count % PAGE_KEYS === 0 || count >= limit) {
          await platform.stdout.write(lines);
          lines = "";
        }
        if (count >= limit) break;
      }
      await platform.stdout.write(lines);
      return EXIT.done;
    },
  });
}
