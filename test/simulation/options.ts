/** What a world is made of. Drawn from its seed (draw-options.ts) and printed with every run. */

export interface NetworkOptions {
  /** Chance that a request is lost, and that an answer is. */
  readonly loseRequest: number;
  readonly loseAnswer: number;
  readonly duplicate: number;
  /** One-way delays in ms: within a region, and by pair of regions [a][b]. */
  readonly nearMs: number;
  readonly farMs: readonly (readonly number[])[];
  /** Up to so much of the delay comes on top, and for one message in `slowOneIn` twenty times that. */
  readonly jitter: number;
  readonly slowOneIn: number;
  /** What arrives at a node within so long is handled in one turn of its event loop, as under load. */
  readonly turnMs: number;
}

/** How the nodes are divided: as in TigerBeetle's VOPR, and by region. */
export type PartitionShape = "lone" | "region" | "half" | "uniform-size" | "pair";

/** Mean virtual ms between two faults of a kind; 0 for never. */
export interface FaultOptions {
  readonly crashMs: number;
  /** Of the crashes, how many strike between a write and its commit, or between two sends. */
  readonly crashMidTurn: number;
  /** Of the starts, how many die at one of their first commits. */
  readonly crashAtStart: number;
  readonly downForMs: number;
  readonly partitionMs: number;
  readonly partitionForMs: number;
  readonly partitionShapes: readonly PartitionShape[];
  readonly oneWay: number;
  readonly flapMs: number;
  readonly slowNodeMs: number;
  readonly forgetRowMs: number;
  readonly loseDatabaseMs: number;
  /** An older backup is restored, and marked as such. */
  readonly restoreMs: number;
  /** The newest commits are gone, and the node's start finds that out. */
  readonly loseNewestMs: number;
  /** The disk is as it was a while ago, and only peers can tell. */
  readonly rollBackMs: number;
  readonly diskFullMs: number;
  /** Only with `durability=process`: else it is a crash. */
  readonly powerCutMs: number;
  readonly stallMs: number;
  readonly clockJumpMs: number;
  /** How far a clock jumps, at most. */
  readonly clockJumpByMs: number;
  /** Chance that somebody misses what a wave ends with, and much of the calm after it; in reaping worlds only. */
  readonly absence: number;
}

export interface WorkloadOptions {
  readonly operations: number;
  readonly keys: number;
  /** So many operations may start at one moment. */
  readonly burst: number;
  readonly clients: number;
  /** Half of the clients have a session. */
  readonly sessions: boolean;
  /** Weights: blind put, put with context, delete, get, list, batch, conditional put, put that is repeated. */
  readonly mix: readonly number[];
  /** How often clients who have seen the same put under the same condition. */
  readonly races: number;
  readonly largeValues: number;
  readonly expiring: number;
  /** Chance that a key which is deleted at the end of a wave is deleted once more. */
  readonly deletedTwice: number;
}

/** A namespace beside `default`. */
export interface NamespaceOptions {
  readonly name: string;
  readonly policy: { readonly n: number } | { readonly regions: Readonly<Record<string, number>> };
  readonly conflict: "majority" | "latest" | "siblings";
  readonly strict: boolean;
}

/** A day passes in seconds: D and the grace time are shortened together. */
export interface ReapingOptions {
  readonly graceMs: number;
  readonly messageLifeMs: number;
  /** Contexts with more entries are compacted. */
  readonly contextEntriesMax: number;
}

export interface SimOptions {
  readonly seed: number;
  /** Storage members; gateways come after them. */
  readonly nodes: number;
  readonly gateways: number;
  readonly regions: number;
  readonly copies: number;
  readonly partitions: number;
  readonly cacheBytes: number;
  /** `process`: commits are not synced, and a power cut takes the newest of them back. */
  readonly durability: "power" | "process";
  readonly gossipIntervalMs: number;
  readonly requestTimeoutMs: number;
  /** How long the faults last, in virtual ms. */
  readonly safetyMs: number;
  /** Null: tombstones stay, as they do within a day. */
  readonly reaping: ReapingOptions | null;
  readonly antiEntropyIntervalMs: number;
  /** 0 for as seldom as in production: never in a run. */
  readonly scrubIntervalMs: number;
  /** How long a hint waits for its target before that needs anti-entropy; 0 for longer than any run. */
  readonly hintAgeMs: number;
  /** Of the disk, as the node is told: hints may take a tenth. 0 when it is not told. */
  readonly diskBytes: number;
  readonly skewMs: number;
  readonly driftPpm: number;
  readonly namespace: NamespaceOptions | null;
  readonly network: NetworkOptions;
  readonly faults: FaultOptions;
  readonly workload: WorkloadOptions;
}

/** Of a unit, whatever its namespace. */
export function fewestOwners({ copies, namespace }: SimOptions): number {
  const policy = namespace?.policy ?? { n: copies };
  const owners =
    "n" in policy ? policy.n : Object.values(policy.regions).reduce((sum, one) => sum + one, 0);
  return Math.min(copies, owners);
}
