/** What all commands that talk to a cluster share: flags, the client, and how its errors end a command. */
import { createClient, type GyreClient } from "../client/client.ts";
import { GyreConnectionError, GyreError } from "../client/errors.ts";
import type { ConflictName, ConsistencyName } from "../client/types.ts";
import { sleep } from "../env/worker.ts";
import { CliError, EXIT, usageError } from "./errors.ts";
import type { Platform } from "./platform.ts";

const DEFAULT_URL = "http://127.0.0.1:7070";
const DEFAULT_TIMEOUT_MS = 10_000;

export const CONNECTION_ARGS = {
  url: {
    type: "string",
    valueHint: "URL,...",
    description: `Servers, the nearest first (GYRE_URL; default: ${DEFAULT_URL})`,
  },
  namespace: {
    type: "string",
    alias: "n",
    valueHint: "NAME",
    description: "Namespace (GYRE_NAMESPACE; default: default)",
  },
  "timeout-ms": {
    type: "string",
    valueHint: "MS",
    description: `Longest time for one call (default: ${DEFAULT_TIMEOUT_MS})`,
  },
} as const;

export const CONSISTENCY_ARG = {
  consistency: {
    type: "enum",
    options: ["one", "local-quorum", "quorum", "each-quorum", "all"] as ConsistencyName[],
    description: "How many replicas must take part (default: the namespace's)",
  },
} as const;

export const CONFLICT_ARG = {
  conflict: {
    type: "enum",
    options: ["majority", "latest", "siblings"] as ConflictName[],
    description: "Which of several concurrent values is answered (default: the namespace's)",
  },
} as const;

export const JSON_ARG = {
  json: { type: "boolean", description: "Write JSON for machines" },
} as const;

export interface ConnectionFlags {
  readonly url?: string | undefined;
  readonly namespace?: string | undefined;
  readonly "timeout-ms"?: string | undefined;
}

export function namespaceOf(platform: Platform, flags: ConnectionFlags): string {
  return flags.namespace ?? (platform.environment["GYRE_NAMESPACE"] || "default");
}

/** The servers' base addresses, for messages. */
export function urlsOf(platform: Platform, flags: ConnectionFlags): readonly string[] {
  const given = flags.url ?? (platform.environment["GYRE_URL"] || DEFAULT_URL);
  return given.split(",");
}

/** @throws CliError (usage) for addresses that are none. */
export function connect(platform: Platform, flags: ConnectionFlags, retries?: number): GyreClient {
  try {
    return createClient({
      endpoints: urlsOf(platform, flags),
      namespace: namespaceOf(platform, flags),
      timeoutMs:
        parseCount("--timeout-ms", flags["timeout-ms"], 1, 3_600_000) ?? DEFAULT_TIMEOUT_MS,
      ...(retries === undefined ? {} : { retries }),
      world: {
        fetch: platform.fetch,
        nowMs: () => platform.clock.monotonicMs(),
        sleep: (delayMs) => sleep(platform.clock, delayMs),
        chance: () => platform.random.below(2 ** 32) / 2 ** 32,
      },
    });
  } catch (error) {
    if (error instanceof TypeError) throw usageError(error.message);
    throw error;
  }
}

/** Undefined when the flag was not given. @throws CliError (usage) */
export function parseCount(
  flag: string,
  given: string | undefined,
  least: number,
  most: number,
): number | undefined {
  if (given === undefined) return undefined;
  const value = Number(given);
  if (/^\d{1,15}$/.test(given) && value >= least && value <= most) return value;
  throw usageError(
    `Cannot use ${flag} ${JSON.stringify(given)}, want a whole number from ${least} to ${most}`,
  );
}

/** Trying the same again, later or elsewhere, may succeed. */
const NOT_REACHED_STATUSES: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** The sentence and the exit code for an error of the client; undefined for any other error. */
export function explainClientError(error: unknown): CliError | undefined {
  if (error instanceof GyreConnectionError) {
    return new CliError(
      `${error.message}. Is a node running there? Choose another one with --url`,
      {
        exitCode: EXIT.notReached,
        cause: error,
      },
    );
  }
  if (!(error instanceof GyreError)) return undefined;
  const id = error.requestId === null ? "" : `, request ${error.requestId}`;
  return new CliError(`${error.message} (${error.code}${id})`, {
    exitCode: NOT_REACHED_STATUSES.has(error.status) ? EXIT.notReached : EXIT.failed,
    cause: error,
  });
}
