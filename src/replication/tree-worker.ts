import { TREE_SLICE_ROWS } from "../core/limits.ts";
import type { Env } from "../env/env.ts";
import { SqliteError } from "../env/sqlite.ts";
import type { Worker } from "../env/worker.ts";
import type { Trees } from "../storage/trees.ts";

/** Until there is a layout. */
const IDLE_MS = 200;
/** While the trees are as they should be: only a new layout goes unnoticed for so long. */
const REST_MS = 1_000;
/** Pages that cannot be read today may be readable tomorrow, and rows in them may be replaced. */
const AFTER_DAMAGE_MS = 60_000;

/** Builds trees in slices, at most half of the time, so that clients hardly notice. */
export function treeWorker(env: Env, trees: Trees): Worker {
  let told = false;
  return {
    name: "trees",
    wakeBy: (wake) => trees.watchWork(wake),
    step: () => {
      const startMs = env.clock.monotonicMs();
      try {
        if (!trees.step(TREE_SLICE_ROWS)) {
          return Promise.resolve(trees.state === "built" ? REST_MS : IDLE_MS);
        }
      } catch (error) {
        if (!(error instanceof SqliteError) || error.kind === "other") throw error;
        if (!told) env.logger.error("tree-scan-failed", { reason: error.message });
        told = true;
        return Promise.resolve(AFTER_DAMAGE_MS);
      }
      return Promise.resolve(Math.max(1, env.clock.monotonicMs() - startMs));
    },
  };
}
