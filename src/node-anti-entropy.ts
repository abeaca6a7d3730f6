/** Trees, rounds, scrub: put together for one node. */
import type { Keyring } from "./cluster/keyring.ts";
import type { Worker } from "./env/worker.ts";
import { AntiEntropy } from "./replication/anti-entropy.ts";
import type { Replication } from "./replication/context.ts";
import { scrubWorker } from "./replication/scrub.ts";
import { noteUnreadable } from "./replication/tree-ranges.ts";
import { treeWorker } from "./replication/tree-worker.ts";
import { treeWorld } from "./replication/tree-world.ts";
import { RowDigester } from "./storage/row-digest.ts";
import { Trees } from "./storage/trees.ts";

export interface AntiEntropyConfig {
  /** ANTI_ENTROPY_INTERVAL_MS. */
  readonly antiEntropyIntervalMs?: number;
  /** ANTI_ENTROPY_BYTES_PER_SECOND. */
  readonly antiEntropyBytesPerSecond?: number;
  /** SCRUB_INTERVAL_MS. */
  readonly scrubIntervalMs?: number;
}

export interface AntiEntropyParts {
  readonly trees: Trees;
  readonly antiEntropy: AntiEntropy;
  readonly workers: readonly Worker[];
}

/** REQUIRES: called before the first row is written, so that the trees miss no change. */
export function createAntiEntropy(
  r: Replication,
  keyring: Keyring,
  config: AntiEntropyConfig,
): AntiEntropyParts {
  const { key, keyId } = keyring.active("row-digest");
  const world = () => {
    const layout = r.membership.layout();
    return layout === undefined ? null : treeWorld(layout);
  };
  const trees = new Trees({
    store: r.store,
    digester: new RowDigester(r.env.hasher, key),
    world,
    onUnreadable: ({ namespace, keyBytes }) => noteUnreadable(r, { namespace, bytes: keyBytes }),
  });
  const { antiEntropyIntervalMs, antiEntropyBytesPerSecond, scrubIntervalMs } = config;
  const antiEntropy = new AntiEntropy({
    r,
    trees,
    keyId,
    ...(antiEntropyIntervalMs === undefined ? {} : { intervalMs: antiEntropyIntervalMs }),
    ...(antiEntropyBytesPerSecond === undefined
      ? {}
      : { bytesPerSecond: antiEntropyBytesPerSecond }),
  });
  const scrub = scrubWorker({
    r,
    trees,
    figures: antiEntropy.figures,
    namespaces: () => world()?.namespaces() ?? [],
    ...(scrubIntervalMs === undefined ? {} : { intervalMs: scrubIntervalMs }),
  });
  return { trees, antiEntropy, workers: [treeWorker(r.env, trees), antiEntropy.worker(), scrub] };
}
