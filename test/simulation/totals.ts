/**
 * Runs add up: the same code may be run for a minute today and for an hour tomorrow, over other seeds. What counts as the same
 * code is its text, so that a commit of documentation does not begin anew.
 */
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { addFigures, type Figures } from "./figures.ts";
import type { Profile } from "./profile.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** What a seed's run depends on. */
const CODE = ["src", "runtimes/shared", "test/simulation", "test/support/virtual-clock.ts"];

interface Total {
  /** Where it was last run, for a person. */
  readonly commit: string;
  /** Seeds from the first to the last of each pair, both included, in order. */
  readonly ranges: readonly (readonly [first: number, last: number])[];
  readonly figures: Figures;
}

/** By the digest of the code and the profile. */
type Totals = Readonly<Record<string, Total>>;

/** What one total is of. */
export function nameOfTotal(digest: string, profile: Profile): string {
  return `${digest} ${profile}`;
}

export function digestOfCode(): string {
  const hash = createHash("sha256");
  for (const path of CODE.flatMap(filesUnder).sort()) {
    hash.update(`${path}\n`);
    hash.update(readFileSync(join(ROOT, path)));
  }
  return hash.digest("hex").slice(0, 16);
}

function filesUnder(path: string): string[] {
  if (path.endsWith(".ts")) return [path];
  return readdirSync(join(ROOT, path), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.endsWith(".test.ts"))
    .map((name) => join(path, name));
}

export function readTotals(file: string): Totals {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as Totals) : {};
}

/** The seeds of the range that were not run on this code yet: nothing is counted twice. */
export function freshSeeds(
  total: Pick<Total, "ranges"> | undefined,
  first: number,
  count: number,
): number[] {
  const seeds: number[] = [];
  for (let seed = first; seed < first + count; seed++) {
    if (!(total?.ranges ?? []).some(([from, to]) => seed >= from && seed <= to)) seeds.push(seed);
  }
  return seeds;
}

/** Adds a run to the file. Totals of older code are dropped: they prove nothing about this one. */
export function addToTotals(
  file: string,
  digest: string,
  profile: Profile,
  commit: string,
  seeds: readonly number[],
  figures: Figures,
): Total {
  const name = nameOfTotal(digest, profile);
  const ofThisCode = Object.entries(readTotals(file)).filter(([key]) => key.startsWith(digest));
  const totals: Totals = Object.fromEntries(ofThisCode);
  const before = totals[name];
  const total: Total = {
    commit,
    ranges: joined([...(before?.ranges ?? []), ...seeds.map((seed) => [seed, seed] as const)]),
    figures: before === undefined ? figures : addFigures(before.figures, figures),
  };
  writeFileSync(file, `${JSON.stringify({ ...totals, [name]: total }, null, 1)}\n`);
  return total;
}

function joined(
  ranges: readonly (readonly [number, number])[],
): readonly (readonly [number, number])[] {
  const all: [number, number][] = [];
  for (const [from, to] of [...ranges].sort(([a], [b]) => a - b)) {
    const last = all.at(-1);
    if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else all.push([from, to]);
  }
  return all;
}
