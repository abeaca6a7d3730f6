/**
 * Every option of a run, drawn from its seed. Swarm testing (Groce et al. 2012; TigerBeetle's VOPR draws its worlds like
 * this): most seeds leave some kinds of fault out, because a world with all of them at once hides what one alone would show.
 */
import type {
  FaultOptions,
  NamespaceOptions,
  NetworkOptions,
  PartitionShape,
  ReapingOptions,
  SimOptions,
  WorkloadOptions,
} from "./options.ts";
import { type SeededRandom, streamOf } from "./seeded-random.ts";

/** Nobody can lose a message by accident this often and still form quorums; VOPR goes as far. */
const LOSS_MAX = 0.15;
const MINUTE_MS = 60_000;
const CALM: Partial<FaultOptions> = {
  ...{ crashMs: 0, partitionMs: 0, flapMs: 0, slowNodeMs: 0, stallMs: 0 },
  ...{ forgetRowMs: 0, loseDatabaseMs: 0, loseNewestMs: 0 },
};
/** They last three times as long as the others. */
const REAPING_SHARE = 0.2;
const SET_BACK_SHARE = 0.15;

export function drawOptions(seed: number): SimOptions {
  const random = streamOf(seed, "options");
  const nodes = random.integer(3, 6);
  const regions = random.integer(1, 3);
  const reaping = random.chance(REAPING_SHARE) ? drawReaping(random) : null;
  const safetyMs = reaping === null ? random.integer(5_000, 9_000) : random.integer(20_000, 28_000);
  const drawn: SimOptions = {
    seed,
    nodes,
    gateways: random.chance(0.15) ? 1 : 0,
    regions,
    copies: drawCopies(random, nodes),
    partitions: 16,
    cacheBytes: random.pick([4_096, 16_384, 1_048_576]),
    durability: random.chance(0.15) ? "process" : "power",
    gossipIntervalMs: random.integer(700, 2_000),
    requestTimeoutMs: reaping === null ? random.integer(600, 2_000) : random.integer(300, 500),
    safetyMs,
    reaping,
    // Where owners seldom compare, what one of them missed stays missed for long.
    antiEntropyIntervalMs: random.chance(0.7) ? random.integer(1_000, 4_000) : 12_000,
    scrubIntervalMs: random.chance(0.3) ? 1_000 : 0,
    hintAgeMs: random.chance(0.25) ? 1_500 : 0,
    diskBytes: random.chance(0.1) ? random.integer(10_000, 60_000) : 0,
    skewMs: random.chance(0.5) ? random.integer(1, 2_000) : 0,
    driftPpm: random.chance(0.5) ? random.integer(1, 500) : 0,
    namespace: random.chance(0.2) ? drawNamespace(random, nodes, regions) : null,
    network: drawNetwork(random, regions),
    faults: drawFaults(random, safetyMs),
    workload: { ...drawWorkload(random), races: drawRaces(seed) },
  };
  return reaping === null ? drawn : withMuchToForget(drawn);
}

/** No request may outlive a message, and an owner must have been quiet for four times a message's life. */
function drawReaping(random: SeededRandom): ReapingOptions {
  const messageLifeMs = random.integer(700, 900);
  return { messageLifeMs, graceMs: messageLifeMs * random.integer(2, 4), contextEntriesMax: 0 };
}

/**
 * What makes forgetting dangerous, by chance of its own: values that expire, deletes on top of deletes, somebody who misses them,
 * backups from before.
 */
function withMuchToForget(drawn: SimOptions): SimOptions {
  const random = streamOf(drawn.seed, "options of forgetting");
  const { reaping, workload, faults, safetyMs } = drawn;
  if (reaping === null) return drawn;
  // Each start, and each member that is away, keeps everybody from forgetting: where there are few, there are backups from before.
  const isCalm = faults.rollBackMs === 0 && random.chance(0.5);
  const restoreMs = isCalm ? safetyMs / random.between(2, 4) : faults.restoreMs;
  return {
    ...drawn,
    // Where every node is an owner nobody keeps hints, which would tell that an owner has missed something.
    copies: random.chance(0.5) ? drawn.nodes : drawn.copies,
    antiEntropyIntervalMs: random.chance(0.5) ? 12_000 : drawn.antiEntropyIntervalMs,
    reaping: { ...reaping, contextEntriesMax: random.pick([1, 2, 4]) },
    workload: {
      ...workload,
      expiring: random.pick([0, 0.1, 0.4]),
      deletedTwice: random.pick([0, 0.5]),
    },
    faults: {
      ...faults,
      ...(isCalm ? CALM : {}),
      restoreMs,
      absence: random.pick([0, 0.6, 1, 1]),
    },
  };
}

function drawCopies(random: SeededRandom, nodes: number): number {
  const drawn = random.pick([3, 3, 3, 3, 3, 3, 2, 5, 4, 1]);
  return Math.min(drawn, nodes);
}

/** Every region has at least one node: nodes are dealt round robin, and there are no fewer nodes than regions. */
function drawNamespace(random: SeededRandom, nodes: number, regions: number): NamespaceOptions {
  const byRegion: Record<string, number> = {};
  for (let region = 0; region < regions; region++) {
    if (region === 0 || random.chance(0.6)) byRegion[`region-${region}`] = 1;
  }
  return {
    name: "second",
    policy: random.chance(0.5) ? { n: random.integer(1, nodes) } : { regions: byRegion },
    conflict: random.pick(["majority", "latest", "siblings"]),
    strict: random.chance(0.3),
  };
}

export function drawNetwork(random: SeededRandom, regions: number): NetworkOptions {
  const lossy = random.chance(0.6);
  const nearMs = random.between(0.2, 3);
  const farMs: number[][] = [];
  for (let a = 0; a < regions; a++) {
    farMs.push([]);
    for (let b = 0; b < regions; b++) {
      const there = farMs[b]?.[a];
      farMs[a]?.push(a === b ? nearMs : (there ?? random.between(5, 60)));
    }
  }
  return {
    loseRequest: lossy ? random.between(0, LOSS_MAX) : 0,
    loseAnswer: lossy ? random.between(0, LOSS_MAX) : 0,
    duplicate: random.chance(0.5) ? random.between(0, 0.1) : 0,
    nearMs,
    farMs,
    jitter: random.between(0.1, 3),
    slowOneIn: random.pick([0, 100, 30]),
    turnMs: random.pick([0, 0, 1, 5, 20]),
  };
}

const SHAPES: readonly PartitionShape[] = ["lone", "region", "half", "uniform-size", "pair"];

export function drawFaults(random: SeededRandom, safetyMs: number): FaultOptions {
  const often = (probability: number, low: number, high: number): number =>
    random.chance(probability) ? safetyMs / random.between(low, high) : 0;
  const shapes = SHAPES.filter(() => random.chance(0.6));
  const drawn: FaultOptions = {
    crashMs: often(0.75, 2, 10),
    crashMidTurn: random.pick([0.3, 0.6, 0.9]),
    crashAtStart: random.pick([0, 0, 0.3]),
    downForMs: random.pick([5, 200, 2_000]),
    partitionMs: often(0.5, 1, 5),
    partitionForMs: random.pick([200, 1_000, 3_000]),
    partitionShapes: shapes.length > 0 ? shapes : SHAPES,
    oneWay: random.pick([0, 0.4, 1]),
    flapMs: often(0.15, 1, 3),
    slowNodeMs: often(0.15, 1, 3),
    forgetRowMs: often(0.55, 2, 12),
    loseDatabaseMs: often(0.4, 1, 3),
    restoreMs: often(0.25, 1, 3),
    loseNewestMs: often(0.25, 1, 3),
    rollBackMs: 0,
    diskFullMs: often(0.25, 1, 6),
    powerCutMs: often(0.7, 1, 6),
    stallMs: often(0.3, 1, 4),
    clockJumpMs: often(0.2, 1, 3),
    absence: 0,
    clockJumpByMs: random.pick([1_000, 4_000, MINUTE_MS, 10 * MINUTE_MS, 48 * 60 * MINUTE_MS]),
  };
  if (!random.chance(SET_BACK_SHARE)) return drawn;
  const setBack = { ...drawn, rollBackMs: often(1, 1, 3) };
  return random.chance(0.5) ? withLonelyStarts(setBack, random, safetyMs) : setBack;
}

/** By a stream of its own. */
export function drawRaces(seed: number): number {
  const random = streamOf(seed, "how many races");
  return random.chance(0.3) ? random.integer(4, 12) : 0;
}

/** Starts that nobody hears of are those of which nobody can tell that they were there. */
function withLonelyStarts(
  drawn: FaultOptions,
  random: SeededRandom,
  safetyMs: number,
): FaultOptions {
  return {
    ...drawn,
    crashMs: safetyMs / random.between(2, 10),
    partitionMs: safetyMs / 4,
    partitionForMs: random.pick([1_000, 3_000]),
    partitionShapes: ["lone"],
    oneWay: random.pick([0.4, 1]),
  };
}

export function drawWorkload(random: SeededRandom): WorkloadOptions {
  const weight = (usual: number): number => (random.chance(0.85) ? usual : 0);
  return {
    operations: random.integer(105, 170),
    keys: random.integer(1, 6),
    burst: random.pick([1, 2, 4, 8]),
    clients: random.integer(3, 10),
    sessions: random.chance(0.4),
    mix: [weight(18), 26, weight(10), 32, weight(5), weight(4), weight(5), weight(4)],
    races: 0,
    largeValues: random.pick([0, 0.05, 0.3]),
    expiring: random.pick([0, 0, 0.1]),
    deletedTwice: 0,
  };
}
