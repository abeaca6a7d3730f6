import type { Key } from "../core/key.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Replication } from "./context.ts";
import type { ReadAnswer } from "./data-messages.ts";
import { asidesWithHints, withHints } from "./hint-rows.ts";
import { routeOf } from "./route.ts";

/** Of a database that may be from before a reap: shown, its rows would be merged and repaired into others. */
const NOTHING_YET: ReadAnswer = { record: null, counts: false };

/**
 * This node's own answer to a read. It leaves only when the row it shows is durable: a dot that a crash could take back
 * must not be seen (research: fan-out or read before the commit lost acknowledged writes). A promise only if it must wait.
 */
export function localRead(r: Replication, key: Key): ReadAnswer | Promise<ReadAnswer> {
  if (r.mayBeCopy()) return NOTHING_YET;
  const stored = r.replica.read(key);
  if (stored.state === "unknown") {
    r.counters.unknownReads++;
    r.doubt.noteUnreadable(key);
  }
  const sure = stored.state !== "unknown" && !r.doubt.ofRow(key) && !inDoubt(r, key);
  let record = stored.state === "record" ? stored.record : null;
  let { sequence } = stored;
  // What an owner keeps for others, from a time before it was one, is no secret to its readers.
  const asides = asidesWithHints(r.store, key);
  if (asides.length > 0) ({ record, sequence } = withHints(record, sequence, asides));
  const answer: ReadAnswer =
    !sure && r.doubt.holdsApart
      ? { record, counts: false, holdsApart: true }
      : { record, counts: sure };
  if (r.store.isDurable(sequence)) return answer;
  return whenDurable(r, sequence, answer, () => localRead(r, key));
}

/**
 * A stand-in's answer to a read: what it keeps of the key for absent homes. Having nothing is no answer at all: it does not
 * say that the homes have nothing.
 */
export function standInRead(r: Replication, key: Key): ReadAnswer | Promise<ReadAnswer> {
  if (r.mayBeCopy()) return NOTHING_YET;
  const { record, sequence } = withHints(null, 0, asidesWithHints(r.store, key));
  if (record !== null) r.counters.standInReads++;
  const answer: ReadAnswer = { record, counts: record !== null };
  if (r.store.isDurable(sequence)) return answer;
  return whenDurable(r, sequence, answer, () => standInRead(r, key));
}

function whenDurable(
  r: Replication,
  sequence: number,
  answer: ReadAnswer,
  again: () => ReadAnswer | Promise<ReadAnswer>,
): Promise<ReadAnswer> {
  return r.store.whenDurable(sequence).then(
    () => answer,
    (error: unknown) => {
      // The turn was rolled back: what was seen never was. Look again.
      if (error instanceof DiskFullError) return again();
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
