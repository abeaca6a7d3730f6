/**
 * Proves that the walls stand: plants one violation of each in a copy of the project, runs the tools once over the copy,
 * and fails unless each tool reports its violation in the very file that holds it (docs/decisions/0001-walls.md).
 *
 *   npm run walls
 */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import { fences, floors, skips } from "./walls/floors.ts";
import type { Plant } from "./walls/plant.ts";
import { chance, forms, sizes } from "./walls/style.ts";
import { deadCode, tidiness } from "./walls/tidiness.ts";

const ROOT = resolve(import.meta.dirname, "..");
const NOT_COPIED = new Set(["node_modules", ".git", ".cache", "dist", "data"]);

main();

function main(): void {
  const copy = mkdtempSync(join(tmpdir(), "gyre-walls-"));
  try {
    copyProject(copy);
    const all = [floors, fences, skips, sizes, forms, chance, deadCode, tidiness].flatMap((of) =>
      of(),
    );
    for (const plant of all) writeFileSync(join(copy, plant.file), plant.text);
    const reports = {
      tsc: reportOfTsc(copy),
      biome: reportOfBiome(copy),
      knip: reportOfKnip(copy),
      tidy: reportOfTidy(copy),
    };
    const standing = all.map((plant) => tell(plant.wall, reported(reports[plant.tool], plant)));
    standing.push(tell("floors in a circle", circularFloors(copy)));
    const passed = standing.filter(Boolean).length;
    console.log(`${passed} passed, ${standing.length - passed} failed`);
    process.exitCode = passed === standing.length ? 0 : 1;
  } finally {
    rmSync(copy, { recursive: true, force: true });
  }
}

function copyProject(copy: string): void {
  for (const name of readdirSync(ROOT)) {
    if (!NOT_COPIED.has(name)) cpSync(join(ROOT, name), join(copy, name), { recursive: true });
  }
  symlinkSync(join(ROOT, "node_modules"), join(copy, "node_modules"));
}

function tell(wall: string, stands: boolean): boolean {
  console.log(`${stands ? "caught" : "MISSED"}  ${wall}`);
  return stands;
}

/** Lines that begin with the file they speak of. */
type Report = readonly string[];

function reported(report: Report, plant: Plant): boolean {
  return report.some((line) => line.startsWith(`${plant.file}: `) && plant.says.test(line));
}

function run(copy: string, command: string, args: readonly string[]): SpawnSyncReturns<string> {
  const done = spawnSync(join(ROOT, "node_modules", ".bin", command), args, {
    cwd: copy,
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (done.error !== undefined) throw new Error(`Cannot run ${command}`, { cause: done.error });
  return done;
}

function reportOfTsc(copy: string): Report {
  return run(copy, "tsc", ["-b", "--pretty", "false"])
    .stdout.split("\n")
    .map((line) => line.replace(/^([^(]+)\(\d+,\d+\): /, "$1: "));
}

function reportOfBiome(copy: string): Report {
  const { stdout } = run(copy, "biome", ["check", "--reporter=github", "--max-diagnostics=none"]);
  return [...stdout.matchAll(/^::error title=([^,]+),file=([^,]+),/gm)].map(
    ([, rule, file]) => `${relative(copy, file ?? "")}: ${rule}`,
  );
}

function reportOfKnip(copy: string): Report {
  const { stdout } = run(copy, "knip", ["--reporter", "json"]);
  const { issues }: { issues: ({ file: string } & Record<string, { name: string }[]>)[] } =
    JSON.parse(stdout);
  return issues.flatMap(({ file, ...kinds }) =>
    Object.entries(kinds).flatMap(([kind, found]) =>
      found.map(({ name }) => `${file}: ${kind}: ${name}`),
    ),
  );
}

/** `bun test` prints what differs before the name of the test that found it. */
function reportOfTidy(copy: string): Report {
  const { stderr } = run(copy, "bun", ["test", "./test/tidy.test.ts"]);
  const report: string[] = [];
  let files: string[] = [];
  for (const line of stderr.split("\n")) {
    const file = line.match(/^\+ +"([\w./-]+\.\w+)/)?.[1];
    if (file !== undefined) files.push(file);
    const verdict = line.match(/^\((pass|fail)\) (.*?)(?: \[.*)?$/);
    if (verdict === null) continue;
    if (verdict[1] === "fail") report.push(...files.map((each) => `${each}: ${verdict[2]}`));
    files = [];
  }
  return report;
}

function circularFloors(copy: string): boolean {
  const file = join(copy, "src/core/tsconfig.json");
  const floor = JSON.parse(readFileSync(file, "utf8"));
  floor.references = [{ path: "../env" }];
  writeFileSync(file, JSON.stringify(floor));
  return /TS6202/.test(run(copy, "tsc", ["-b", "--pretty", "false"]).stdout);
}
