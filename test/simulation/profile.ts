/** Which worlds are drawn: `full` has everything, `smoke` is small and quick (draw-smoke.ts). */
import { drawOptions } from "./draw-options.ts";
import { drawSmoke } from "./draw-smoke.ts";
import type { SimOptions } from "./options.ts";

export type Profile = "full" | "smoke";

const PROFILES: readonly Profile[] = ["full", "smoke"];

/** @throws Error for what is none. */
export function parseProfile(text: string): Profile {
  const found = PROFILES.find((profile) => profile === text);
  if (found === undefined) throw new Error(`--profile ${text}: ${PROFILES.join(" or ")}`);
  return found;
}

export function drawWorld(seed: number, profile: Profile): SimOptions {
  return profile === "full" ? drawOptions(seed) : drawSmoke(seed);
}
