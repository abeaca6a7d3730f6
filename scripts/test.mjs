// Runs what a change must pass and adds up what the suites really counted.
//
//   node scripts/test.mjs all          everything (npm test)
//   node scripts/test.mjs ok           the gate (npm run ok)
//   node scripts/test.mjs node bun     only these steps, in this order
//
// Plain JavaScript that Node 18 understands: it starts on whatever Node the machine has. The last line on stdout is
// `N passed, N failed`; the exit code is 0 only if nothing failed.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { ensureInstalled } from "./ensure.mjs";

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {{ command: string[], report?: string, count: (step: Ran) => Counts | null }} Step
 * @typedef {{ report: string | undefined, stdout: string }} Ran
 * @typedef {{ numPassedTests: number, numFailedTests: number, numPendingTests: number, numTodoTests: number,
 *   testResults: { status: string, assertionResults: unknown[] }[] }} VitestReport
 */

const REPORTS = ".cache/test";
/** A step that has not ended by then hangs. */
const STEP_TIMEOUT_MS = 600_000;
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

/** @type {Record<string, string[]>} */
const GROUPS = {
  ok: ["types", "lint", "dead-code", "node", "sim"],
  all: ["types", "lint", "dead-code", "walls", "node", "bun", "coverage", "deno", "sim", "e2e"],
};

main(process.argv.slice(2));

/** @param {string[]} names */
function main(names) {
  const wanted = names.flatMap((name) => GROUPS[name] ?? [name]);
  const steps = wanted.flatMap((name) => {
    const step = STEPS[name];
    return step === undefined ? [] : [{ name, step }];
  });
  if (steps.length === 0 || steps.length < wanted.length) {
    const choice = [...Object.keys(GROUPS), ...Object.keys(STEPS)].join(", ");
    console.error(`Cannot run ${names.join(" ") || "nothing"}: choose from ${choice}`);
    process.exit(2);
  }
  const { root, env } = ensureInstalled();
  process.chdir(root);
  mkdirSync(REPORTS, { recursive: true });
  report(steps.map(({ name, step }) => ({ name, ...run(name, step, env) })));
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
  const [command = "", ...args] = step.command;
  const keep = step.count === countLastLine;
  const done = spawnSync(command, args, {
    env,
    encoding: "utf8",
    maxBuffer: 1 << 30,
    stdio: ["ignore", keep ? "pipe" : "inherit", "inherit"],
    timeout: STEP_TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  if (keep) process.stdout.write(done.stdout ?? "");
  if (done.error) console.error(String(done.error));
  return { seconds: (Date.now() - started) / 1000, ...judge(step, done) };
}

/**
 * A step that ends badly counts as failed even if its report says that every test passed, or is missing or cut off.
 * @param {Step} step
 * @param {{ status: number | null, stdout: string | null }} done
 * @returns {Counts}
 */
function judge(step, done) {
  const counts = countsOf(step, done.stdout ?? "");
  if (done.status !== 0 && counts.failed === 0) {
    return { ...counts, passed: step.report ? counts.passed : 0, failed: 1 };
  }
  return counts.passed + counts.failed === 0 ? { ...counts, failed: 1 } : counts;
}

/**
 * @param {Step} step
 * @param {string} stdout
 * @returns {Counts}
 */
function countsOf(step, stdout) {
  const nothing = { passed: 0, failed: 0, skipped: 0 };
  try {
    const report = step.report ? readFileSync(step.report, "utf8") : undefined;
    return step.count({ report, stdout }) ?? nothing;
  } catch (error) {
    console.error(`Cannot read the report ${step.report}: ${error}`);
    return nothing;
  }
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
  /** @type {VitestReport} */
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
  /** @param {string} field */
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
