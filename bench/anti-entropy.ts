/**
 * What anti-entropy costs, and how soon it is done.
 *
 *     npm run bench:anti-entropy [-- --only differences,missed] [--keys 1000000] [--differences 100] [--missed 100000]
 *
 * `differences`: two owners of one partition with many keys, of which a few differ: bytes exchanged beside those of the
 * whole partition. Both nodes in this process, so that nothing but their messages is counted.
 * `missed`: three processes, one of which is killed, misses writes and comes back: until when it is byte-equal.
 */
import { readCommandLine } from "../test/support/command-line.ts";
import { runDifferences } from "./anti-entropy-differences.ts";
import { runMissed } from "./anti-entropy-missed.ts";

const { only, keys, differences, missed } = await readCommandLine({
  name: "npm run bench:anti-entropy --",
  description: "What anti-entropy costs, and how soon it is done",
  options: {
    only: {
      type: "choices",
      of: ["differences", "missed"],
      default: "differences,missed",
      description: "What is measured",
    },
    keys: { type: "count", default: 1_000_000, description: "Keys that two owners share" },
    differences: { type: "count", default: 100, description: "Of which so many differ" },
    missed: { type: "count", default: 100_000, description: "Writes that a killed node misses" },
  },
});
if (only.includes("differences")) {
  await runDifferences(keys, differences);
}
if (only.includes("missed")) await runMissed(missed);
process.exit(0);
