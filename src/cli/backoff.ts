/** Pauses between tries of the bulk commands (full jitter: Brooker, "Exponential Backoff And Jitter", 2015). */
import { sleep } from "../env/worker.ts";
import type { Platform } from "./platform.ts";

const BASE_MS = 100;
const CAP_MS = 5_000;

/** Statuses after which the same again, later, may succeed. */
const TRANSIENT_STATUSES: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

export function isTransient(status: number): boolean {
  return TRANSIENT_STATUSES.has(status);
}

export interface Backoff {
  /** Waits before the next try; false, at once, when the budget would be over by then. */
  pause(): Promise<boolean>;
}

/** `budgetMs` counts from the first failure. */
export function createBackoff(
  platform: Pick<Platform, "clock" | "random">,
  budgetMs: number,
): Backoff {
  let attempt = 0;
  let deadlineMs: number | null = null;
  return {
    pause: async () => {
      deadlineMs ??= platform.clock.monotonicMs() + budgetMs;
      const limitMs = Math.min(CAP_MS, BASE_MS * 2 ** attempt);
      attempt += 1;
      const pauseMs = platform.random.below(limitMs) + 1;
      if (platform.clock.monotonicMs() + pauseMs > deadlineMs) return false;
      await sleep(platform.clock, pauseMs);
      return true;
    },
  };
}
