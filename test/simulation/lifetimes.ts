/** Which values with a time to live have not ended yet, and which have, as far as the clocks of the world agree. */
import type { Op } from "./history.ts";
import type { SimOptions } from "./options.ts";

/** What stamps that ran ahead of their clock may add, and rounding. */
const STEPS_MS = 10;

/** By how much one clock of this world may be ahead of another one by then; null where clocks jump, by up to days. */
function clockGapMs({ faults, skewMs, driftPpm }: SimOptions, nowMs: number): number | null {
  if (faults.clockJumpMs > 0) return null;
  return 2 * (skewMs + (driftPpm * nowMs) / 1_000_000) + STEPS_MS;
}

/** No clock has the put's value at its end: whoever took it did so after the client had begun. */
export function isSurelyLive(options: SimOptions, put: Op, atMs: number): boolean {
  if (put.ttlMs === 0) return true;
  const gapMs = clockGapMs(options, atMs);
  return gapMs !== null && atMs < put.startMs + put.ttlMs - gapMs;
}

/** Every clock has: it was taken before it was acknowledged, once. */
export function isSurelyOver(options: SimOptions, put: Op, atMs: number): boolean {
  if (put.ttlMs === 0 || put.status !== "ok" || put.repeats > 0) return false;
  const gapMs = clockGapMs(options, atMs);
  return gapMs !== null && atMs > put.endMs + put.ttlMs + gapMs;
}
