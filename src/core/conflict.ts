import { compareDots } from "./context.ts";
import { holds, isLive, liveSiblings } from "./record.ts";
import type { CausalRecord, Sibling } from "./version.ts";

/** How a read chooses among siblings (design: section 4). */
export type ConflictPolicy = "majority" | "latest" | "siblings";

export interface Resolution {
  /** What the answer shows: at most one for majority and latest, all live ones for siblings; none is 404. */
  readonly chosen: readonly Sibling[];
  /** Live siblings of the merged record, a repeated write counted once, and those that are deleted or expired. */
  readonly live: number;
  readonly deletedOrExpired: number;
}

export interface ResolveArgs {
  /** The merge of all answers. */
  readonly record: CausalRecord;
  /** One for each home slot that answered; null is absent. */
  readonly answers: readonly (CausalRecord | null)[];
  /** Home slots, answered or not: the n of the vote. */
  readonly homes: number;
  readonly policy: ConflictPolicy;
  readonly nowMs: number;
}

/**
 * Tombstones and expired siblings stand for election like values: if one wins, nothing is chosen. Else a deleted key
 * would come back whenever an older value was held by more replicas.
 */
export function resolve(args: ResolveArgs): Resolution {
  const { record, nowMs } = args;
  const alive = liveSiblings(record, nowMs);
  const deletedOrExpired = record.siblings.length - alive.length;
  const shown = withoutRepeats(alive);
  const live = shown.length;
  if (live === 0 || args.policy === "siblings" || record.siblings.length === 1) {
    return { chosen: shown, live, deletedOrExpired };
  }
  const winner = args.policy === "latest" ? newestOf(record.siblings) : electedOf(args);
  const chosen = winner !== undefined && isLive(winner, nowMs) ? [winner] : [];
  return { chosen, live, deletedOrExpired };
}

/** One write that two coordinators took under one Idempotency-Key shows once, as the newer of the two. Order is kept. */
function withoutRepeats(siblings: readonly Sibling[]): readonly Sibling[] {
  const isRepeat = (sibling: Sibling): boolean =>
    sibling.idempotencyKey !== "" &&
    siblings.some(
      (other) =>
        other.idempotencyKey === sibling.idempotencyKey &&
        other.bodyDigest === sibling.bodyDigest &&
        isNewer(other, sibling),
    );
  if (siblings.length < 2 || !siblings.some(isRepeat)) return siblings;
  return siblings.filter((sibling) => !isRepeat(sibling));
}

/**
 * A strict sibling that not enough of the homes can hold provably never reached its write quorum: it is out-voted. Among
 * the others the newest wins: counting votes alone answered the older of two acknowledged writes (counterexample 6).
 */
function electedOf(args: ResolveArgs): Sibling | undefined {
  const silent = args.homes - args.answers.length;
  const eligible: Sibling[] = [];
  const mostHeld: Sibling[] = [];
  let most = 0;
  for (const sibling of args.record.siblings) {
    const held = heldBy(args.answers, sibling);
    if (sibling.sloppy || held + silent >= sibling.writeQuorum) eligible.push(sibling);
    if (held > most) mostHeld.length = 0;
    most = Math.max(most, held);
    if (held === most) mostHeld.push(sibling);
  }
  return newestOf(eligible.length > 0 ? eligible : mostHeld);
}

function heldBy(answers: readonly (CausalRecord | null)[], sibling: Sibling): number {
  let held = 0;
  for (const answer of answers) if (answer !== null && holds(answer, sibling)) held++;
  return held;
}

/** The newest stamp, then the highest dot: every reader chooses the same. */
function newestOf(siblings: readonly Sibling[]): Sibling | undefined {
  let newest: Sibling | undefined;
  for (const sibling of siblings)
    if (newest === undefined || isNewer(sibling, newest)) newest = sibling;
  return newest;
}

function isNewer(a: Sibling, b: Sibling): boolean {
  return a.stamp > b.stamp || (a.stamp === b.stamp && compareDots(a.dot, b.dot) > 0);
}
