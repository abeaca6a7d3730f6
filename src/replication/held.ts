/**
 * `held`: does an owner hold what a hint holds (docs/protocol.md, "Data messages")? A read would not do for that: it shows
 * what the owner keeps for others, too, and does not tell which database of the owner answers.
 */
import type { WireFields } from "../cluster/peer-channel.ts";
import { readBytes } from "../cluster/wire-read.ts";
import { FormatError } from "../core/errors.ts";
import type { Hasher } from "../core/hasher.ts";
import type { Key } from "../core/key.ts";
import { recordDescends } from "../core/record.ts";
import { decodeHead, encodeHead } from "../core/record-codec.ts";
import type { CausalRecord } from "../core/version.ts";
import type { Replication } from "./context.ts";
import {
  type Addressed,
  badMessage,
  decodeAck,
  decodeAddress,
  encodeAck,
} from "./data-messages.ts";

/** True when this node's own row covers the record and no crash can take that back. */
export function holdsDurably(r: Replication, key: Key, record: CausalRecord): boolean {
  const stored = r.replica.read(key);
  if (stored.state !== "record" || !r.store.isDurable(stored.sequence)) return false;
  return recordDescends(stored.record, record);
}

/** Without the values: whoever covers the dots had them. */
export function encodeHeldQuestion(
  layoutVersion: number,
  key: Key,
  record: CausalRecord,
): WireFields {
  return [layoutVersion, key.namespace, key.text, encodeHead(record)];
}

export interface HeldQuestion extends Addressed {
  readonly record: CausalRecord;
}

/** @throws PeerError refused `bad_message` */
export function decodeHeldQuestion(hasher: Hasher, fields: WireFields): HeldQuestion {
  const address = decodeAddress(hasher, fields);
  const head = readBytes(fields, 3, "head", Number.MAX_SAFE_INTEGER);
  try {
    return { ...address, record: decodeHead(head) };
  } catch (error) {
    if (error instanceof FormatError) throw badMessage(`head: ${error.message}`);
    throw error;
  }
}

/** `generations`: as in an ack; null when the record is not held. */
export function encodeHeldAnswer(generations: readonly number[] | null): WireFields {
  return generations === null ? [null] : encodeAck(generations);
}

/** @throws PeerError refused `bad_message`: the answer is then no answer. */
export function decodeHeldAnswer(fields: WireFields, homes: number): readonly number[] | null {
  return fields[0] === null ? null : decodeAck(fields, homes);
}
