/** The reaping side of a node: what it answers to other reapers, and its own. */
import type { MessageHandlers } from "../cluster/peer-channel.ts";
import type { Clock } from "../env/clock.ts";
import type { Replication } from "./context.ts";
import { Horizons } from "./horizons.ts";
import { QuietWatch } from "./quiet-watch.ts";
import type { Reaping } from "./reap-acts.ts";
import { reapHandlers } from "./reap-service.ts";
import { Reaper } from "./reaper.ts";
import { RestoredWorker, restoredHandlers } from "./restored.ts";

export interface ReapingParts {
  readonly reaping: Reaping;
  readonly reaper: Reaper;
  readonly restored: RestoredWorker;
  readonly handlers: MessageHandlers;
}

/**
 * REQUIRES: nothing was written to the store yet since it was opened. `clock` tells what has lasted *at least* so long: it
 * must not count the time in which the machine slept, as that of `r` does.
 */
export function createReaping(
  r: Replication,
  options: {
    readonly clock: Clock;
    readonly graceMs: number;
  },
): ReapingParts {
  const { clock, graceMs } = options;
  const quiet = new QuietWatch(r.store, clock, r.lifeMs);
  const horizons = new Horizons(r.store.meta);
  const reaping: Reaping = { r, quiet, graceMs, horizons };
  const handlers = { ...reapHandlers(reaping), ...restoredHandlers(r, horizons) };
  return { reaping, reaper: new Reaper(reaping), restored: new RestoredWorker(r), handlers };
}
