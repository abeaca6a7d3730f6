/**
 * Small worlds for many seeds in little time: three or four nodes, a few seconds, and the faults that strike most of what is
 * built: messages lost, delayed, reordered and duplicated, partitions, crashes, rows that rot and databases that are lost.
 */
import { drawFaults, drawNetwork, drawRaces, drawWorkload } from "./draw-options.ts";
import type { FaultOptions, SimOptions } from "./options.ts";
import { streamOf } from "./seeded-random.ts";

/** What only the full profile has. */
const LEFT_OUT: Partial<FaultOptions> = {
  crashAtStart: 0,
  flapMs: 0,
  slowNodeMs: 0,
  restoreMs: 0,
  loseNewestMs: 0,
  rollBackMs: 0,
  diskFullMs: 0,
  powerCutMs: 0,
  stallMs: 0,
  clockJumpMs: 0,
};

export function drawSmoke(seed: number): SimOptions {
  const random = streamOf(seed, "options of a small world");
  const nodes = random.pick([3, 3, 4]);
  const regions = random.integer(1, 3);
  const safetyMs = random.integer(1_500, 3_000);
  return {
    seed,
    nodes,
    gateways: 0,
    regions,
    copies: random.pick([3, 3, 3, 3, 2]),
    partitions: 16,
    cacheBytes: random.pick([4_096, 1_048_576]),
    durability: "power",
    gossipIntervalMs: random.integer(700, 1_500),
    requestTimeoutMs: random.integer(400, 900),
    safetyMs,
    reaping: null,
    antiEntropyIntervalMs: random.integer(1_000, 2_000),
    scrubIntervalMs: 0,
    hintAgeMs: 0,
    diskBytes: 0,
    skewMs: random.chance(0.5) ? random.integer(1, 2_000) : 0,
    driftPpm: random.chance(0.5) ? random.integer(1, 500) : 0,
    namespace: null,
    network: drawNetwork(random, regions),
    faults: { ...drawFaults(random, safetyMs), ...LEFT_OUT },
    workload: {
      ...drawWorkload(random),
      races: drawRaces(seed),
      operations: random.integer(40, 60),
      keys: random.integer(1, 3),
      clients: random.integer(3, 5),
      sessions: false,
    },
  };
}
