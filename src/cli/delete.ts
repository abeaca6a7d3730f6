import type { GyreClient } from "../client/client.ts";
import { GyreError } from "../client/errors.ts";
import { type Command, makeCommand } from "./command.ts";
import { connect, namespaceOf } from "./connection.ts";
import { CliError, EXIT, type ExitCode, usageError } from "./errors.ts";
import { printJson } from "./output.ts";
import type { Platform } from "./platform.ts";
import { siblingsNote, WRITE_ARGS, writeOptions } from "./put.ts";
import { withSession } from "./session.ts";

const DELETES_PER_BATCH = 200;
const BATCH_TIMEOUT_MS = 60_000;

export function deleteCommand(platform: Platform): Command {
  return makeCommand({
    name: "delete",
    description: "Delete a key, or all keys that begin with a prefix",
    args: {
      key: { type: "positional", required: false, description: "the key" },
      prefix: { type: "string", valueHint: "TEXT", description: "Delete all keys that begin so" },
      yes: { type: "boolean", description: "Do not ask before --prefix deletes" },
      ...WRITE_ARGS,
    },
    run: async (args) => {
      const client = connect(platform, args);
      if (args.prefix !== undefined) {
        if (args.key !== undefined) throw usageError("Give either a KEY or --prefix, not both");
        const { prefix } = args;
        const namespace = namespaceOf(platform, args);
        return await withSession(platform, client, args.session, (session) =>
          deletePrefix(platform, session, namespace, prefix, args.yes === true),
        );
      }
      if (args.key === undefined)
        throw usageError("Missing KEY: the key to delete, or --prefix TEXT");
      const { key } = args;
      const options = writeOptions(platform, args);
      const result = await withSession(platform, client, args.session, (session) =>
        session.delete(key, options),
      );
      if (args.json === true) await printJson(platform, { key: args.key, ...result });
      else if (result.siblings > 0) await platform.stderr.write(siblingsNote(result.siblings));
      return EXIT.done;
    },
  });
}

async function deletePrefix(
  platform: Platform,
  client: GyreClient,
  namespace: string,
  prefix: string,
  isConfirmed: boolean,
): Promise<ExitCode> {
  const keys: string[] = [];
  for await (const { name } of client.list({ prefix, limit: 1000 })) keys.push(name);
  const what = `${keys.length} keys of the namespace ${namespace} that begin with ${JSON.stringify(prefix)}`;
  if (keys.length > 0 && !isConfirmed) {
    if (!platform.stdin.isTerminal) throw usageError(`Would delete ${what}: confirm with --yes`);
    if (!(await platform.confirm(`Delete ${what}?`))) throw new CliError("Nothing was deleted");
  }
  let failed = 0;
  for (let at = 0; at < keys.length; at += DELETES_PER_BATCH) {
    failed += await deleteBatch(platform, client, keys.slice(at, at + DELETES_PER_BATCH));
  }
  await platform.stderr.write(`deleted ${keys.length - failed} of ${keys.length} keys\n`);
  return failed === 0 ? EXIT.done : EXIT.failed;
}

/** Returns how many were not acknowledged. A delete may be repeated freely, so a failed batch is tried once more. */
async function deleteBatch(
  platform: Platform,
  client: GyreClient,
  keys: readonly string[],
): Promise<number> {
  const operations = keys.map((key) => ({ op: "delete", key }) as const);
  const send = () => client.batch(operations, { timeoutMs: BATCH_TIMEOUT_MS });
  const results = await send().catch((error: unknown) => {
    if (error instanceof GyreError && error.status < 500) throw error;
    return send();
  });
  let failed = 0;
  for (const [index, result] of results.entries()) {
    if (result.status === 204) continue;
    failed += 1;
    await platform.stderr.write(
      `not deleted: ${JSON.stringify(keys[index])}: ${String(result.error?.["detail"] ?? result.status)}\n`,
    );
  }
  return failed;
}
