// Runs what a change must pass and adds up what the suites really counted.
//
//   node scripts/test.mjs all          everything (npm test)
//   node scripts/test.mjs ok           the gate (npm run ok)
//   node scripts/test.mjs node bun     only these steps, in this order
//
// Plain JavaScript that Node 18 understands: it starts on whatever Node the machine has. The last line on stdout is
// `N passed, N failed`; the exit code is 0 only if nothing failed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { ensureInstalled } from "./ensure.mjs";

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {{ command: string[], report?: string, count: (step: Ran) => Counts | null }} Step
 * @typedef {{ report: string | undefined, stdout: string }} Ran
 */

const REPORTS = ".cache/test";
const VITEST = "node_modules/vitest/vitest.mjs";

/** @type {Record<string, Step>} */
const STEPS = {
  types: { command: ["tsc", "-b"], count: oneCheck },
  lint: { command: ["biome", "check", "--error-on-warnings"], count: oneCheck },
  "dead-code": { command: ["knip"], count: oneCheck },
  node: vitest("node", ["node"], "unit"),
  bun: {
    command: [
      ...["bun", "test", "--only-failures", "--path-ignore-patterns=test/e2e/**", "./test"],
      ...["--reporter=junit", `--reporter-outfile=${REPORTS}/bun.xml`],
      ...["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${REPORTS}`],
    ],
    report: `${REPORTS}/bun.xml`,
    count: countJunit,
  },
  coverage: { command: ["node", "scripts/coverage.ts"], count: oneCheck },
  deno: vitest("deno", ["deno", "run", "-A"], "unit"),
  walls: { command: ["node", "scripts/walls.ts"], count: countLastLine },
  sim: { command: ["node", "test/simulation/main.ts", "--smoke"], count: countLastLine },
  e2e: vitest("e2e", ["node"], "e2e"),
};

const GROUPS = {
  ok: ["types", "lint", "dead-code", "node", "sim"],
  all: ["types", "lint", "dead-code", "walls", "node", "bun", "coverage", "deno", "sim", "e2e"],
};

main(process.argv.slice(2));

/** @param {string[]} names */
function main(names) {
  const steps = names.flatMap((name) => GROUPS[name] ?? [name]);
  const unknown = steps.filter((name) => STEPS[name] === undefined);
  if (steps.length === 0 || unknown.length > 0) {
    console.error(
      `Cannot run ${unknown.join(", ") || "nothing"}: choose from ${[...Object.keys(GROUPS), ...Object.keys(STEPS)].join(", ")}`,
    );
    process.exit(2);
  }
  const { root, env } = ensureInstalled();
  process.chdir(root);
  mkdirSync(REPORTS, { recursive: true });
  const results = steps.map((name) => ({ name, ...run(name, STEPS[name], env) }));
  report(results);
}

/**
 * @param {string} name
 * @param {Step} step
 * @param {NodeJS.ProcessEnv} env
 */
function run(name, step, env) {
  console.log(`\n== ${name}: ${step.command.join(" ")}`);
  if (step.report) rmSync(step.report, { force: true });
  const started = Date.now();
  const [command, ...args] = step.command;
  const keep = step.count === countLastLine;
  const done = spawnSync(command, args, {
    env,
    encoding: "utf8",
    maxBuffer: 1 << 30,
    stdio: ["ignore", keep ? "pipe" : "inherit", "inherit"],
  });
  if (keep) process.stdout.write(done.stdout ?? "");
  if (done.error) console.error(String(done.error));
  const seconds = (Date.now() - started) / 1000;
  return { seconds, ...judge(step, done) };
}

/**
 * A step that ends badly counts as failed even if its report says that every test passed or is missing.
 * @param {Step} step
 * @param {import("node:child_process").SpawnSyncReturns<string>} done
 */
function judge(step, done) {
  const report =
    step.report && existsSync(step.report) ? readFileSync(step.report, "utf8") : undefined;
  const counts = step.count({ report, stdout: done.stdout ?? "" }) ?? {
    passed: 0,
    failed: 0,
    skipped: 0,
  };
  if (done.status !== 0 && counts.failed === 0)
    return { ...counts, passed: step.report ? counts.passed : 0, failed: 1 };
  if (counts.passed + counts.failed === 0) return { ...counts, failed: 1 };
  return counts;
}

/** @param {({ name: string, seconds: number } & Counts)[]} results */
function report(results) {
  console.log("");
  let passed = 0;
  let failed = 0;
  for (const result of results) {
    passed += result.passed;
    failed += result.failed;
    const skipped = result.skipped > 0 ? `, ${result.skipped} skipped` : "";
    console.log(
      `${result.name.padEnd(10)} ${result.passed} passed, ${result.failed} failed${skipped}   ${result.seconds.toFixed(1)} s`,
    );
  }
  console.log(`${passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

/**
 * @param {string} name
 * @param {string[]} runtime
 * @param {string} project
 * @returns {Step}
 */
function vitest(name, runtime, project) {
  const report = `${REPORTS}/${name}.json`;
  return {
    command: [
      ...runtime,
      VITEST,
      "run",
      "--project",
      project,
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
    ],
    report,
    count: countVitest,
  };
}

/** A tool that says yes or no by its exit code. */
function oneCheck() {
  return { passed: 1, failed: 0, skipped: 0 };
}

/** @param {Ran} ran */
function countVitest({ report }) {
  if (report === undefined) return null;
  const json = JSON.parse(report);
  // A file that does not load has no tests to count, but it has failed.
  const unloaded = json.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  ).length;
  return {
    passed: json.numPassedTests,
    failed: json.numFailedTests + unloaded,
    skipped: json.numPendingTests + json.numTodoTests,
  };
}

/** @param {Ran} ran */
function countJunit({ report }) {
  const totals = report?.match(/<testsuites\b[^>]*>/)?.[0];
  if (totals === undefined) return null;
  const number = (field) => Number(totals.match(new RegExp(`\\b${field}="(\\d+)"`))?.[1] ?? 0);
  const failed = number("failures") + number("errors");
  const skipped = number("skipped");
  return { passed: number("tests") - failed - skipped, failed, skipped };
}

/**
 * For programs of our own, which end with `N passed, N failed`.
 * @param {Ran} ran
 */
function countLastLine({ stdout }) {
  const last = stdout
    .trimEnd()
    .split("\n")
    .at(-1)
    ?.match(/^(\d+) passed, (\d+) failed$/);
  return last ? { passed: Number(last[1]), failed: Number(last[2]), skipped: 0 } : null;
}
