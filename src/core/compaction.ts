/**
 * Context compaction: a context grows by an entry for each epoch of each actor that wrote the key. Actors come and go with
 * lost disks, epochs with every restart. An entry only matters while a copy of a sibling that it covers may still turn up somewhere; the reaper proves that
 * none can (replication/reaper.ts), and then it may go.
 */
import type { ActorId } from "./ids.ts";
import { CONTEXT_ENTRIES_COMPACT } from "./limits.ts";
import type { CausalRecord } from "./version.ts";

/**
 * The record without entries that no sibling was minted under and whose actor is not in use, or has a higher epoch here; the
 * record itself when its context has no more than `entriesMax` entries, or nothing can go.
 *
 * An entry only tells that siblings up to its counter are known. By the proof none of them that is not here is anywhere:
 * every owner has the identical row, nobody keeps any other aside, nothing is on its way. What is minted later under an
 * epoch that went brings its own entry, which covers the same counters anew. And no dot is minted twice: who continues a
 * counter remembers it in its row (core/mint.ts), and goes on with it only while no context shows a higher epoch of its own:
 * the highest stays, so whatever ended an epoch goes on to be seen.
 */
export function compacted(
  record: CausalRecord,
  inUse: ReadonlySet<ActorId>,
  entriesMax = CONTEXT_ENTRIES_COMPACT,
): CausalRecord {
  if (record.context.length <= entriesMax) return record;
  const highest = new Map<ActorId, number>();
  for (const { actor, epoch } of record.context) {
    if (inUse.has(actor)) highest.set(actor, Math.max(epoch, highest.get(actor) ?? 0));
  }
  const context = record.context.filter(
    ({ actor, epoch }) =>
      highest.get(actor) === epoch ||
      record.siblings.some(({ dot }) => dot.actor === actor && dot.epoch === epoch),
  );
  if (context.length === record.context.length) return record;
  return { context, siblings: record.siblings };
}
