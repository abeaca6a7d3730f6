/**
 * Hints as rows of the store: what a stand-in keeps for an absent home lies on a shelf of its own, one row for each
 * (target, key), the full record with its values (DeCandia et al. 2007, section 4.6).
 */
import { type NodeId, parseNodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { mergeRecords } from "../core/record.ts";
import type { CausalRecord } from "../core/version.ts";
import type { Minted } from "../env/disk.ts";
import type { AsideFound, AsideRecord, RecordStore } from "../storage/record-store.ts";
import { decodeHintNote, encodeHintNote } from "./hint-note.ts";

const PREFIX = "hint/";
const NAME = /^hint\/[0-9a-f]{32}$/;

export interface HintUsage {
  readonly count: number;
  readonly bytes: number;
}

/** All hints of the node, exact, from memory. */
export function hintUsage(store: Pick<RecordStore, "asideUsage">): HintUsage {
  let count = 0;
  let bytes = 0;
  for (const [shelf, usage] of store.asideUsage()) {
    if (!shelf.startsWith(PREFIX)) continue;
    count += usage.rows;
    bytes += usage.bytes;
  }
  return { count, bytes };
}

export function hintShelf(target: NodeId): string {
  return PREFIX + target;
}

/** Null for a shelf that holds something else, also when its name has rotten on the disk. */
export function hintTarget(shelf: string): NodeId | null {
  return NAME.test(shelf) ? parseNodeId(shelf.slice(PREFIX.length)) : null;
}

/** No node has that id: what lies there reaches nobody. Its rows' checksums, which cover the name, say so too. */
export function isRottenName(shelf: string): boolean {
  return shelf.startsWith(PREFIX) && !NAME.test(shelf);
}

function isHint(found: AsideFound): found is { readonly state: "record" } & AsideRecord {
  return found.state === "record" && found.shelf.startsWith(PREFIX);
}

/**
 * All that is kept aside of a key, if there are hints at all. Nothing else that lies aside is served, and one row in quarantine,
 * which may lie there for years, is not to cost every read a question.
 */
export function asidesWithHints(
  store: Pick<RecordStore, "asides" | "asideUsage">,
  key: Key,
): readonly AsideFound[] {
  for (const shelf of store.asideUsage().keys()) {
    if (shelf.startsWith(PREFIX)) return store.asides(key);
  }
  return NOTHING;
}

const NOTHING: readonly AsideFound[] = [];

/** What is kept for others of a key, merged into what is held of it; and the sequence that must be durable to show it. */
export function withHints(
  held: CausalRecord | null,
  sequence: number,
  asides: readonly AsideFound[],
): { readonly record: CausalRecord | null; readonly sequence: number } {
  let record = held;
  let newest = sequence;
  for (const found of asides) {
    if (!isHint(found)) continue;
    record = record === null ? found.record : mergeRecords(record, found.record);
    newest = Math.max(newest, found.sequence);
  }
  return { record, sequence: newest };
}

/** The readable row that is kept for `target`. */
export function hintFor(asides: readonly AsideFound[], target: NodeId): AsideRecord | null {
  const shelf = hintShelf(target);
  for (const found of asides) if (isHint(found) && found.shelf === shelf) return found;
  return null;
}

export function hintTargets(asides: readonly AsideFound[]): NodeId[] {
  const targets: NodeId[] = [];
  for (const { shelf } of asides) {
    const target = hintTarget(shelf);
    if (target !== null) targets.push(target);
  }
  return targets;
}

/**
 * Writes the key's row for `target`, which becomes `record`. Part of the turn: returns the sequence that must be durable.
 * The W to be reached never sinks: a put that the row once held may have been acknowledged with the larger one.
 */
export function writeHint(
  store: RecordStore,
  hint: {
    readonly key: Key;
    readonly target: NodeId;
    readonly record: CausalRecord;
    readonly minted: Minted | null;
    readonly needed: number;
    /** The row as it is now. */
    readonly before: AsideRecord | null;
    readonly nowMs: number;
  },
): number {
  const before = hint.before === null ? null : decodeHintNote(hint.before.note);
  const note = encodeHintNote({
    needed: Math.max(hint.needed, before?.needed ?? 0),
    sinceMs: before?.sinceMs ?? hint.nowMs,
  });
  return store.setAside(hintShelf(hint.target), hint.key, hint.record, hint.minted, note);
}
