/** Every option of `gyre serve`, once: its flag, environment variable, key in the file, type, default and help. */
import { z } from "zod";
import {
  baseUrl,
  byteCount,
  decimalNumber,
  listenAddress,
  listOf,
  oneOf,
  regionsByUrl,
  text,
  webOrigin,
  wholeNumber,
  yesOrNo,
} from "./config-values.ts";
import {
  GRACE_DEFAULT_MS,
  GRACE_MAX_MS,
  MESSAGE_LIFE_MS,
  REQUEST_TIMEOUT_MAX_MS,
} from "./core/limits.ts";

const PLACE = z.string().regex(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/);
const MIB = 1024 ** 2;

/** One option. `Value` is what it is after parsing. */
export interface ServeOption<Value, Fallback extends string | null = string | null> {
  /** Takes what the flag, the environment or the file holds. */
  readonly schema: z.ZodType<Value>;
  /** Ends the sentence "want ...". */
  readonly want: string;
  /** What stands for the value in the help; "" for a flag without a value. */
  readonly hint: string;
  readonly help: string;
  /** As it would be written in a flag; null when leaving it out means something of its own. */
  readonly fallback: Fallback;
  /** Given by `gyre dev` to the nodes it starts: left out of the help, not of the documentation. */
  readonly internal?: true;
}

function option<Value, const Fallback extends string | null>(
  given: ServeOption<Value, Fallback>,
): ServeOption<Value, Fallback> {
  return given;
}

const powerOfTwo = wholeNumber(16, 16_384).refine((value) => (value & (value - 1)) === 0);

/** By key of the configuration file. flagName and environmentName make the two other names. */
export const SERVE_OPTIONS = {
  data: option({
    schema: text,
    want: "a directory",
    hint: "DIR",
    help: "Directory of this node's data; made if it is missing",
    fallback: "gyre-data",
  }),
  backups: option({
    schema: text,
    want: "a directory",
    hint: "DIR",
    help: "Where `gyre backup` puts backups of this node, best on another disk (default: backups in --data)",
    fallback: null,
  }),
  listen: option({
    schema: listenAddress,
    want: "HOST:PORT with a port from 1 to 65535, such as 127.0.0.1:7070",
    hint: "HOST:PORT",
    help: "Where clients connect",
    fallback: "127.0.0.1:7070",
  }),
  peerListen: option({
    schema: listenAddress,
    want: "HOST:PORT with a port from 1 to 65535, such as 127.0.0.1:7071",
    hint: "HOST:PORT",
    help: "Where the other nodes connect",
    fallback: "127.0.0.1:7071",
  }),
  advertise: option({
    schema: baseUrl,
    want: "a base address such as http://10.0.0.1:7070",
    hint: "URL",
    help: "Address of the client listener as others see it (default: from --listen)",
    fallback: null,
  }),
  advertisePeer: option({
    schema: baseUrl,
    want: "a base address such as http://10.0.0.1:7071",
    hint: "URL",
    help: "Address of the peer listener as other nodes see it (default: from --peer-listen)",
    fallback: null,
  }),
  region: option({
    schema: PLACE,
    want: "1 to 63 of a-z, 0-9 and -, such as eu",
    hint: "NAME",
    help: "Region of this node",
    fallback: "local",
  }),
  zone: option({
    schema: PLACE,
    want: "1 to 63 of a-z, 0-9 and -, such as a",
    hint: "NAME",
    help: "Zone within the region: what fails together",
    fallback: "a",
  }),
  weight: option({
    schema: decimalNumber(0.01, 1000),
    want: "a number from 0.01 to 1000",
    hint: "N",
    help: "Share of the data relative to the other nodes",
    fallback: "1",
  }),
  role: option({
    schema: oneOf("storage", "gateway"),
    want: "storage or gateway",
    hint: "ROLE",
    help: "storage keeps data, gateway only coordinates",
    fallback: "storage",
  }),
  join: option({
    schema: listOf(baseUrl),
    want: "peer addresses separated by commas, such as http://10.0.0.1:7071",
    hint: "URL,...",
    help: "Peer addresses to find the cluster by; without it an empty directory starts a new cluster",
    fallback: null,
  }),
  clusterSecretFile: option({
    schema: text,
    want: "a file",
    hint: "FILE",
    help: "File with the cluster's secrets, 64 or more hex digits a line; the first signs, all verify",
    fallback: null,
  }),
  bootstrapExpect: option({
    schema: wholeNumber(1, 1000),
    want: "a whole number from 1 to 1000",
    hint: "N",
    help: "Storage nodes that a new cluster waits for before it takes data",
    fallback: "1",
  }),
  partitions: option({
    schema: powerOfTwo,
    want: "a power of two from 16 to 16384",
    hint: "N",
    help: "Partitions of the ring; counts only when the cluster is created, and for ever",
    fallback: "1024",
  }),
  copies: option({
    schema: wholeNumber(1, 16),
    want: "a whole number from 1 to 16",
    hint: "N",
    help: "Copies of each key (N of the policy default); counts only when the cluster is created",
    fallback: "3",
  }),
  cacheBytes: option({
    schema: byteCount(MIB, 1024 * 1024 * MIB),
    want: "1MiB or more, such as 64MiB",
    hint: "SIZE",
    help: "Memory for the cache of records",
    fallback: "64MiB",
  }),
  antiEntropyBytesPerSecond: option({
    schema: byteCount(64 * 1024, 1024 * 1024 * MIB),
    want: "64KiB or more, such as 32MiB",
    hint: "SIZE",
    help: "Bytes that background repair with other nodes may send and receive in a second",
    fallback: "32MiB",
  }),
  durability: option({
    schema: oneOf("power", "process"),
    want: "power or process",
    hint: "LEVEL",
    help: "power: an acknowledged write survives a power cut; process: only a kill of the process",
    fallback: "power",
  }),
  corsOrigin: option({
    schema: listOf(webOrigin),
    want: "origins separated by commas, such as https://app.example, or *",
    hint: "ORIGIN,...",
    help: "Web pages that may call this node from a browser",
    fallback: null,
  }),
  requestTimeoutMs: option({
    schema: wholeNumber(10, REQUEST_TIMEOUT_MAX_MS),
    want: `a whole number of milliseconds from 10 to ${REQUEST_TIMEOUT_MAX_MS}`,
    hint: "MS",
    help: "Longest time a client's request may take",
    fallback: "5000",
  }),
  graceMs: option({
    schema: wholeNumber(MESSAGE_LIFE_MS, GRACE_MAX_MS),
    want: `a whole number of milliseconds from ${MESSAGE_LIFE_MS} to ${GRACE_MAX_MS}`,
    hint: "MS",
    help: "How long deletes and expired values are remembered at least, the same on all nodes",
    fallback: String(GRACE_DEFAULT_MS),
  }),
  gossipIntervalMs: option({
    schema: wholeNumber(20, 60_000),
    want: "a whole number of milliseconds from 20 to 60000",
    hint: "MS",
    help: "Pause between two rounds of gossip",
    fallback: "500",
  }),
  logLevel: option({
    schema: oneOf("debug", "info", "warn", "error"),
    want: "debug, info, warn or error",
    hint: "LEVEL",
    help: "Least important log line that is written",
    fallback: "info",
  }),
  logFormat: option({
    schema: oneOf("json", "text"),
    want: "json or text",
    hint: "FORMAT",
    help: "Form of log lines (default: text on a terminal, json elsewhere)",
    fallback: null,
  }),
  insecureAllowAnonymous: option({
    schema: yesOrNo,
    want: "true or false",
    hint: "",
    help: "Let anyone who reaches --listen read and write; needed for an address beyond this machine",
    fallback: "false",
  }),
  wanDelayMs: option({
    schema: wholeNumber(0, 60_000),
    want: "a whole number of milliseconds from 0 to 60000",
    hint: "MS",
    help: "Artificial one-way delay to other regions, for trying things out",
    fallback: "0",
    internal: true,
  }),
  wanMap: option({
    schema: regionsByUrl,
    want: "URL=REGION pairs separated by commas",
    hint: "URL=REGION,...",
    help: "Region of each peer address, for --wan-delay-ms",
    fallback: null,
    internal: true,
  }),
  untilStdinCloses: option({
    schema: yesOrNo,
    want: "true or false",
    hint: "",
    help: "Stop when standard input ends, so that no node outlives the program that started it",
    fallback: "false",
    internal: true,
  }),
} as const;

export type ServeOptionKey = keyof typeof SERVE_OPTIONS;

type ValueOf<Option> = Option extends { readonly schema: z.ZodType<infer Value> } ? Value : never;

/** Parsed values; undefined only for options without a default. */
export type ServeValues = {
  readonly [Key in ServeOptionKey]: (typeof SERVE_OPTIONS)[Key]["fallback"] extends string
    ? ValueOf<(typeof SERVE_OPTIONS)[Key]>
    : ValueOf<(typeof SERVE_OPTIONS)[Key]> | undefined;
};

export const SERVE_OPTION_KEYS = Object.keys(SERVE_OPTIONS) as readonly ServeOptionKey[];

/** `peerListen` -> `peer-listen`. */
export function flagName(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `peerListen` -> `GYRE_PEER_LISTEN`. */
export function environmentName(key: string): string {
  return `GYRE_${flagName(key).replaceAll("-", "_").toUpperCase()}`;
}
