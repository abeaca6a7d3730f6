/**
 * Chaos on real processes: six nodes in three regions, each in a network namespace, with clients at work all the time and one
 * nemesis. Needs root on Linux.
 *
 *     npm run chaos -- [--nemesis NAME,...|all] [--runs 1] [--seconds 60] [--runtime node|bun] [--seed N]
 *                      [--keep DIR] [--results FILE] [--docs docs/chaos.md]
 *     npm run chaos -- --nemesis stall [--seconds 600]     no healthy node is ever believed down (stall.ts)
 *
 * `--results` adds each run to a file, one line of JSON for each; the table is then of all runs in it, so that a long campaign
 * can be run in parts.
 *
 * Exit code 1 on any violation, and when a run had too few operations to prove anything.
 */
import { execFileSync } from "node:child_process";
import { rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { readCommandLine } from "../support/command-line.ts";
import { type KeptRun, keepRun, keptRuns } from "./kept-runs.ts";
import { NEMESES, type Nemesis } from "./nemeses.ts";
import { chaosPage, lineOf } from "./report.ts";
import { run } from "./run.ts";
import { runStall } from "./stall.ts";

const values = await readCommandLine({
  name: "npm run chaos --",
  description:
    "Faults on six real nodes in three regions, with clients at work all the time (root, Linux)",
  options: {
    nemesis: {
      type: "choices",
      of: ["all", "stall", ...NEMESES.map(({ name }) => name)],
      default: "all",
      description: "Which faults, one run for each",
    },
    runs: { type: "count", default: 1, description: "Runs of each" },
    seconds: {
      type: "count",
      description: "Length of a run; the usual one depends on what is run",
    },
    runtime: { type: "choice", of: ["node", "bun"], default: "node", description: "Of the nodes" },
    seed: {
      type: "count",
      min: 0,
      default: Date.now() % 1_000_000,
      description: "Of the first run",
    },
    keep: {
      type: "text",
      hint: "DIR",
      default: join(tmpdir(), "gyre-chaos"),
      description: "Where the histories of runs that failed are kept",
    },
    results: {
      type: "text",
      hint: "FILE",
      description: "Add each run to FILE; the table is of all in it",
    },
    docs: { type: "text", hint: "FILE", description: "Write the table as a page" },
  },
});
const { runtime } = values;

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function chosen(): readonly Nemesis[] {
  if (values.nemesis.includes("all")) return NEMESES;
  return NEMESES.filter(({ name }) => values.nemesis.includes(name));
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "an unknown commit";
  }
}

async function campaign(): Promise<boolean> {
  const seconds = values.seconds ?? 60;
  const file = values.results;
  const results: KeptRun[] = file === undefined ? [] : [...keptRuns(file, runtime)];
  const before = results.length;
  let seed = values.seed;
  for (const nemesis of chosen()) {
    for (let index = 0; index < values.runs; index++, seed++) {
      say(`${nemesis.name}: ${nemesis.what} (seed ${seed})`);
      const directory = join(values.keep, `${nemesis.name}-${seed}`);
      rmSync(directory, { recursive: true, force: true });
      const result = await run({ nemesis, seconds, runtime, seed, directory, say });
      const { directory: _, ...shown } = result;
      const kept = { ...shown, commit: commit(), runtime, seconds };
      results.push(kept);
      if (file !== undefined) keepRun(file, kept);
      for (const { checker, key, text } of result.violations.slice(0, 20)) {
        say(`  VIOLATED ${checker} ${key}: ${text}`);
      }
      say(lineOf(result));
    }
  }
  const page = chaosPage(results, runtime);
  say(`\n${page}`);
  if (values.docs !== undefined) writeFileSync(values.docs, page);
  return results.slice(before).every((result) => result.violations.length === 0 && !result.isIdle);
}

process.exitCode = (
  values.nemesis.includes("stall")
    ? await runStall({
        seconds: values.seconds ?? 600,
        runtime,
        directory: join(values.keep, "stall"),
        say,
      })
    : await campaign()
)
  ? 0
  : 1;
