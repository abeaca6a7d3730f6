/** The consistencies and conflict policies that clients ask for. */
import type { SeededRandom } from "./seeded-random.ts";

/** Written once more, on purpose: the checkers must not share the formula that they check. */
export function majority(homes: number): number {
  return (homes - (homes % 2)) / 2 + 1;
}

export interface Terms {
  /** Such as `consistency=all`. */
  readonly query: string;
  /** At least so many must answer. */
  readonly needed: number;
  /** Only home replicas count. */
  readonly strict: boolean;
}

export const STRICT_READ = "consistency=quorum&sloppy=false";

/** What a request asks for, in the words of a query; `isStrict` is what the namespace says to those who say nothing. */
function termsOf(parts: readonly string[], needed: number, isStrict: boolean): Terms {
  const query = parts.filter((part) => part !== "").join("&");
  const strict =
    isStrict || /consistency=(all|each-quorum)/.test(query) || query.includes("sloppy=false");
  return { query, needed, strict };
}

export function defaultTerms(homes: number, isStrict: boolean): Terms {
  return termsOf([], majority(homes), isStrict);
}

export function writeTerms(random: SeededRandom, homes: number, isStrict: boolean): Terms {
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
  return termsOf([asked, strict], needed, isStrict);
}

export function readTerms(random: SeededRandom, homes: number, isStrict: boolean): Terms {
  const count = random.integer(1, homes);
  const [asked, needed] = random.pick<readonly [string, number]>([
    ["", majority(homes)],
    ["", majority(homes)],
    [STRICT_READ, majority(homes)],
    ["consistency=one", 1],
    ["consistency=local-quorum", 1],
    ["consistency=each-quorum", majority(homes)],
    ["consistency=all", homes],
    [`r=${count}`, count],
  ]);
  const conflict = random.pick([
    "",
    "conflict=siblings",
    "conflict=siblings",
    "conflict=latest",
    "conflict=majority",
  ]);
  return termsOf([asked, conflict], needed, isStrict);
}
