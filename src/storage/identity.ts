import { utf8Decode, utf8Encode } from "../core/bytes.ts";
import { type ClusterId, type NodeId, parseClusterId, parseNodeId } from "../core/ids.ts";
import { crc32 } from "./crc32.ts";

const IDENTITY_VERSION = 1;

export type DatabaseState = "none" | "ready" | "lost" | "doubtful" | "dropped";

const STATES: readonly string[] = [
  "none",
  "ready",
  "lost",
  "doubtful",
  "dropped",
] satisfies DatabaseState[];

/**
 * Who this data directory is: `identity.json` and its copy. It outlives the database, so that a node whose database is gone still knows
 * that it once had one.
 */
export interface Identity {
  readonly nodeId: NodeId;
  /** Undefined until the node has created or joined a cluster. */
  readonly clusterId: ClusterId | undefined;
  readonly createdAtMs: number;
  /** Starts so far. Here and not in the database, because peers believe the higher one. */
  readonly boots: number;
  /**
   * `none`: never finished making one. `ready`: there must be one. `lost`: it was given up, a new one is being made.
   * `doubtful`: it lost its newest commits and is being taken over under a new actor id. `dropped`: it loses damaged small
   * values, no row, and is being taken over under a new actor id.
   */
  readonly database: DatabaseState;
  /** Some of its rows are on no other node: a damaged database is then not given up by itself. Absent: it is not so. */
  readonly onlyCopy?: true | undefined;
}

export function encodeIdentity(identity: Identity): Uint8Array {
  const fields = { version: IDENTITY_VERSION, ...identity, check: checkOf(identity) };
  return utf8Encode(`${JSON.stringify(fields, null, 2)}\n`);
}

/** @throws TypeError or SyntaxError that says what is wrong. */
export function decodeIdentity(bytes: Uint8Array): Identity {
  const fields: unknown = JSON.parse(utf8Decode(bytes));
  const identity = readFields(fields);
  const { check } = fields as Record<string, unknown>;
  if (check !== checkOf(identity)) throw new TypeError("the check does not match: it is damaged");
  return identity;
}

/** Eight hex digits over what the fields say: a flipped bit in an id would make another node of this one. */
function checkOf(identity: Identity): string {
  const { nodeId, clusterId, createdAtMs, boots, database, onlyCopy } = identity;
  const facts = [nodeId, clusterId ?? null, createdAtMs, boots, database];
  const text = JSON.stringify(onlyCopy === true ? [...facts, "only copy"] : facts);
  return crc32(utf8Encode(text)).toString(16).padStart(8, "0");
}

function readFields(fields: unknown): Identity {
  if (typeof fields !== "object" || fields === null) throw new TypeError("want a JSON object");
  const { version, nodeId, clusterId, createdAtMs, boots, database, onlyCopy } = fields as Record<
    string,
    unknown
  >;
  if (version !== IDENTITY_VERSION)
    throw new TypeError(`want version ${IDENTITY_VERSION}: ${String(version)}`);
  const state = text("database", database);
  if (!STATES.includes(state)) throw new TypeError(`want database ${STATES.join(", ")}: ${state}`);
  return {
    nodeId: parseNodeId(text("nodeId", nodeId)),
    clusterId: clusterId === undefined ? undefined : parseClusterId(text("clusterId", clusterId)),
    createdAtMs: count("createdAtMs", createdAtMs),
    boots: count("boots", boots),
    database: state as DatabaseState,
    onlyCopy: onlyCopy === true ? true : undefined,
  };
}

function text(name: string, value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`want text for ${name}: ${String(value)}`);
  return value;
}

function count(name: string, value: unknown): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new TypeError(`want a whole number for ${name}: ${String(value)}`);
  }
  return value;
}
