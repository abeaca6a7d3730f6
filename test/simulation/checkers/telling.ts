/**
 * Each node tells the others how far the leases of its database go, and they store it: else nobody could tell that it is a copy,
 * once it is one (design 4, decision 18). That a set-back machine counts unnoticed would then be excused each time.
 */
import type { World } from "../world.ts";

/** Of all being up, in virtual time: it waits for those that do not answer, and asks two of the others each second. */
const TOLD_LIMIT_MS = 30_000;
const STEP_MS = 1_000;

export async function judgeTelling(world: World): Promise<void> {
  const endMs = world.nowMs + TOLD_LIMIT_MS;
  for (;;) {
    const untold = world.setBacks.untold();
    if (untold.length === 0) return;
    if (world.nowMs >= endMs) {
      world.violate("set-backs", `members do not know how far the leases go: ${untold.join(", ")}`);
      return;
    }
    await world.clock.run(world.nowMs + STEP_MS);
  }
}
