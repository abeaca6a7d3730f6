/**
 * When a member has been silent for too long, judged by its own rhythm (Hayashibara et al. 2004 for the idea of learning the gaps;
 * Dadgar et al. 2018, "Lifeguard", for distrusting oneself first). It only says "overdue": asking others, suspecting and declaring
 * a member down are the gossip's business, and being down is an opinion used for routing, never a reason to move data.
 *
 * All times are milliseconds of one local clock that does not go back.
 */
import type { NodeId } from "./ids.ts";

/** Gaps remembered for each member: 16 s of heartbeats at one in 500 ms. */
const GAPS_MAX = 32;
/** Mean deviations above the mean gap before a member is overdue. */
const DEVIATIONS = 8;
/** Nobody is overdue sooner, however regular: a garbage collection or a slow disk may take this long. */
export const OVERDUE_MIN_MS = 2_000;
/** Nobody is trusted longer, however irregular, by a healthy judge; also the limit while no gap is known. */
export const OVERDUE_MAX_MS = 10_000;
/** A timer or a commit later than this was a stall of this process. */
const STALL_MIN_MS = 250;
/** What a suspicion lasts unrefuted, for one digit of cluster size and a healthy judge. */
const SUSPICION_MS = 3_000;
export const HEALTH_WORST = 7;

interface Rhythm {
  lastRiseMs: number;
  /** The last GAPS_MAX gaps, oldest overwritten first. */
  readonly gaps: Float64Array;
  /** How many rises have been counted, ever. */
  count: number;
  /** Overdue after this long, before the judge's own health. */
  limitMs: number;
}

export class FailureDetector {
  readonly #rhythms = new Map<NodeId, Rhythm>();

  /** Begins to watch a member, as if its counter had risen now; nothing if it is watched already. */
  watch(node: NodeId, nowMs: number): void {
    if (this.#rhythms.has(node)) return;
    this.#rhythms.set(node, {
      lastRiseMs: nowMs,
      gaps: new Float64Array(GAPS_MAX),
      count: 0,
      limitMs: OVERDUE_MAX_MS,
    });
  }

  /** The member's heartbeat counter rose, as seen here, whoever brought the news. */
  rise(node: NodeId, nowMs: number): void {
    const rhythm = this.#rhythms.get(node);
    if (rhythm === undefined) {
      this.watch(node, nowMs);
      return;
    }
    // A gap above the limit tells of an outage, not of a rhythm: uncut, one long absence would blunt the mean for 32 rises.
    const gapMs = Math.min(Math.max(0, nowMs - rhythm.lastRiseMs), OVERDUE_MAX_MS);
    rhythm.gaps[rhythm.count % GAPS_MAX] = gapMs;
    rhythm.count++;
    rhythm.lastRiseMs = nowMs;
    rhythm.limitMs = limitOf(rhythm);
  }

  /** Whether the member has been silent beyond its limit. Unknown members are not overdue. `health` is the judge's own, 0 to 7. */
  overdue(node: NodeId, nowMs: number, health: number): boolean {
    const rhythm = this.#rhythms.get(node);
    if (rhythm === undefined) return false;
    return nowMs - rhythm.lastRiseMs > rhythm.limitMs * (1 + health);
  }

  /** When the member's counter last rose here; undefined if it is not watched. */
  lastRiseMs(node: NodeId): number | undefined {
    return this.#rhythms.get(node)?.lastRiseMs;
  }

  /** This process stood still for so long and could hear nobody: the time does not count against anyone. */
  shift(delayMs: number): void {
    for (const rhythm of this.#rhythms.values()) rhythm.lastRiseMs += delayMs;
  }

  forget(node: NodeId): void {
    this.#rhythms.delete(node);
  }
}

function limitOf(rhythm: Rhythm): number {
  const known = Math.min(rhythm.count, GAPS_MAX);
  let sum = 0;
  for (let i = 0; i < known; i++) sum += rhythm.gaps[i] as number;
  const mean = sum / known;
  let deviations = 0;
  for (let i = 0; i < known; i++) deviations += Math.abs((rhythm.gaps[i] as number) - mean);
  const limit = mean + (DEVIATIONS * deviations) / known;
  return Math.min(Math.max(limit, OVERDUE_MIN_MS), OVERDUE_MAX_MS);
}

/**
 * How far this node distrusts its own judgement, 0 (healthy) to 7: in a single-threaded runtime the accuser is often the sick
 * one. Worse when nobody it asked about an overdue member answered, better with each good round.
 */
export class OwnHealth {
  #value = 0;

  get value(): number {
    return this.#value;
  }

  worsen(): void {
    this.#value = Math.min(HEALTH_WORST, this.#value + 1);
  }

  recover(): void {
    this.#value = Math.max(0, this.#value - 1);
  }
}

/** Decimal digits of a count: 1 for 0 to 9, 2 for 10 to 99. */
export function digits(count: number): number {
  let digitCount = 1;
  for (let rest = Math.floor(count / 10); rest > 0; rest = Math.floor(rest / 10)) digitCount++;
  return digitCount;
}

/** How long a suspicion may go unrefuted before the member is down: the larger the cluster, the longer news travel. */
export function suspicionTimeoutMs(members: number, health: number): number {
  return SUSPICION_MS * digits(members) * (1 + health);
}

/** By how much to shift every deadline when something due at `dueMs` ran at `nowMs`; 0 unless it was a stall. */
export function stallMs(dueMs: number, nowMs: number): number {
  const lateMs = nowMs - dueMs;
  return lateMs > STALL_MIN_MS ? lateMs : 0;
}
