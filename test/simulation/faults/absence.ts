/**
 * Somebody misses part of a wave, and somebody its end, when most keys are deleted, and comes back about when the others want to
 * forget them: a node that is dead, a node that nobody reaches, or two that do not reach each other.
 */
import { WAVE_SHARE, WAVES } from "../workload/workload.ts";
import type { FaultKit } from "./fault-kit.ts";
import { type Cut, cutDuring, pairOf } from "./network-faults.ts";

/** It begins so long before the deletes, at most, or so long after them. */
const BEFORE_MS = 1_200;
const AFTER_MS = 300;
/** An owner forgets nothing before it was quiet for so many lives of a message. */
const QUIET_LIVES = 4;

/** One for each wave but the last, as the world's options will have it. */
export function absences(kit: FaultKit): void {
  const { faults, reaping, safetyMs } = kit.world.options;
  if (reaping === null || faults.absence === 0) return;
  const periodMs = safetyMs / WAVES;
  // Both are waited for at once.
  const waitMs = Math.max(reaping.graceMs, QUIET_LIVES * reaping.messageLifeMs);
  for (let wave = 0; wave < WAVES - 1; wave++) {
    if (!kit.other.chance(faults.absence)) continue;
    const waveMs = WAVE_SHARE * periodMs;
    const beganMs = wave * periodMs + kit.other.between(0, waveMs);
    const endMs = wave * periodMs + waveMs + kit.other.between(-BEFORE_MS, AFTER_MS);
    // Hints for who is away first, with one who is away when that one is back.
    if (endMs > beganMs) kit.later(beganMs, () => beAway(kit, endMs - beganMs));
    kit.later(endMs, () => beAway(kit, kit.other.between(0.6, 1.9) * waitMs));
  }
}

function beAway(kit: FaultKit, forMs: number): void {
  const { world, other } = kit;
  world.count("absence");
  const away = other.pick(world.nodes);
  switch (other.weighted([1, 3, 1])) {
    case 0:
      kit.trace(`away ${away.index}`);
      kit.down(away);
      kit.later(forMs, () => kit.up(away));
      break;
    case 1:
      cutDuring(kit, linksOf(kit, away.index), forMs);
      break;
    default:
      cutDuring(kit, pairOf(kit, other.chance(0.3)), forMs);
  }
}

function linksOf({ world }: FaultKit, lone: number): Cut[] {
  return world.nodes
    .map(({ index }) => index)
    .filter((index) => index !== lone)
    .flatMap((index): Cut[] => [
      [lone, index],
      [index, lone],
    ]);
}
