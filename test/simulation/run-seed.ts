/** One seed: form a cluster, let clients and faults at it, heal the world, let it converge, look at everything. */
import type { Hasher } from "../../src/core/hasher.ts";
import { judgeCaches } from "./checkers/caches.ts";
import { divergence, judgeStrayRows } from "./checkers/convergence.ts";
import { judgeFinalState } from "./checkers/final-state.ts";
import type { Violation } from "./checkers/report.ts";
import { urlOf } from "./client-call.ts";
import { Faults } from "./faults.ts";
import { drawOptions, type SimOptions } from "./options.ts";
import { Workload } from "./workload.ts";
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

const FORM_LIMIT_MS = 60_000;
/** A healed world must converge within so many rounds of reading every key from all of its homes. */
const CONVERGE_ROUNDS = 40;
const CONVERGE_PAUSE_MS = 500;

export async function runSeed(
  seed: number,
  hasher: Hasher,
  keepTrace = false,
): Promise<SeedResult> {
  const world = new World(drawOptions(seed), hasher, keepTrace);
  try {
    await run(world);
  } catch (error) {
    // Without the stack, whose form differs between runtimes.
    world.violate("run", String(error));
  }
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
  for (const node of world.nodes) world.boot(node.index);
  await untilReady(world, FORM_LIMIT_MS);
  await learnHomes(world);
  world.network.beginFaults();
  const faults = new Faults(world, workload);
  faults.start();
  workload.schedule(options.safetyMs);
  await clock.run(world.nowMs + options.safetyMs);
  faults.stop();
  workload.stop();
  await clock.runUntil(
    () => workload.open === 0,
    60_000,
    "every operation is answered or given up",
  );
  if (world.violations.length > 0) return;
  await converge(world, workload);
  if (world.violations.length > 0) return;
  judgeStrayRows(world);
  judgeFinalState(world);
  await judgeCaches(world, workload);
}

async function untilReady(world: World, limitMs: number): Promise<void> {
  const endMs = world.nowMs + limitMs;
  for (;;) {
    const answers = await Promise.all(
      world.nodes.map((node) => ask(world, node.index, "/readyz").catch(() => null)),
    );
    if (answers.every((answer) => answer?.status === 200)) return;
    if (world.nowMs >= endMs) throw new Error("the cluster was not ready in time");
    await world.clock.run(world.nowMs + 250);
  }
}

function ask(world: World, node: number, path: string): Promise<Response> {
  const running = world.node(node).process?.node;
  if (running === undefined || running === null) throw new Error(`node ${node} does not run`);
  return Promise.resolve(running.fetch(new Request(urlOf(node, path, ""))));
}

interface Explained {
  readonly owners: readonly { readonly id: string }[];
}

async function learnHomes(world: World): Promise<void> {
  for (const key of world.ledger.keys.values()) {
    let body: Explained | null = null;
    ask(world, 0, `/v1/cluster/explain/default/${key.name}`).then(
      async (response) => {
        body = (await response.json()) as Explained;
      },
      () => undefined,
    );
    await world.clock.runUntil(() => body !== null, 10_000, `explain of ${key.name}`);
    const { owners } = body as unknown as Explained;
    key.homes = owners.map(({ id }) => world.nodes.findIndex((node) => node.id === id));
  }
}

/** Reads every key from all homes until nothing differs: read repair is what this floor of the store converges by. */
async function converge(world: World, workload: Workload): Promise<void> {
  await untilReady(world, FORM_LIMIT_MS);
  let why: string | null = null;
  for (let round = 0; round < CONVERGE_ROUNDS; round++) {
    let refused = 0;
    let open = 0;
    for (const key of world.ledger.keys.values()) {
      open++;
      const terms = { query: "consistency=all&conflict=siblings", needed: key.homes.length };
      workload.read(key, (round + open) % world.nodes.length, terms, new Map(), (answer) => {
        open--;
        if (answer === null || answer.status === 503) refused++;
      });
    }
    await world.clock.runUntil(() => open === 0, 20_000, "the reads after healing end");
    await idle(world);
    why = null;
    for (const key of world.ledger.keys.values()) why = divergence(world, key) ?? why;
    if (refused > 0) why ??= `${refused} reads from all homes were refused`;
    const doubtful = world.nodes.find((node) => node.inDoubt);
    if (doubtful !== undefined) why ??= `node ${doubtful.index} is still in doubt`;
    if (why === null) {
      world.count("rounds to converge", round + 1);
      return;
    }
    await world.clock.run(world.nowMs + CONVERGE_PAUSE_MS);
  }
  world.violate("convergence", `not converged ${CONVERGE_ROUNDS} rounds after healing: ${why}`);
}

async function idle(world: World): Promise<void> {
  let busy = world.nodes.length;
  for (const node of world.nodes) {
    void node.process?.node?.idle().then(() => {
      busy--;
    });
  }
  await world.clock.runUntil(() => busy === 0, 20_000, "read repair ends");
}
