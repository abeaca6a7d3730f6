/**
 * `restored`: what the other owners of some keys say of them, asked by a node that holds rows of a restored backup apart
 * (docs/protocol.md, "Reaping").
 *
 *     restored   [version, [ns, key ..]]   -> [[horizon, head | nil, restored head | nil ..]]
 */
import type { WireFields, WireValue } from "../cluster/peer-channel.ts";
import { readArray, readBytesOrNull, readInt } from "../cluster/wire-read.ts";
import { FormatError } from "../core/errors.ts";
import type { Hasher } from "../core/hasher.ts";
import type { Key } from "../core/key.ts";
import { RESTORED_KEYS_AT_ONCE } from "../core/limits.ts";
import { decodeHead, encodeHead } from "../core/record-codec.ts";
import type { OwnerHeard } from "../core/restored.ts";
import type { CausalRecord } from "../core/version.ts";
import { badMessage, decodeAddress } from "./data-messages.ts";

export function encodeRestored(layoutVersion: number, keys: readonly Key[]): WireFields {
  return [layoutVersion, keys.flatMap((key): WireValue[] => [key.namespace, key.text])];
}

/** @throws PeerError refused `bad_message` */
export function decodeRestored(hasher: Hasher, fields: WireFields): Key[] {
  const flat = readArray(fields, 1, "keys", 2 * RESTORED_KEYS_AT_ONCE);
  if (flat.length % 2 !== 0) throw badMessage("half a key");
  const keys: Key[] = [];
  for (let at = 0; at < flat.length; at += 2) {
    const address = [fields[0] ?? null, flat[at] ?? null, flat[at + 1] ?? null];
    keys.push(decodeAddress(hasher, address).key);
  }
  return keys;
}

export function encodeHeard(heard: readonly OwnerHeard[]): WireFields {
  const flat: WireValue[] = [];
  for (const { horizon, record, restored } of heard) {
    flat.push(horizon, record && encodeHead(record), restored && encodeHead(restored));
  }
  return [flat];
}

/** @throws PeerError refused `bad_message` unless there is an answer for each of `count` keys. */
export function decodeHeard(fields: WireFields, count: number): OwnerHeard[] {
  const flat = readArray(fields, 0, "heard", 3 * count);
  if (flat.length !== 3 * count) throw badMessage("answers to some keys only");
  return Array.from({ length: count }, (_, i) => ({
    horizon: readInt(flat, 3 * i, "horizon", 0, Number.MAX_SAFE_INTEGER),
    record: headAt(flat, 3 * i + 1),
    restored: headAt(flat, 3 * i + 2),
  }));
}

function headAt(flat: WireFields, index: number): CausalRecord | null {
  const head = readBytesOrNull(flat, index, "head", Number.MAX_SAFE_INTEGER);
  try {
    return head === null ? null : decodeHead(head);
  } catch (error) {
    if (error instanceof FormatError) throw badMessage(`head: ${error.message}`);
    throw error;
  }
}
