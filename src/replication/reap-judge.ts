/** What this node answers when somebody wants a record of its to be forgotten. Judged anew before it is done. */
import type { ActiveLayout } from "../core/active-layout.ts";
import { equalBytes } from "../core/bytes.ts";
import { isReapable, isSettled, mayReturn, type ReapAnswer } from "../core/reap.ts";
import { QUARANTINE_SHELF } from "../storage/shelves.ts";
import type { Replication } from "./context.ts";
import type { QuietWatch } from "./quiet-watch.ts";
import type { ReapItem } from "./reap-messages.ts";
import { routeOf } from "./route.ts";

export interface Judge {
  readonly r: Replication;
  readonly quiet: QuietWatch;
  readonly graceMs: number;
}

/** One synchronous look. An owner speaks for its row, every member for what it keeps aside. */
export function judge(j: Judge, layout: ActiveLayout, item: ReapItem): ReapAnswer {
  const { r, quiet } = j;
  const { key } = item;
  const route = routeOf(layout, key);
  if (route === undefined) return "different";
  // Rows of a restored backup are still to be put on their shelf: any of them may be of the key.
  if (r.store.isRestoring) return "aside";
  for (const found of r.store.asides(key)) {
    // Never served and never merged: it cannot bring anything back.
    if (found.shelf === QUARANTINE_SHELF) continue;
    if (found.state === "unknown" || mayReturn(found.record, item.stamp)) return "aside";
  }
  if (!quiet.isQuietKey(key)) return "unquiet";
  if (r.doubt.ofRow(key)) return "unknown";
  const isOwner = route.homes.includes(r.self);
  const stored = r.store.read(key);
  if (stored.state !== "record") {
    if (stored.state === "unknown") return "unknown";
    return isOwner ? "different" : "agreed";
  }
  if (!isOwner) return mayReturn(stored.record, item.stamp) ? "aside" : "agreed";
  if (r.doubt.of(layout, route.policy, route.partition)) return "unknown";
  const digest = r.store.digestOf(key);
  if (digest === null || !equalBytes(digest, item.digest)) return "different";
  if (!quiet.isQuietRow(stored.sequence)) return "unquiet";
  const nowMs = r.clock.nowForExpiryMs();
  const isDue = item.act === "reap" ? isReapable : isSettled;
  return isDue(stored.record, nowMs, j.graceMs) ? "agreed" : "early";
}
