/** The reaping side of a node: what it answers to other reapers, and its own. */
import type { MessageHandlers } from "../cluster/peer-channel.ts";
import { CONTEXT_ENTRIES_COMPACT } from "../core/limits.ts";
import type { Clock } from "../env/clock.ts";
import type { Worker } from "../env/worker.ts";
import { QUARANTINE_SHELF, RESTORED_SHELF } from "../storage/shelves.ts";
import type { Replication } from "./context.ts";
import { Horizons } from "./horizons.ts";
import { QuietWatch } from "./quiet-watch.ts";
import type { Reaping } from "./reap-acts.ts";
import { reapHandlers } from "./reap-service.ts";
import { Reaper, type ReaperStatus } from "./reaper.ts";
import { RestoredWorker, restoredHandlers } from "./restored.ts";

/** For operators: what waits to be forgotten, and what a restored backup has left. */
export interface ReapingView extends ReaperStatus {
  /** Rows of a restored backup that wait for the word of other owners; not all while it is still being looked at. */
  readonly restoredRows: number;
  readonly quarantinedRows: number;
}

export interface ReapingParts {
  readonly view: () => ReapingView;
  readonly reaping: Reaping;
  readonly reaper: Reaper;
  readonly workers: readonly Worker[];
  readonly handlers: MessageHandlers;
}

/**
 * REQUIRES: nothing was written to the store yet since it was opened. `clock` tells what has lasted *at least* so long: it
 * must not count the time in which the machine slept, as that of `r` does.
 */
export function createReaping(
  r: Replication,
  clock: Clock,
  graceMs: number,
  contextEntriesMax = CONTEXT_ENTRIES_COMPACT,
): ReapingParts {
  const quiet = new QuietWatch(r.store, r.env.hasher, clock, r.lifeMs);
  const horizons = new Horizons(r.store.meta);
  const reaping: Reaping = { r, quiet, graceMs, horizons, contextEntriesMax };
  const handlers = { ...reapHandlers(reaping), ...restoredHandlers(r, horizons) };
  const reaper = new Reaper(reaping);
  const view = (): ReapingView => {
    const usage = r.store.asideUsage();
    return {
      ...reaper.status(),
      restoredRows: usage.get(RESTORED_SHELF)?.rows ?? 0,
      quarantinedRows: usage.get(QUARANTINE_SHELF)?.rows ?? 0,
    };
  };
  const workers = [reaper, new RestoredWorker(r)];
  return { reaping, reaper, workers, handlers, view };
}
