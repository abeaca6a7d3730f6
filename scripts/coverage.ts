/**
 * Fails for each file of src/ of which the unit tests on Bun run less than half. Reads the lcov report that the step `bun`
 * of scripts/test.mjs leaves behind. test/tidy.test.ts looks after files that no test reaches at all.
 */
import { readFileSync } from "node:fs";

const REPORT = ".cache/test/lcov.info";
const SHARE_MIN = 0.5;

/** Files that only run where no coverage is measured: in real processes (test/e2e/), and on Node. */
const ELSEWHERE = new Set(["src/cli/dev.ts", "src/cli/dev-nodes.ts", "src/http/header-reader.ts"]);

interface Covered {
  readonly file: string;
  readonly lines: number;
  readonly hit: number;
}

const files = parse(readFileSync(REPORT, "utf8")).filter(({ file }) => file.startsWith("src/"));
const poor = files.filter(
  ({ file, lines, hit }) => hit < SHARE_MIN * lines && !ELSEWHERE.has(file),
);
for (const { file, lines, hit } of poor)
  console.log(`${file}: the tests run ${hit} of ${lines} lines`);
const [lines, hit] = [sum(files.map((each) => each.lines)), sum(files.map((each) => each.hit))];
console.log(
  `${files.length} files of src/, ${((100 * hit) / lines).toFixed(1)} % of their lines run by unit tests`,
);
if (files.length === 0 || poor.length > 0) process.exitCode = 1;

function parse(lcov: string): Covered[] {
  return lcov.split("end_of_record").flatMap((record) => {
    const file = /^SF:(.+)$/m.exec(record)?.[1];
    if (file === undefined) return [];
    const counts = [...record.matchAll(/^DA:\d+,(\d+)/gm)].map((match) => Number(match[1]));
    return [{ file, lines: counts.length, hit: counts.filter((count) => count > 0).length }];
  });
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
