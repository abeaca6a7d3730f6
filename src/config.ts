/** The configuration of a node from flags, environment and file: flags win over environment over file over defaults. */
import {
  environmentName,
  flagName,
  SERVE_OPTION_KEYS,
  SERVE_OPTIONS,
  type ServeOption,
  type ServeOptionKey,
  type ServeValues,
} from "./config-options.ts";
import { isLoopback, isWildcard, type ListenAddress, urlOf } from "./config-values.ts";
import type { NodeConfig } from "./node-config.ts";

/** All that `gyre serve` needs to start a node. The secrets are read from their file by the runtime. */
export interface ServeConfig {
  readonly node: Omit<NodeConfig, "secrets">;
  readonly dataDirectory: string;
  /** Null: in the data directory. */
  readonly backupDirectory: string | null;
  readonly listen: ListenAddress;
  readonly peerListen: ListenAddress;
  /** Null: the node makes its own secret in its data directory. */
  readonly clusterSecretFile: string | null;
  readonly logLevel: "debug" | "info" | "warn" | "error";
  /** Null: text on a terminal, JSON elsewhere. */
  readonly logFormat: "json" | "text" | null;
  /** Artificial delay for peers of other regions; null for none. */
  readonly wan: { readonly delayMs: number; readonly regions: ReadonlyMap<string, string> } | null;
  readonly untilStdinCloses: boolean;
}

/** Where values come from. Flags and environment by their own names; the file as its text. */
export interface ConfigSources {
  /** By key of SERVE_OPTIONS; undefined where a flag was not given. */
  readonly flags: Readonly<Partial<Record<ServeOptionKey, string | boolean | undefined>>>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly file: { readonly path: string; readonly text: string } | null;
}

/** Something in the configuration cannot be used. The message names it, its value and what is wanted. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** @throws ConfigError */
export function resolveServeConfig(sources: ConfigSources): ServeConfig {
  const values = resolveValues(sources);
  checkTogether(values);
  const url = values.advertise ?? advertised("listen", "advertise", values.listen);
  const peerUrl =
    values.advertisePeer ?? advertised("peer-listen", "advertise-peer", values.peerListen);
  return {
    node: {
      region: values.region,
      zone: values.zone,
      weight: values.weight,
      role: values.role,
      url,
      peerUrl,
      join: values.join ?? [],
      bootstrapExpect: values.bootstrapExpect,
      partitions: values.partitions,
      copies: values.copies,
      cacheBytes: values.cacheBytes,
      antiEntropyBytesPerSecond: values.antiEntropyBytesPerSecond,
      durability: values.durability,
      corsOrigins: values.corsOrigin ?? [],
      requestTimeoutMs: values.requestTimeoutMs,
      graceMs: values.graceMs,
      gossipIntervalMs: values.gossipIntervalMs,
    },
    dataDirectory: values.data,
    backupDirectory: values.backups ?? null,
    listen: values.listen,
    peerListen: values.peerListen,
    clusterSecretFile: values.clusterSecretFile ?? null,
    logLevel: values.logLevel,
    logFormat: values.logFormat ?? null,
    wan:
      values.wanDelayMs === 0
        ? null
        : { delayMs: values.wanDelayMs, regions: values.wanMap ?? new Map() },
    untilStdinCloses: values.untilStdinCloses,
  };
}

/**
 * The secrets of a `--cluster-secret-file`: one a line, hexadecimal, 32 bytes or more; the first signs, all verify.
 * @throws ConfigError; the message never shows a secret.
 */
export function parseSecrets(path: string, content: string): Uint8Array[] {
  const secrets: Uint8Array[] = [];
  for (const [index, line] of content.split("\n").entries()) {
    const digits = line.trim();
    if (digits === "") continue;
    if (!/^(?:[0-9a-fA-F]{2}){32,}$/.test(digits)) {
      throw new ConfigError(
        `Cannot use line ${index + 1} of the cluster secret file ${path}, want 64 or more hex digits ` +
          "(`openssl rand -hex 32` makes a secret)",
      );
    }
    secrets.push(bytesFromHex(digits));
  }
  if (secrets.length === 0) {
    throw new ConfigError(
      `The cluster secret file ${path} is empty, want a line of 64 or more hex digits (\`openssl rand -hex 32\` makes one)`,
    );
  }
  return secrets;
}

interface Given {
  readonly value: unknown;
  /** How the message calls it, such as `--copies` or `GYRE_COPIES`. */
  readonly from: string;
}

function resolveValues(sources: ConfigSources): ServeValues {
  const file = sources.file === null ? {} : parseFile(sources.file);
  const values: Record<string, unknown> = {};
  for (const key of SERVE_OPTION_KEYS) {
    const option: ServeOption<unknown> = SERVE_OPTIONS[key];
    const given = findGiven(key, sources, file);
    values[key] = given === undefined ? undefined : parseGiven(key, given, option);
  }
  return values as unknown as ServeValues;
}

function findGiven(
  key: ServeOptionKey,
  sources: ConfigSources,
  file: Readonly<Record<string, unknown>>,
): Given | undefined {
  const flag = sources.flags[key];
  if (flag !== undefined) return { value: flag, from: `--${flagName(key)}` };
  const variable = environmentName(key);
  const fromEnvironment = sources.environment[variable];
  // An empty variable is how shells and compose files say "not set".
  if (fromEnvironment !== undefined && fromEnvironment !== "")
    return { value: fromEnvironment, from: variable };
  if (file[key] !== undefined)
    return { value: file[key], from: `"${key}" in ${sources.file?.path}` };
  const fallback = SERVE_OPTIONS[key].fallback;
  return fallback === null ? undefined : { value: fallback, from: "the default" };
}

function parseGiven(key: ServeOptionKey, given: Given, option: ServeOption<unknown>): unknown {
  const parsed = option.schema.safeParse(given.value);
  if (parsed.success) return parsed.data;
  const flag = `--${flagName(key)}`;
  const from = given.from === flag ? "" : ` (from ${given.from})`;
  throw new ConfigError(
    `Cannot use ${flag} ${JSON.stringify(given.value)}${from}, want ${option.want}`,
  );
}

function parseFile(file: {
  readonly path: string;
  readonly text: string;
}): Readonly<Record<string, unknown>> {
  let content: unknown;
  try {
    content = JSON.parse(file.text);
  } catch (error) {
    throw new ConfigError(
      `Cannot read the configuration file ${file.path} as JSON: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
  if (typeof content !== "object" || content === null || Array.isArray(content)) {
    throw new ConfigError(`Cannot use the configuration file ${file.path}, want one JSON object`);
  }
  for (const key of Object.keys(content)) {
    if (!Object.hasOwn(SERVE_OPTIONS, key)) {
      throw new ConfigError(
        `Unknown key ${JSON.stringify(key)} in the configuration file ${file.path}, want some of: ${SERVE_OPTION_KEYS.join(", ")}`,
      );
    }
  }
  return content as Record<string, unknown>;
}

/** What no single option can check. */
function checkTogether(values: ServeValues): void {
  if (!isLoopback(values.listen.host) && !values.insecureAllowAnonymous) {
    throw new ConfigError(
      `Cannot listen for clients on ${values.listen.host}: this version has no client authentication, so everyone who ` +
        "reaches the address could read and write. Listen on 127.0.0.1 behind a proxy that authenticates, or accept " +
        "it with --insecure-allow-anonymous",
    );
  }
  if (!isLoopback(values.peerListen.host) && values.clusterSecretFile === undefined) {
    throw new ConfigError(
      `Cannot listen for peers on ${values.peerListen.host} without --cluster-secret-file: nodes on different machines ` +
        "prove with the shared secret that they belong together",
    );
  }
  if (values.join !== undefined && values.clusterSecretFile === undefined) {
    throw new ConfigError(
      "Cannot --join without --cluster-secret-file: give the file that the cluster's other nodes use",
    );
  }
  if (
    values.listen.port === values.peerListen.port &&
    values.listen.host === values.peerListen.host
  ) {
    throw new ConfigError(
      `Cannot use port ${values.listen.port} for both --listen and --peer-listen, want two different ports`,
    );
  }
  if (values.wanDelayMs > 0 && values.wanMap === undefined) {
    throw new ConfigError(`Cannot use --wan-delay-ms ${values.wanDelayMs} without --wan-map`);
  }
}

function advertised(listenFlag: string, advertiseFlag: string, address: ListenAddress): string {
  if (isWildcard(address.host)) {
    throw new ConfigError(
      `Cannot tell others to connect to ${address.host} (from --${listenFlag}), which stands for every interface of ` +
        `whoever reads it; give the address that reaches this node with --${advertiseFlag}`,
    );
  }
  return urlOf(address);
}

function bytesFromHex(digits: string): Uint8Array {
  const bytes = new Uint8Array(digits.length / 2);
  for (let i = 0; i < bytes.length; i++)
    bytes[i] = Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16);
  return bytes;
}
