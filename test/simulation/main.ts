/**
 * npm run sim -- --seed N [--trace]            one seed: its options, its trace hash, its verdict
 * npm run sim -- --seeds N [--from M] [--jobs J]   many, over child processes, with figures
 * npm run sim -- --smoke                       the seeds that once failed, some fresh ones, and a canary (npm run ok)
 * npm run sim -- --seed N --hash               the trace hash alone, for comparisons between runtimes
 *
 * Exit code 1 on any violation. A failing seed replays exactly, on any of the three runtimes.
 */
import { execFileSync } from "node:child_process";
import { parseArgs } from "node:util";
import { createSystemHasher } from "../../runtimes/shared/system-hasher.ts";
import { printFigures } from "./figures.ts";
import { runCanary } from "./mutant-runs.ts";
import { runSeed, type SeedResult } from "./run-seed.ts";
import { runSeeds, serveSeeds } from "./seed-jobs.ts";
import onceFailing from "./seeds.json" with { type: "json" };

const SMOKE_SEEDS = 40;

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

async function one(seed: number, trace: boolean, hashOnly: boolean): Promise<boolean> {
  if (!hashOnly) print(`SEED=${seed} commit=${commit()}`);
  const result = await runSeed(seed, await createSystemHasher(), trace);
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

async function many(seeds: readonly number[], jobs: number): Promise<number> {
  print(`${seeds.length} seeds from ${seeds[0]} commit=${commit()} jobs=${jobs}`);
  const failed: SeedResult[] = [];
  const figures = await runSeeds(seeds, jobs, (result) => {
    if (result.violations.length === 0) return;
    failed.push(result);
    printVerdict(result);
    print(`  replay: npm run sim -- --seed ${result.seed} --trace`);
  });
  printFigures(figures, print);
  return failed.length;
}

async function smoke(jobs: number): Promise<void> {
  const seeds = [...onceFailing.map((entry) => entry.seed)];
  for (let seed = 1; seeds.length < SMOKE_SEEDS; seed++)
    if (!seeds.includes(seed)) seeds.push(seed);
  const failed = await many(seeds, jobs);
  const canary = await runCanary();
  print(canary.text);
  const bad = failed + (canary.caught ? 0 : 1);
  // What scripts/test.mjs counts.
  print(`${seeds.length + 1 - bad} passed, ${bad} failed`);
  process.exitCode = bad === 0 ? 0 : 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      from: { type: "string", default: "1" },
      jobs: { type: "string", default: "2" },
      smoke: { type: "boolean", default: false },
      trace: { type: "boolean", default: false },
      hash: { type: "boolean", default: false },
      serve: { type: "boolean", default: false },
    },
  });
  const jobs = Number(values.jobs);
  if (values.serve) return serveSeeds();
  if (values.smoke) return smoke(jobs);
  if (values.seed !== undefined) {
    const ok = await one(Number(values.seed), values.trace, values.hash);
    process.exitCode = ok ? 0 : 1;
    return;
  }
  const from = Number(values.from);
  const count = Number(values.seeds ?? "100");
  const failed = await many(
    Array.from({ length: count }, (_, i) => from + i),
    jobs,
  );
  print(`${count - failed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

await main();
