/**
 * Promise 1 of the design: with homes out of reach a sloppy put succeeds while as many nodes as it asks for can be reached,
 * whoever its policy allows; and so does a sloppy get, which asks for what stands in for them. Tried when all is well but for
 * the homes that are cut off here: before that nobody can say who could be reached.
 */
import { parseNamespaceId } from "../../src/core/ids.ts";
import { makeKey } from "../../src/core/key.ts";
import type { KeyAnswer } from "./client-call.ts";
import type { KeyState } from "./key-state.ts";
import { type SeededRandom, streamOf } from "./seeded-random.ts";
import type { SimNode } from "./sim-node.ts";
import type { Terms } from "./terms.ts";
import type { Workload } from "./workload/workload.ts";
import type { World } from "./world.ts";

/** Of the worlds: it takes half as long again as the rest of the healing. */
const SHARE = 0.5;
/** Silence must be taken for absence within so long, by whoever is asked. */
const LIMIT_MS = 30_000;
const STEP_MS = 2_000;

/** False when nothing was tried; else the network is whole again, but not everybody knows what was written. */
export async function staysAvailable(world: World, workload: Workload): Promise<boolean> {
  const { seed, diskBytes, reaping } = world.options;
  const random = streamOf(seed, "homes out of reach");
  if (!random.chance(SHARE)) return false;
  // Whose disk is too small for hints stands in for nobody. Where messages live for less than a second, no member asks others
  // in time whom they reach, and takes itself for the one that is cut off.
  if (diskBytes > 0 || reaping !== null) return false;
  // A strict namespace has no stand-ins.
  const keys = [...world.ledger.keys.values()].filter(({ isStrict }) => !isStrict);
  if (keys.length === 0) return false;
  const key = random.pick(keys);
  const away = awayOf(random, key);
  const here = world.nodes.filter(({ index }) => !away.includes(index));
  const most = reachable(world, key, here);
  if (most === 0) return false;
  await untilSure(world, key);
  const needed = random.integer(1, most);
  const [putAt, getAt] = [random.pick(here).index, random.pick(here).index];
  world.count("homes put out of reach");
  world.trace.add(world.nowMs, `out of reach: ${away.join(" ")} for ${key.name}`);
  for (const home of away) {
    for (const { index } of here) {
      world.network.cut(home, index);
      world.network.cut(index, home);
    }
  }
  await tryThere(world, workload, { key, putAt, getAt, needed });
  world.network.heal();
  return true;
}

/** A home that is not sure of its row, since that was rotten, does not count in a read before it has heard others. */
async function untilSure(world: World, key: KeyState): Promise<void> {
  const coreKey = makeKey(world.hasher, parseNamespaceId(key.namespace), key.name);
  const endMs = world.nowMs + LIMIT_MS;
  for (;;) {
    // An answer that waits for a commit is none yet.
    const unsure = key.homes.filter((home) => {
      const answer = world.node(home).process?.node?.ownAnswer(coreKey);
      return answer === undefined || answer instanceof Promise || !answer.counts;
    });
    if (unsure.length === 0) return;
    if (world.nowMs >= endMs) {
      world.violate(
        "convergence",
        `nodes ${unsure.join(" ")} are not sure of ${key.name} ${LIMIT_MS} ms after all homes were equal`,
      );
      return;
    }
    await world.clock.run(world.nowMs + STEP_MS);
  }
}

/** Some of the homes, or all of them. */
function awayOf(random: SeededRandom, key: KeyState): number[] {
  const left = [...key.homes];
  const count = random.integer(1, left.length);
  return Array.from(
    { length: count },
    () => left.splice(random.below(left.length), 1)[0] as number,
  );
}

/** How many acks can be had: stand-ins of a slot that is pinned to a region stay in it. */
function reachable(world: World, key: KeyState, here: readonly SimNode[]): number {
  const { namespace } = world.options;
  const storage = here.filter((node) => node.role === "storage");
  const policy = key.space === namespace?.name ? namespace.policy : null;
  // One that is alone cannot tell whether it is itself cut off: it goes on believing in the homes, and asking them first.
  if (storage.length < 2) return 0;
  if (policy === null || "n" in policy) return Math.min(key.homes.length, storage.length);
  let count = 0;
  for (const [region, copies] of Object.entries(policy.regions)) {
    const there = storage.filter((node) => `region-${node.region}` === region);
    count += Math.min(copies, there.length);
  }
  return count;
}

async function tryThere(
  world: World,
  workload: Workload,
  trial: {
    readonly key: KeyState;
    readonly putAt: number;
    readonly getAt: number;
    /** Acks of the put, and then answers to the get. */
    readonly needed: number;
  },
): Promise<void> {
  const { key, putAt, getAt, needed } = trial;
  const terms = (name: "r" | "w"): Terms => ({
    query: `${name}=${needed}&sloppy=true`,
    needed,
    strict: false,
  });
  await untilAnswered(world, `put ${key.name} (w=${needed}) at ${putAt}`, (onAnswer) =>
    workload.write({ kind: "put", key, node: putAt, known: null, terms: terms("w"), onAnswer }),
  );
  await untilAnswered(world, `get ${key.name} (r=${needed}) at ${getAt}`, (onAnswer) =>
    workload.read({ key, node: getAt, terms: terms("r"), onAnswer }),
  );
}

/** Again until it succeeds. */
async function untilAnswered(
  world: World,
  what: string,
  ask: (onAnswer: (answer: KeyAnswer | null) => void) => void,
): Promise<void> {
  const endMs = world.nowMs + LIMIT_MS;
  for (;;) {
    let status: number | null = null;
    ask((answer) => {
      status = answer?.status ?? 0;
    });
    await world.clock.runUntil(() => status !== null, 20_000, what);
    if (isGood(status)) return;
    if (world.nowMs >= endMs) {
      world.violate(
        "availability",
        `${what} is refused ${LIMIT_MS} ms after homes went out of reach, though enough others are there: ${status}`,
      );
      return;
    }
    await world.clock.run(world.nowMs + STEP_MS);
  }
}

function isGood(status: number | null): boolean {
  return status !== null && status > 0 && status < 500;
}
