import type { Key } from "../core/key.ts";
import { ANTI_ENTROPY_MESSAGE_BYTES, ANTI_ENTROPY_ROWS_PER_MESSAGE } from "../core/limits.ts";
import { equalRecords, recordBytes } from "../core/record.ts";
import { allEnded } from "./all-ended.ts";
import {
  decodePullAnswer,
  type ExchangeHead,
  encodePull,
  encodePush,
  type PushedRecord,
} from "./exchange-messages.ts";
import type { Ask, RoundParts } from "./round-parts.ts";
import { routeOf } from "./route.ts";

/** Messages on their way at once, in each lane of a round: hides the round trip between regions. */
const MESSAGES_AT_ONCE = 2;

/**
 * Gets the peer's records of the keys in `pull` and merges them, then gives it this node's of those in `push`: full records
 * both ways. A key in both lists is pulled first, and pushed only if the merge holds more than the peer has. Returns how
 * many records were sent or received.
 */
export async function exchangeRecords(
  parts: RoundParts,
  ask: Ask,
  head: ExchangeHead,
  pull: readonly Key[],
  push: readonly Key[],
): Promise<number> {
  /** Keys whose record is the same on both sides now. */
  const settled = new Set<string>();
  const layout = parts.r.membership.layout();
  // The peer owns what it has told of, by the same layout; but what comes from outside is looked at twice.
  const wanted = pull.filter(
    (key) => layout !== undefined && routeOf(layout, key)?.homes.includes(parts.r.self) === true,
  );
  let rows = await inTurns(chunksOf(wanted), (keys) => pullSome(parts, ask, head, keys, settled));
  const left = push.filter((key) => !settled.has(key.id));
  rows += await inTurns(chunksOf(left), (keys) => pushSome(parts, ask, head, keys));
  return rows;
}

async function inTurns<T>(items: readonly T[], act: (item: T) => Promise<number>): Promise<number> {
  let sum = 0;
  for (let at = 0; at < items.length; at += MESSAGES_AT_ONCE) {
    const counts = await allEnded(items.slice(at, at + MESSAGES_AT_ONCE).map(act));
    for (const count of counts) sum += count;
  }
  return sum;
}

function chunksOf(keys: readonly Key[]): (readonly Key[])[] {
  const chunks: (readonly Key[])[] = [];
  for (let at = 0; at < keys.length; at += ANTI_ENTROPY_ROWS_PER_MESSAGE) {
    chunks.push(keys.slice(at, at + ANTI_ENTROPY_ROWS_PER_MESSAGE));
  }
  return chunks;
}

async function pullSome(
  { r, figures, rowsPace }: RoundParts,
  ask: Ask,
  head: ExchangeHead,
  keys: readonly Key[],
  settled: Set<string>,
): Promise<number> {
  let pulled = 0;
  let left = keys;
  while (left.length > 0) {
    const answer = await ask("treePull", encodePull(head, left));
    const records = decodePullAnswer(r.env.hasher, answer, left.length);
    rowsPace.used(records.length);
    const sequences: number[] = [];
    records.forEach((theirs, i) => {
      if (theirs === null) return;
      const key = left[i] as Key;
      const { sequence, changed } = r.replica.merge(key, theirs);
      sequences.push(sequence);
      if (!changed) return;
      pulled++;
      const now = r.store.read(key);
      if (now.state === "record" && equalRecords(now.record, theirs)) settled.add(key.id);
    });
    await r.store.whenAllDurable(sequences);
    left = left.slice(records.length);
  }
  figures.rowsReceived += pulled;
  return pulled;
}

async function pushSome(
  { r, figures, rowsPace }: RoundParts,
  ask: Ask,
  head: ExchangeHead,
  keys: readonly Key[],
): Promise<number> {
  let pushed = 0;
  let at = 0;
  while (at < keys.length) {
    const records: PushedRecord[] = [];
    let bytes = 0;
    let newest = 0;
    for (; at < keys.length; at++) {
      const key = keys[at] as Key;
      const found = r.store.read(key);
      if (found.state !== "record") continue;
      bytes += recordBytes(found.record);
      if (records.length > 0 && bytes > ANTI_ENTROPY_MESSAGE_BYTES) break;
      newest = Math.max(newest, found.sequence);
      records.push({ key, record: found.record });
    }
    if (records.length === 0) break;
    // Nothing leaves before it is durable.
    await r.store.whenDurable(newest);
    await ask("treePush", encodePush(head, records));
    rowsPace.used(records.length);
    pushed += records.length;
  }
  figures.rowsSent += pushed;
  return pushed;
}
