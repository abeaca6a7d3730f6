/**
 * What anti-entropy costs, and how soon it is done.
 *
 *     npm run bench:anti-entropy [-- --only differences,missed] [--keys 1000000] [--differences 100] [--missed 100000]
 *
 * `differences`: two owners of one partition with many keys, of which a few differ: bytes exchanged beside those of the
 * whole partition. Both nodes in this process, so that nothing but their messages is counted.
 * `missed`: three processes, one of which is killed, misses writes and comes back: until when it is byte-equal.
 */
import { parseArgs } from "node:util";
import { runDifferences } from "./anti-entropy-differences.ts";
import { runMissed } from "./anti-entropy-missed.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "differences,missed" },
    keys: { type: "string", default: "1000000" },
    differences: { type: "string", default: "100" },
    missed: { type: "string", default: "100000" },
  },
});
const only = values.only.split(",");
if (only.includes("differences")) {
  await runDifferences(Number(values.keys), Number(values.differences));
}
if (only.includes("missed")) await runMissed(Number(values.missed));
process.exit(0);
