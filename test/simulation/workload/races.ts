/** Races: clients who have seen the same put under the same condition, one after another and at different homes. */
import type { KeyState } from "../key-state.ts";
import { type SeededRandom, streamOf } from "../seeded-random.ts";
import { defaultTerms, majority, STRICT_READ } from "../terms.ts";
import type { Desk } from "./desk.ts";
import { read } from "./reads.ts";
import { write } from "./writes.ts";

/** From one racer's answer to the next one's start. */
const GAP_MS = 60;
/** Of the races, those that begin with two siblings. */
const FORK_SHARE = 0.4;

interface Condition {
  readonly name: "if-match" | "if-none-match";
  readonly value: string;
}

/** Chance is the races' own, as far as it can be: worlds without any are as they would be. */
export function scheduleRaces(desk: Desk, durationMs: number): void {
  const { clock, options } = desk.world;
  const random = streamOf(options.seed, "races");
  for (let i = 0; i < options.workload.races; i++) {
    clock.after(random.between(0, durationMs), () => beginRace(desk, random));
  }
}

/** Some begin with two siblings: one tag cannot say which of them its holder has seen. */
function beginRace(desk: Desk, random: SeededRandom): void {
  if (desk.stopped) return;
  const key = random.pick([...desk.world.ledger.keys.values()]);
  const go = (): void => lookAndRace(desk, random, key);
  if (random.chance(FORK_SHARE)) fork(desk, random, key, go);
  else go();
}

/** Two blind puts at one moment, at two homes. */
function fork(desk: Desk, random: SeededRandom, key: KeyState, next: () => void): void {
  const homes = key.homes.filter((home) => desk.world.node(home).alive).slice(0, 2);
  let open = homes.length;
  const onAnswer = (): void => {
    open--;
    if (open === 0) next();
  };
  const terms = defaultTerms(key.homes.length, key.isStrict);
  for (const node of homes) {
    const client = random.pick(desk.clients);
    write(desk, { kind: "put", key, node, client, known: null, terms, onAnswer });
  }
}

/** What all of them have seen is what a strict read shows. */
function lookAndRace(desk: Desk, random: SeededRandom, key: KeyState): void {
  const node = desk.pickNode();
  if (desk.stopped || node === null) return;
  const terms = { query: STRICT_READ, needed: majority(key.homes.length), strict: true };
  const onAnswer: Parameters<typeof read>[1]["onAnswer"] = (answer) => {
    if (answer === null || answer.status > 404) return;
    if (answer.live > 1) desk.world.count("race over siblings");
    const { etag } = answer;
    const condition: Condition =
      etag === null ? { name: "if-none-match", value: "*" } : { name: "if-match", value: etag };
    race(desk, random, key, condition, answer.values, [...key.homes]);
  };
  read(desk, { key, node, terms, onAnswer });
}

/** The next of them, at one of the homes that are left. */
function race(
  desk: Desk,
  random: SeededRandom,
  key: KeyState,
  condition: Condition,
  matched: readonly number[],
  homes: readonly number[],
): void {
  const left = homes.filter((home) => desk.world.node(home).alive);
  if (desk.stopped || left.length === 0) return;
  const node = random.pick(left);
  const next = (): void => {
    desk.world.clock.after(random.between(0, GAP_MS), () =>
      race(
        desk,
        random,
        key,
        condition,
        matched,
        left.filter((home) => home !== node),
      ),
    );
  };
  const terms = defaultTerms(key.homes.length, key.isStrict);
  const client = random.pick(desk.clients);
  const call = { key, node, client, known: null, condition, matched, terms };
  write(desk, { ...call, kind: "put", onAnswer: next });
}
