import type { Hasher } from "../core/hasher.ts";
import type { Clock } from "../env/clock.ts";
import type { Disk } from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import type { Logger } from "../env/logger.ts";
import type { Random } from "../env/random.ts";

export interface StoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly hasher: Hasher;
  readonly random: Random;
  readonly logger: Logger;
  readonly failStop: Env["failStop"];
  /** Every row of this node has another owner: a broken file may be given up. Without it, none may. */
  readonly isHeldElsewhere?: () => boolean;
  /** Bytes of decoded records to keep in memory, by estimate. */
  readonly cacheBytes: number;
  /** What row digests are keyed with: the same on all nodes of a cluster, unknown to clients. */
  readonly digestKey: Uint8Array;
  /** Told of a commit that held up the event loop so long that deadlines of others must be shifted. */
  readonly onSlowCommit?: (tookMs: number) => void;
  readonly maxTurnRecords?: number;
  readonly maxTurnBytes?: number;
}

/** Plain figures for metrics; all but the last two only rise. */
export interface StoreCounters {
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly commits: number;
  readonly rollbacks: number;
  /** Time spent in commits of turns, in ms. */
  readonly commitMs: number;
  readonly rowsWritten: number;
  readonly bytesWritten: number;
  /** Reads that met a row which cannot be trusted. */
  readonly unknownReads: number;
  readonly cachedRecords: number;
  readonly cachedBytes: number;
}
