/** What a campaign showed, as the table of docs/chaos.md. */

import type { KeptRun } from "./kept-runs.ts";
import { NEMESES } from "./nemeses.ts";
import { READS_PER_SECOND_MIN, type RunResult, WRITES_PER_SECOND_MIN } from "./run.ts";

export function lineOf(result: RunResult): string {
  const verdict = verdictOf(result);
  const converged =
    result.convergedMs === null
      ? "not converged"
      : `converged after ${seconds(result.convergedMs)}`;
  return `  ${result.reads} reads, ${result.writes} writes, ${result.indeterminate} without an answer, ${result.refused} refused, ${result.strikes} strikes, ${result.keys} keys, ${converged}: ${verdict} (${result.directory})`;
}

function verdictOf(result: RunResult): string {
  if (result.violations.length > 0) return `${result.violations.length} VIOLATIONS`;
  return result.isIdle ? "DOES NOT COUNT: too few operations" : "ok";
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}

export function chaosPage(results: readonly KeptRun[], runtime: string): string {
  const commits = [...new Set(results.map(({ commit }) => commit))].join(", ");
  const lengths = [...new Set(results.map((result) => result.seconds))].sort((a, b) => a - b);
  const rows = NEMESES.flatMap(({ name, what }) => {
    const runs = results.filter((result) => result.nemesis === name);
    if (runs.length === 0) return [];
    const sum = (of: (result: KeptRun) => number): number =>
      runs.reduce((total, result) => total + of(result), 0);
    const slowest = Math.max(
      ...runs.map((result) => result.convergedMs ?? Number.POSITIVE_INFINITY),
    );
    const cells = [
      name,
      what,
      runs.length,
      sum(({ strikes }) => strikes),
      sum(({ writes }) => writes),
      sum(({ indeterminate }) => indeterminate),
      sum(({ reads }) => reads),
      Number.isFinite(slowest) ? seconds(slowest) : "not",
      sum(({ violations }) => violations.length),
      runs.filter(({ isIdle }) => isIdle).length,
    ];
    return [`| ${cells.join(" | ")} |`];
  });
  return `# Chaos on real processes

Written by \`npm run chaos -- --docs docs/chaos.md\`, at ${commits}, on ${runtime}: six nodes in three regions, each in a network
namespace of one machine, three copies of each key, ${lengths.join(" or ")} s for each run with 24 clients at work all the time. What the clients do, and
what is checked, stands in [testing.md](testing.md#chaos). A run in which fewer than ${READS_PER_SECOND_MIN} reads or ${WRITES_PER_SECOND_MIN} writes a second succeed does not count.

| nemesis | what happens | runs | strikes | writes acknowledged | without an answer | reads | slowest convergence | violations | runs that do not count |
|---|---|---|---|---|---|---|---|---|---|
${rows.join("\n")}
`;
}
