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
import { parseArgs } from "node:util";
import type { Runtime } from "../e2e/dev-cluster.ts";
import { type KeptRun, keepRun, keptRuns } from "./kept-runs.ts";
import { NEMESES, type Nemesis } from "./nemeses.ts";
import { chaosPage, lineOf } from "./report.ts";
import { run } from "./run.ts";
import { runStall } from "./stall.ts";

const { values } = parseArgs({
  options: {
    nemesis: { type: "string", default: "all" },
    runs: { type: "string", default: "1" },
    seconds: { type: "string" },
    runtime: { type: "string", default: "node" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
    keep: { type: "string", default: join(tmpdir(), "gyre-chaos") },
    results: { type: "string" },
    docs: { type: "string" },
  },
});
const runtime: Runtime = values.runtime === "bun" ? "bun" : "node";

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function chosen(): readonly Nemesis[] {
  if (values.nemesis === "all") return NEMESES;
  return values.nemesis.split(",").map((name) => {
    const nemesis = NEMESES.find((each) => each.name === name);
    if (nemesis !== undefined) return nemesis;
    const known = NEMESES.map((each) => each.name).join(", ");
    throw new Error(`Cannot find the nemesis ${name}, want all, stall or one of ${known}`);
  });
}

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  } catch {
    return "an unknown commit";
  }
}

async function campaign(): Promise<boolean> {
  const seconds = Number(values.seconds ?? 60);
  const file = values.results;
  const results: KeptRun[] = file === undefined ? [] : [...keptRuns(file, runtime)];
  const before = results.length;
  let seed = Number(values.seed);
  for (const nemesis of chosen()) {
    for (let index = 0; index < Number(values.runs); index++, seed++) {
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
  values.nemesis === "stall"
    ? await runStall({
        seconds: Number(values.seconds ?? 600),
        runtime,
        directory: join(values.keep, "stall"),
        say,
      })
    : await campaign()
)
  ? 0
  : 1;
