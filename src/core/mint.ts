/**
 * The epoch rule: who may continue a counter. Dot reuse is the silent killer of stores with dotted versions: a replica
 * that has forgotten a row and counts from what it holds gives one dot to two values, and one of them is lost (Riak's
 * riak_kv#679). Each row therefore remembers, locally, the newest dot that this very database minted for the key.
 */
import { assert } from "./assert.ts";
import { highestOf } from "./context.ts";
import type { ActorId } from "./ids.ts";
import { COUNTER_MAX, EPOCH_MAX } from "./limits.ts";
import type { Context, Dot } from "./version.ts";

/** The row's local column; the same shape as Minted of the Disk port. */
export interface MintedDot {
  readonly actor: string;
  readonly epoch: number;
  readonly counter: number;
}

/**
 * The dot of a new write. Continues the counter only if `minted` names the present actor id and this start, and no context, the row's or
 * the client's, shows a higher (epoch, counter) of it; else takes a new epoch.
 */
export function decideDot(args: {
  readonly actorId: ActorId;
  readonly minted: MintedDot | null;
  /**
   * The lowest epoch that this start of the database can give out. A counter of an earlier start is not gone on with: a machine
   * that was set back to a snapshot has always started since, and all else in the row is as it was.
   */
  readonly firstEpoch: number;
  readonly localContext: Context;
  readonly incomingContext: Context;
  /** An epoch that this database has never given out. */
  readonly takeEpoch: () => number;
}): Dot {
  const { actorId, minted, firstEpoch, localContext, incomingContext } = args;
  if (
    minted !== null &&
    minted.actor === actorId &&
    minted.epoch >= firstEpoch &&
    minted.counter < COUNTER_MAX &&
    !showsAbove(localContext, actorId, minted) &&
    !showsAbove(incomingContext, actorId, minted)
  ) {
    return { actor: actorId, epoch: minted.epoch, counter: minted.counter + 1 };
  }
  const epoch = args.takeEpoch();
  assert(epoch >= 0 && epoch <= EPOCH_MAX, "an epoch must fit 32 bits");
  // A context that shows our own actor at an epoch not yet given out proves that this database was rolled back or cloned.
  assert(!showsEpoch(localContext, actorId, epoch), "a new epoch must be above the row's");
  assert(!showsEpoch(incomingContext, actorId, epoch), "a new epoch must be above the client's");
  return { actor: actorId, epoch, counter: 1 };
}

/**
 * The local column after a replicated record was merged: one that shows a higher own entry proves that this row has
 * forgotten a dot, so the next write takes a new epoch.
 */
export function mintedAfterReplication<M extends MintedDot>(args: {
  readonly actorId: ActorId;
  readonly minted: M | null;
  readonly incomingContext: Context;
}): M | null {
  const { actorId, minted, incomingContext } = args;
  if (minted === null || minted.actor !== actorId) return null;
  return showsAbove(incomingContext, actorId, minted) ? null : minted;
}

function showsAbove(context: Context, actor: ActorId, minted: MintedDot): boolean {
  const highest = highestOf(context, actor);
  if (highest === null) return false;
  return (
    highest.epoch > minted.epoch ||
    (highest.epoch === minted.epoch && highest.counter > minted.counter)
  );
}

function showsEpoch(context: Context, actor: ActorId, epoch: number): boolean {
  const highest = highestOf(context, actor);
  return highest !== null && highest.epoch >= epoch;
}
