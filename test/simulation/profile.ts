/** Which worlds are drawn: `full` has everything, `smoke` is small and quick (draw-smoke.ts). */
import { drawOptions } from "./draw-options.ts";
import { drawSmoke } from "./draw-smoke.ts";
import type { SimOptions } from "./options.ts";

export type Profile = "full" | "smoke";

export const PROFILES = ["full", "smoke"] as const satisfies readonly Profile[];

export function drawWorld(seed: number, profile: Profile): SimOptions {
  return profile === "full" ? drawOptions(seed) : drawSmoke(seed);
}
