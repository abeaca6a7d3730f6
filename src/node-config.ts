/** As in package.json; a test holds them together. A constant, because single binaries carry no package.json. */
export const VERSION = "0.1.0";

/** What a node is told at start. Made by config.ts from flags, environment and file; by hand in tests. */
export interface NodeConfig {
  readonly region: string;
  readonly zone: string;
  readonly weight: number;
  readonly role: "storage" | "gateway";
  /** Client-facing base address that others may tell users, such as `http://10.0.0.1:7070`. */
  readonly url: string;
  /** Peer-facing base address that other nodes call. */
  readonly peerUrl: string;
  /** Peer addresses to find the cluster by. Empty: create one (or go on with the one in the data directory). */
  readonly join: readonly string[];
  /** Storage members to wait for before data is taken. Only the creator's counts. */
  readonly bootstrapExpect: number;
  /** Q, used only by the creator. */
  readonly partitions: number;
  /** Copies of the policy `default`, used only by the creator. */
  readonly copies: number;
  /** 32 bytes or more; the first signs, all verify. */
  readonly secrets: readonly Uint8Array[];
  readonly cacheBytes: number;
  readonly durability: "power" | "process";
  readonly corsOrigins: readonly string[];
  readonly requestTimeoutMs: number;
  readonly gossipIntervalMs: number;
  /** How long tombstones and expired values are kept at least: GRACE_DEFAULT_MS unless given. */
  readonly graceMs?: number;
  /** D, the same on all nodes of a cluster: MESSAGE_LIFE_MS, but for worlds where a day must pass in a minute. */
  readonly messageLifeMs?: number;
  /** Contexts with more entries are compacted: CONTEXT_ENTRIES_COMPACT, but for worlds too short to fill one. */
  readonly contextEntriesMax?: number;
  /** Bytes of the disk that holds the data directory, 0 or absent when it does not say: hints may take a part of them. */
  readonly diskBytes?: number;
  /** How long hints wait for their targets: HINT_AGE_MAX_MS, but for worlds that do not last so long. */
  readonly hintAgeMs?: number;
  /** ANTI_ENTROPY_INTERVAL_MS unless given. */
  readonly antiEntropyIntervalMs?: number;
  /** ANTI_ENTROPY_BYTES_PER_SECOND unless given. */
  readonly antiEntropyBytesPerSecond?: number;
  /** SCRUB_INTERVAL_MS unless given. */
  readonly scrubIntervalMs?: number;
}
