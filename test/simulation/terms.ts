/** The consistencies and conflict policies that clients ask for. */
import type { SeededRandom } from "./seeded-random.ts";

/** Written once more, on purpose: the checkers must not share the formula that they check. */
export function majority(homes: number): number {
  return (homes - (homes % 2)) / 2 + 1;
}

export interface Terms {
  /** Such as `consistency=all`. */
  readonly query: string;
  /** At least so many homes must answer. */
  readonly needed: number;
}

export function writeTerms(random: SeededRandom, homes: number): Terms {
  const count = random.integer(1, homes);
  const [asked, needed] = random.pick<readonly [string, number]>([
    ["", majority(homes)],
    ["", majority(homes)],
    ["", majority(homes)],
    ["consistency=quorum", majority(homes)],
    ["consistency=one", 1],
    ["consistency=local-quorum", 1],
    ["consistency=each-quorum", majority(homes)],
    ["consistency=all", homes],
    [`w=${count}`, count],
  ]);
  const mayBeStrict = !asked.includes("each") && !asked.includes("all");
  const strict = mayBeStrict && random.chance(0.2) ? "sloppy=false" : "";
  return { query: [asked, strict].filter((part) => part !== "").join("&"), needed };
}

export function readTerms(random: SeededRandom, homes: number): Terms {
  const count = random.integer(1, homes);
  const [asked, needed] = random.pick<readonly [string, number]>([
    ["", majority(homes)],
    ["", majority(homes)],
    ["consistency=quorum&sloppy=false", majority(homes)],
    ["consistency=one", 1],
    ["consistency=local-quorum", 1],
    ["consistency=each-quorum", majority(homes)],
    ["consistency=all", homes],
    [`r=${count}`, count],
  ]);
  const conflict = random.pick(["", "conflict=siblings", "conflict=siblings", "conflict=latest"]);
  return { query: [asked, conflict].filter((part) => part !== "").join("&"), needed };
}
