/**
 * npm run sim -- --seed N [--trace]            one seed: its options, its trace hash, its verdict
 * npm run sim -- --seeds N [--first M] [--jobs J]   many, over child processes, with figures
 * npm run sim -- --seeds N --table FILE        the same, added to the totals of FILE; seeds that are in it are not run again
 * npm run sim -- --table FILE                  the totals of FILE as a table
 * npm run sim -- --smoke                       the seeds that once failed, some fresh ones, and a canary (npm run ok)
 * npm run sim -- ... --profile smoke           small worlds with the commonest faults; without it `full`, with everything
 * npm run sim -- --seed N --hash               the trace hash alone, for comparisons between runtimes
 *
 * Exit code 1 on any violation. A failing seed replays exactly, on any of the three runtimes.
 */
import { execFileSync } from "node:child_process";
import { createSystemHasher } from "../../runtimes/shared/system-hasher.ts";
import { readCommandLine } from "../support/command-line.ts";
import { type Figures, tableOf } from "./figures.ts";
import onceFailing from "./found-seeds.json" with { type: "json" };
import { runCanary } from "./mutant-runs.ts";
import { PROFILES, type Profile } from "./profile.ts";
import { runSeed, type SeedResult } from "./run-seed.ts";
import { runSeeds, serveSeeds } from "./seed-jobs.ts";
import { addToTotals, digestOfCode, freshSeeds, nameOfTotal, readTotals } from "./totals.ts";

const SMOKE_SEEDS = 40;
const PORTION_SEEDS = 500;

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

function printVerdict(result: SeedResult): void {
  for (const violation of result.violations) {
    print(`${violation.checker} at ${violation.atMs.toFixed(3)} ms: ${violation.text}`);
  }
  print(
    `SEED=${result.seed} hash=${result.hash} events=${result.events} operations=${result.operations} acknowledged=${result.acknowledged} virtual=${(result.virtualMs / 1000).toFixed(1)}s ${result.violations.length === 0 ? "ok" : "VIOLATED"}`,
  );
}

async function one(
  seed: number,
  profile: Profile,
  trace: boolean,
  hashOnly: boolean,
): Promise<boolean> {
  if (!hashOnly) print(`SEED=${seed} commit=${commit()}`);
  const result = await runSeed(seed, await createSystemHasher(), profile, trace);
  if (hashOnly) {
    print(result.hash);
    return result.violations.length === 0;
  }
  for (const line of result.trace) print(line);
  print(JSON.stringify(result.options, null, 1));
  print(JSON.stringify(result.counts, null, 1));
  printVerdict(result);
  return result.violations.length === 0;
}

function printTable(figures: Figures): void {
  print("");
  for (const line of tableOf(figures)) print(line);
  print("");
}

/** Returns how many failed. */
async function many(
  seeds: readonly number[],
  profile: Profile,
  jobs: number,
  onFigures: (figures: Figures) => void = printTable,
): Promise<number> {
  print(
    `${seeds.length} seeds from ${seeds[0]} profile=${profile} commit=${commit()} jobs=${jobs}`,
  );
  const replayAs = profile === "full" ? "" : ` --profile ${profile}`;
  const failed: SeedResult[] = [];
  const figures = await runSeeds(seeds, profile, jobs, (result) => {
    if (result.violations.length === 0) return;
    failed.push(result);
    printVerdict(result);
    print(`  replay: npm run sim -- --seed ${result.seed}${replayAs} --trace`);
  });
  onFigures(figures);
  return failed.length;
}

/** Runs what FILE does not have yet, in portions, so that an interrupted run keeps what it has done. */
async function addTo(
  file: string,
  profile: Profile,
  first: number,
  count: number,
  jobs: number,
): Promise<number> {
  const digest = digestOfCode();
  const fresh = freshSeeds(readTotals(file)[nameOfTotal(digest, profile)], first, count);
  print(`${count - fresh.length} of these seeds have been run on this code before`);
  let failed = 0;
  for (let at = 0; at < fresh.length; at += PORTION_SEEDS) {
    const seeds = fresh.slice(at, at + PORTION_SEEDS);
    failed += await many(seeds, profile, jobs, (figures) => {
      addToTotals(file, digest, profile, commit(), seeds, figures);
    });
  }
  return failed;
}

function showTotals(file: string): void {
  for (const [name, { commit: at, ranges, figures }] of Object.entries(readTotals(file))) {
    const spans = ranges.map(([from, to]) => (from === to ? `${from}` : `${from} to ${to}`));
    print(`code ${name}, last run at commit ${at}: seeds ${spans.join(", ")}`);
    printTable(figures);
  }
}

async function smoke(jobs: number): Promise<void> {
  const foundIn = (profile: Profile): number[] =>
    onceFailing.filter((entry) => (entry.profile ?? "full") === profile).map((entry) => entry.seed);
  const small = foundIn("smoke");
  const seeds = foundIn("full");
  for (let seed = 1; seeds.length < SMOKE_SEEDS; seed++)
    if (!seeds.includes(seed)) seeds.push(seed);
  const failed = (await many(seeds, "full", jobs)) + (await many(small, "smoke", jobs));
  const canary = await runCanary();
  print(canary.text);
  const bad = failed + (canary.caught ? 0 : 1);
  // What scripts/test.mjs counts.
  print(`${seeds.length + small.length + 1 - bad} passed, ${bad} failed`);
  process.exitCode = bad === 0 ? 0 : 1;
}

const COMMAND_LINE = {
  name: "npm run sim --",
  description: "Whole clusters in one process, under faults, all drawn from one seed",
  options: {
    seed: {
      type: "count",
      min: 0,
      description: "This seed alone: its options, trace hash and verdict",
    },
    trace: { type: "flag", description: "With --seed: all that happened" },
    hash: { type: "flag", description: "With --seed: the trace hash alone" },
    seeds: { type: "count", description: "So many seeds; 100 if nothing else is asked for" },
    first: { type: "count", default: 1, min: 0, description: "The first of --seeds" },
    profile: {
      type: "choice",
      of: PROFILES,
      default: "full",
      description: "Which worlds are drawn",
    },
    jobs: { type: "count", default: 2, description: "Child processes" },
    table: {
      type: "text",
      hint: "FILE",
      description:
        "Add to the totals of FILE, and leave out seeds that are in it; alone: print them",
    },
    smoke: { type: "flag", description: "Seeds that once failed, some fresh ones, and a canary" },
    serve: { type: "flag", hidden: true, description: "Run seeds as told on the standard input" },
  },
} as const;

async function main(): Promise<void> {
  const values = await readCommandLine(COMMAND_LINE);
  const { jobs, profile, first } = values;
  if (values.serve) return serveSeeds(profile);
  if (values.smoke) return smoke(jobs);
  if (values.seed !== undefined) {
    const ok = await one(values.seed, profile, values.trace, values.hash);
    process.exitCode = ok ? 0 : 1;
    return;
  }
  const { table } = values;
  if (table !== undefined && values.seeds === undefined) return showTotals(table);
  const count = values.seeds ?? 100;
  const failed =
    table === undefined
      ? await many(
          Array.from({ length: count }, (_, i) => first + i),
          profile,
          jobs,
        )
      : await addTo(table, profile, first, count, jobs);
  if (table !== undefined) showTotals(table);
  print(`${count - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main();
