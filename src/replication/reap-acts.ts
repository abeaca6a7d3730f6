/** Does what a reap round has decided, at one owner: delete-if-equal, or the same record with a shorter context. */
import type { ActiveLayout } from "../core/active-layout.ts";
import { compacted } from "../core/compaction.ts";
import type { ActorId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import type { Horizon, Horizons } from "./horizons.ts";
import { type Judge, judge } from "./reap-judge.ts";
import type { ReapItem } from "./reap-messages.ts";
import { routeOf } from "./route.ts";

export interface Reaping extends Judge {
  readonly horizons: Horizons;
  /** Contexts with more entries are compacted. */
  readonly contextEntriesMax: number;
}

/**
 * Judges each item anew, raises the horizons and forgets in the same commit. One synchronous step, so nothing is merged into a
 * row between the look and the deletion. Says which were done, and the sequences that must be durable before that is said
 * to anybody. @throws DiskFullError
 */
export function reapHere(
  reaping: Reaping,
  layout: ActiveLayout,
  items: readonly ReapItem[],
  actors: ReadonlySet<ActorId>,
): { readonly done: readonly boolean[]; readonly sequences: readonly number[] } {
  const { store, counters } = reaping.r;
  const done = items.map(() => false);
  const sequences: number[] = [];
  const horizons: Horizon[] = [];
  const reaped: { readonly at: number; readonly key: Key; readonly sequence: number }[] = [];
  const compactedAt: number[] = [];
  for (const [at, item] of items.entries()) {
    const route = routeOf(layout, item.key);
    if (route === undefined || judge(reaping, layout, item) !== "agreed") continue;
    const stored = store.read(item.key);
    if (stored.state !== "record") continue;
    horizons.push({ policy: route.policy, partition: route.partition, stamp: item.stamp });
    if (item.act === "compact") compactedAt.push(at);
    else reaped.push({ at, key: item.key, sequence: stored.sequence });
  }
  // One commit for all of it: a round is one sync of the disk, which this thread waits for.
  const removed = reaping.quiet.reaping(
    reaped.map(({ key }) => key),
    () => reaping.horizons.raiseWith(horizons, (values) => store.remove(reaped, values)),
  );
  for (const [i, { at }] of reaped.entries()) {
    done[at] = removed[i] === true;
    if (done[at]) counters.tombstonesReaped++;
  }
  for (const at of compactedAt) {
    const key = (items[at] as ReapItem).key;
    const stored = store.read(key);
    if (stored.state !== "record") continue;
    const shorter = compacted(stored.record, actors, reaping.contextEntriesMax);
    if (shorter === stored.record) continue;
    // What was minted stays: entries of this node's own actor are in use, and never go.
    sequences.push(store.write(key, shorter, stored.minted));
    done[at] = true;
    counters.contextsCompacted++;
  }
  return { done, sequences };
}
