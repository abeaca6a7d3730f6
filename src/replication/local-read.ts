import type { Key } from "../core/key.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Replication } from "./context.ts";
import type { ReadAnswer } from "./data-messages.ts";
import { routeOf } from "./route.ts";

/**
 * This node's own answer to a read. It leaves only when the row it shows is durable: a dot that a crash could take back
 * must not be seen (research: fan-out or read before the commit lost acknowledged writes). A promise only if it must wait.
 */
export function localRead(r: Replication, key: Key): ReadAnswer | Promise<ReadAnswer> {
  const stored = r.replica.read(key);
  if (stored.state === "unknown") {
    r.counters.unknownReads++;
    r.doubt.noteUnreadable(key);
  }
  const sure = stored.state !== "unknown" && !r.doubt.ofRow(key) && !inDoubt(r, key);
  const answer: ReadAnswer = {
    record: stored.state === "record" ? stored.record : null,
    counts: sure,
  };
  if (r.store.isDurable(stored.sequence)) return answer;
  return r.store.whenDurable(stored.sequence).then(
    () => answer,
    (error: unknown) => {
      // The turn was rolled back: what was seen never was. Look again.
      if (error instanceof DiskFullError) return localRead(r, key);
      throw error;
    },
  );
}

function inDoubt(r: Replication, key: Key): boolean {
  if (!r.doubt.any) return false;
  const layout = r.membership.layout();
  const route = layout === undefined ? undefined : routeOf(layout, key);
  return route === undefined || r.doubt.of(route.layout, route.policy, route.partition);
}
