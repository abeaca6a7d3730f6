/** One seed: form a cluster, let clients and faults at it, heal the world, let it converge, look at everything. */
import type { Hasher } from "../../src/core/hasher.ts";
import { judgeCaches } from "./checkers/caches.ts";
import { judgeStrayRows } from "./checkers/convergence.ts";
import { judgeFinalState } from "./checkers/final-state.ts";
import type { Violation } from "./checkers/report.ts";
import { judgeTelling } from "./checkers/telling.ts";
import { Faults } from "./faults/faults.ts";
import { formCluster } from "./forming.ts";
import { heal } from "./healing.ts";
import type { SimOptions } from "./options.ts";
import { drawWorld, type Profile } from "./profile.ts";
import { Workload } from "./workload/workload.ts";
import { World } from "./world.ts";

export interface SeedResult {
  readonly seed: number;
  readonly options: SimOptions;
  readonly hash: string;
  readonly events: number;
  readonly virtualMs: number;
  readonly operations: number;
  readonly acknowledged: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly violations: readonly Violation[];
  readonly trace: readonly string[];
}

export async function runSeed(
  seed: number,
  hasher: Hasher,
  profile: Profile = "full",
  keepTrace = false,
): Promise<SeedResult> {
  const world = new World(drawWorld(seed, profile), hasher, keepTrace);
  try {
    await run(world);
  } catch (error) {
    // Without the stack, whose form differs between runtimes.
    world.violate("run", String(error));
  }
  for (const node of world.nodes) if (node.alive) world.countStates(node.index);
  return {
    seed,
    options: world.options,
    hash: world.trace.hash(),
    events: world.trace.events,
    virtualMs: world.nowMs,
    operations: world.ledger.ops.length,
    acknowledged: [...world.ledger.keys.values()].reduce((sum, key) => sum + key.acked.length, 0),
    counts: Object.fromEntries(world.counts),
    violations: world.violations,
    trace: world.trace.lines ?? [],
  };
}

async function run(world: World): Promise<void> {
  const { options, clock } = world;
  const workload = new Workload(world);
  await formCluster(world);
  world.network.beginFaults();
  const faults = new Faults(world, workload);
  faults.start();
  workload.schedule(options.safetyMs);
  await clock.run(world.nowMs + options.safetyMs);
  faults.stop();
  workload.stop();
  const isDone = (): boolean => workload.open === 0;
  await clock.runUntil(isDone, 60_000, "every operation is answered or given up");
  if (world.violations.length > 0) return;
  await heal(world, workload);
  if (world.violations.length > 0) return;
  judgeStrayRows(world);
  judgeFinalState(world);
  await judgeCaches(world, workload);
  await judgeTelling(world);
}
