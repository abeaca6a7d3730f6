/**
 * After the faults: every node runs, the network is clean, and from then on there are deadlines. Strict operations must succeed,
 * the membership must come to rest, and all homes must become equal, by themselves, in bounded virtual time (reliability.md
 * 2.6 and 2.11).
 */
import { staysAvailable } from "./availability.ts";
import { divergence, leftOver } from "./checkers/convergence.ts";
import type { KeyAnswer } from "./client-call.ts";
import { FORM_LIMIT_MS, membersNotUp, untilReady } from "./forming.ts";
import { majority, STRICT_READ } from "./terms.ts";
import type { Workload } from "./workload/workload.ts";
import type { World } from "./world.ts";

/** So long after a node was ready all that it believes of the others must be true again. */
const SETTLE_LIMIT_MS = 30_000;
const SETTLE_STEP_MS = 1_000;
const CONVERGE_LIMIT_MS = 120_000;
const CONVERGE_STEP_MS = 1_000;
/** In lives of a message: four of quiet at every member, a round, and time to find out who is due. */
const REAP_LIVES = 8;

export async function heal(world: World, workload: Workload): Promise<void> {
  await untilReady(world, FORM_LIMIT_MS);
  await strictOperationsSucceed(world, workload);
  await membershipIsAtRest(world);
  if (world.violations.length > 0) return;
  await converge(world);
  if (world.violations.length === 0 && (await staysAvailable(world, workload))) {
    await membershipIsAtRest(world);
    await converge(world);
  }
  const { reaping } = world.options;
  if (reaping === null || world.violations.length > 0) return;
  // What is due now is reaped everywhere or nowhere, and nothing of it comes back.
  await world.clock.run(world.nowMs + reaping.graceMs + REAP_LIVES * reaping.messageLifeMs);
  await converge(world);
}

/** A strict put and strict reads of each key at its homes, again until all succeed: nobody waits for ever. */
async function strictOperationsSucceed(world: World, workload: Workload): Promise<void> {
  const endMs = world.nowMs + SETTLE_LIMIT_MS;
  for (;;) {
    const refused = await tryStrictly(world, workload);
    if (refused.length === 0) return;
    if (world.nowMs >= endMs) {
      world.violate(
        "liveness",
        `strict operations are refused ${SETTLE_LIMIT_MS} ms after healing: ${refused.join(", ")}`,
      );
      return;
    }
    await world.clock.run(world.nowMs + SETTLE_STEP_MS);
  }
}

/** What was refused. */
async function tryStrictly(world: World, workload: Workload): Promise<string[]> {
  const refused: string[] = [];
  let open = 0;
  const begin = (what: string): ((answer: KeyAnswer | null) => void) => {
    open++;
    return (answer) => {
      open--;
      if (answer === null || answer.status >= 500) refused.push(what);
    };
  };
  for (const key of world.ledger.keys.values()) {
    const terms = { query: STRICT_READ, needed: majority(key.homes.length), strict: true };
    for (const node of key.homes) {
      const onAnswer = begin(`get ${key.name} at ${node}`);
      workload.read({ key, node, terms, onAnswer });
    }
    const node = key.homes[0] as number;
    const onAnswer = begin(`put ${key.name} at ${node}`);
    workload.write({ kind: "put", key, node, known: null, terms, onAnswer });
  }
  await world.clock.runUntil(() => open === 0, 20_000, "the strict operations after healing end");
  return refused;
}

/** Everybody believes everybody to be there. */
async function membershipIsAtRest(world: World): Promise<void> {
  const endMs = world.nowMs + SETTLE_LIMIT_MS;
  for (;;) {
    const doubted = await membersNotUp(world);
    if (doubted.length === 0) return;
    if (world.nowMs >= endMs) {
      world.violate(
        "liveness",
        `${SETTLE_LIMIT_MS} ms after healing not all members are up: ${doubted.join(", ")}`,
      );
      return;
    }
    await world.clock.run(world.nowMs + SETTLE_STEP_MS);
  }
}

async function converge(world: World): Promise<void> {
  const startMs = world.nowMs;
  let why: string | null = null;
  while (world.nowMs < startMs + CONVERGE_LIMIT_MS) {
    why = unconverged(world);
    if (why === null) {
      world.count("virtual seconds to converge", Math.ceil((world.nowMs - startMs) / 1_000));
      return;
    }
    await world.clock.run(world.nowMs + CONVERGE_STEP_MS);
  }
  world.violate("convergence", `not converged ${CONVERGE_LIMIT_MS} ms after healing: ${why}`);
}

function unconverged(world: World): string | null {
  for (const key of world.ledger.keys.values()) {
    const why = divergence(world, key);
    if (why !== null) return why;
  }
  const doubtful = world.nodes.find((node) => node.role === "storage" && node.inDoubt);
  if (doubtful !== undefined) return `node ${doubtful.index} is still in doubt`;
  return leftOver(world);
}
