/** Does what a reap round has decided, at one owner: delete-if-equal, or the same record with a shorter context. */
import type { ActiveLayout } from "../core/active-layout.ts";
import { compacted } from "../core/compaction.ts";
import type { ActorId } from "../core/ids.ts";
import type { Horizons } from "./horizons.ts";
import { type Judge, judge } from "./reap-judge.ts";
import type { ReapItem } from "./reap-messages.ts";
import { routeOf } from "./route.ts";

export interface Reaping extends Judge {
  readonly horizons: Horizons;
}

/**
 * Judges each item anew, raises the horizons, durably, and then forgets. One synchronous step, so nothing is merged into a row
 * between the look and the deletion. Says which were done, and the sequences that must be durable before that is said
 * to anybody. @throws DiskFullError
 */
export function reapHere(
  reaping: Reaping,
  layout: ActiveLayout,
  items: readonly ReapItem[],
  actors: ReadonlySet<ActorId>,
): { readonly done: readonly boolean[]; readonly sequences: readonly number[] } {
  const agreed = items.map((item) => judge(reaping, layout, item) === "agreed");
  const { store, counters } = reaping.r;
  for (const [i, { key, stamp }] of items.entries()) {
    const route = routeOf(layout, key);
    if (agreed[i] !== true || route === undefined) continue;
    reaping.horizons.raise({ policy: route.policy, partition: route.partition, stamp });
  }
  const done = items.map(() => false);
  const sequences: number[] = [];
  const rows: { readonly at: number; readonly key: ReapItem["key"]; readonly sequence: number }[] =
    [];
  for (const [at, { key, act }] of items.entries()) {
    const stored = store.read(key);
    if (agreed[at] !== true || stored.state !== "record") continue;
    if (act === "reap") {
      rows.push({ at, key, sequence: stored.sequence });
      continue;
    }
    const shorter = compacted(stored.record, actors);
    if (shorter === stored.record) continue;
    // What was minted stays: entries of this node's own actor are in use, and never go.
    sequences.push(store.write(key, shorter, stored.minted));
    done[at] = true;
    counters.contextsCompacted++;
  }
  if (rows.length > 0) {
    const removed = store.remove(rows);
    for (const [i, { at }] of rows.entries()) {
      done[at] = removed[i] === true;
      if (done[at]) counters.tombstonesReaped++;
    }
  }
  return { done, sequences };
}
