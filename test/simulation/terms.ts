/** The consistencies and conflict policies that clients ask for. */
import { majorityOf } from "../../src/core/consistency.ts";
import type { SeededRandom } from "./seeded-random.ts";

export function writeTerms(random: SeededRandom, homes: number): string {
  const asked = random.pick([
    "",
    "",
    "",
    "consistency=quorum",
    "consistency=one",
    "consistency=local-quorum",
    "consistency=each-quorum",
    "consistency=all",
    `w=${random.integer(1, homes)}`,
  ]);
  const mayBeStrict = !asked.includes("each") && !asked.includes("all");
  const strict = mayBeStrict && random.chance(0.2) ? "sloppy=false" : "";
  return [asked, strict].filter((part) => part !== "").join("&");
}

/** `needed` is how many homes answer at least; 0 when less than a majority may do. */
export function readTerms(
  random: SeededRandom,
  homes: number,
): { readonly query: string; readonly needed: number } {
  const majority = majorityOf(homes);
  const count = random.integer(1, homes);
  const [asked, needed] = random.pick<readonly [string, number]>([
    ["", majority],
    ["", majority],
    ["consistency=quorum&sloppy=false", majority],
    ["consistency=one", 1],
    ["consistency=local-quorum", 0],
    ["consistency=each-quorum", majority],
    ["consistency=all", homes],
    [`r=${count}`, count],
  ]);
  const conflict = random.pick(["", "conflict=siblings", "conflict=siblings", "conflict=latest"]);
  return { query: [asked, conflict].filter((part) => part !== "").join("&"), needed };
}
