/**
 * Context compaction: a context grows by an entry for each actor that ever wrote the key, and actors come and go with lost
 * disks. An entry only matters while a copy of a sibling that it covers may still turn up somewhere; the reaper proves that
 * none can (replication/reaper.ts), and then it may go.
 */
import type { ActorId } from "./ids.ts";
import { CONTEXT_ENTRIES_COMPACT } from "./limits.ts";
import type { CausalRecord } from "./version.ts";

/**
 * The record without the entries of actors that are not in use and that no sibling was minted under; the record itself when
 * its context is short, or nothing can go.
 */
export function compacted(record: CausalRecord, inUse: ReadonlySet<ActorId>): CausalRecord {
  if (record.context.length <= CONTEXT_ENTRIES_COMPACT) return record;
  const context = record.context.filter(
    ({ actor, epoch }) =>
      inUse.has(actor) ||
      record.siblings.some(({ dot }) => dot.actor === actor && dot.epoch === epoch),
  );
  if (context.length === record.context.length) return record;
  return { context, siblings: record.siblings };
}
