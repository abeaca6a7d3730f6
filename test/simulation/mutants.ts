/** npm run sim:mutants [-- --seeds MAX] [--jobs J] [--only TEXT]: exit code 1 unless every planted bug is caught. */
import { parseArgs } from "node:util";
import { type MutantVerdict, runMutants } from "./mutant-runs.ts";
import { MUTATIONS } from "./mutations.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "1000" },
    jobs: { type: "string", default: "2" },
    only: { type: "string", default: "" },
  },
});
const chosen = MUTATIONS.filter((mutation) => mutation.name.includes(values.only));
const verdicts: MutantVerdict[] = [];
await runMutants(chosen, Number(values.seeds), Number(values.jobs), (verdict) => {
  verdicts.push(verdict);
  const { mutation, seeds, checker } = verdict;
  const found = seeds === null ? "NOT CAUGHT" : `${String(seeds).padStart(4)} seeds   ${checker}`;
  process.stdout.write(`${mutation.name.padEnd(70)} ${found}\n`);
});
const missed = verdicts.filter((verdict) => verdict.seeds === null).length;
process.stdout.write(`${verdicts.length - missed} caught, ${missed} not caught\n`);
process.exitCode = missed === 0 ? 0 : 1;
