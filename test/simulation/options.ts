/**
 * Every option of a run, drawn from its seed. Swarm testing (Groce et al. 2012; TigerBeetle's VOPR draws its worlds like
 * this): most seeds leave some kinds of fault out, because a world with all of them at once hides what one alone would show.
 */
import { SeededRandom } from "./seeded-random.ts";

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

/** Mean virtual ms between two faults of a kind; 0 for never. */
export interface FaultOptions {
  readonly crashMs: number;
  /** Of the crashes, how many strike between a write and its commit, or between two sends. */
  readonly crashMidTurn: number;
  readonly downForMs: number;
  readonly partitionMs: number;
  readonly partitionForMs: number;
  readonly forgetRowMs: number;
  readonly loseDatabaseMs: number;
  readonly diskFullMs: number;
  readonly stallMs: number;
}

export interface WorkloadOptions {
  readonly operations: number;
  readonly keys: number;
  /** So many operations may start at one moment. */
  readonly burst: number;
  readonly clients: number;
  /** Weights: blind put, put with context, delete, get, list, batch, conditional put. */
  readonly mix: readonly number[];
  readonly largeValues: number;
  readonly expiring: number;
}

export interface SimOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly regions: number;
  readonly copies: number;
  readonly partitions: number;
  readonly cacheBytes: number;
  readonly gossipIntervalMs: number;
  readonly requestTimeoutMs: number;
  /** How long the faults last, in virtual ms. */
  readonly safetyMs: number;
  readonly skewMs: number;
  readonly driftPpm: number;
  readonly network: NetworkOptions;
  readonly faults: FaultOptions;
  readonly workload: WorkloadOptions;
}

/** Nobody can lose a message by accident this often and still form quorums; VOPR goes as far. */
const LOSS_MAX = 0.15;

export function drawOptions(seed: number): SimOptions {
  // Neighbouring seeds must not make similar worlds.
  const random = new SeededRandom(Math.imul(seed + 1, 0x9e3779b1));
  random.next();
  const nodes = random.integer(3, 6);
  const regions = random.integer(1, 3);
  const safetyMs = random.integer(5_000, 9_000);
  return {
    seed,
    nodes,
    regions,
    copies: drawCopies(random, nodes),
    partitions: 16,
    cacheBytes: random.pick([4_096, 16_384, 1_048_576]),
    gossipIntervalMs: random.integer(700, 2_000),
    requestTimeoutMs: random.integer(600, 2_000),
    safetyMs,
    skewMs: random.chance(0.5) ? random.integer(1, 2_000) : 0,
    driftPpm: random.chance(0.5) ? random.integer(1, 500) : 0,
    network: drawNetwork(random, regions),
    faults: drawFaults(random, safetyMs),
    workload: drawWorkload(random),
  };
}

function drawCopies(random: SeededRandom, nodes: number): number {
  const drawn = random.pick([3, 3, 3, 3, 3, 3, 2, 5, 4, 1]);
  return Math.min(drawn, nodes);
}

function drawNetwork(random: SeededRandom, regions: number): NetworkOptions {
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

function drawFaults(random: SeededRandom, safetyMs: number): FaultOptions {
  const often = (probability: number, low: number, high: number): number =>
    random.chance(probability) ? safetyMs / random.between(low, high) : 0;
  return {
    crashMs: often(0.8, 2, 10),
    crashMidTurn: random.pick([0.3, 0.6, 0.9]),
    downForMs: random.pick([5, 200, 2_000]),
    partitionMs: often(0.5, 1, 5),
    partitionForMs: random.pick([200, 1_000, 3_000]),
    forgetRowMs: often(0.6, 2, 12),
    loseDatabaseMs: often(0.5, 1, 3),
    diskFullMs: often(0.25, 1, 6),
    stallMs: often(0.3, 1, 4),
  };
}

function drawWorkload(random: SeededRandom): WorkloadOptions {
  const weight = (usual: number): number => (random.chance(0.85) ? usual : 0);
  return {
    operations: random.integer(105, 170),
    keys: random.integer(1, 6),
    burst: random.pick([1, 2, 4, 8]),
    clients: random.integer(3, 10),
    mix: [weight(18), 26, weight(10), 32, weight(5), weight(4), weight(5)],
    largeValues: random.pick([0, 0.05, 0.3]),
    expiring: random.pick([0, 0, 0.1]),
  };
}
