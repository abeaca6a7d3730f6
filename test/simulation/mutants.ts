/** npm run sim:mutants [-- --seeds MAX] [--jobs J] [--only TEXT]: exit code 1 unless every planted bug is caught. */
import { readCommandLine } from "../support/command-line.ts";
import { type MutantVerdict, runMutants } from "./mutant-runs.ts";
import { MUTATIONS } from "./mutations.ts";

const values = await readCommandLine({
  name: "npm run sim:mutants --",
  description:
    "Plants bugs, one after another, and looks how many seeds the simulator needs to catch each",
  options: {
    seeds: { type: "count", default: 1000, description: "Seeds that are tried for each at most" },
    jobs: { type: "count", default: 2, description: "Child processes" },
    only: { type: "text", hint: "TEXT", default: "", description: "Bugs with this in their name" },
  },
});
const chosen = MUTATIONS.filter((mutation) => mutation.name.includes(values.only));
const verdicts: MutantVerdict[] = [];
await runMutants(chosen, values.seeds, values.jobs, (verdict) => {
  verdicts.push(verdict);
  const { mutation, seeds, checker } = verdict;
  const found = seeds === null ? "NOT CAUGHT" : `${String(seeds).padStart(4)} seeds   ${checker}`;
  process.stdout.write(`${mutation.name.padEnd(70)} ${found}\n`);
});
const missed = verdicts.filter((verdict) => verdict.seeds === null).length;
process.stdout.write(`${verdicts.length - missed} caught, ${missed} not caught\n`);
process.exitCode = missed === 0 ? 0 : 1;
