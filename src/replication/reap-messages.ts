/**
 * The fields of the peer messages about reaping (docs/protocol.md, "Reaping"):
 *
 *     reap-ask   [version, [actor ..], [act, ns, key, digest, stamp ..]]    -> [answers]   a byte for each
 *     reap-do    [version, [actor ..], [act, ns, key, digest, stamp ..]]    -> [done]      a byte for each
 *     horizons   [version, [policy, partition, stamp ..]]     -> the same for the same units
 *
 * `act` is 0 to reap the record, 1 to compact its context; what goes of a context is decided by each owner for itself from
 * `actors`: 16 bytes each of all actors in use.
 */
import type { WireFields, WireValue } from "../cluster/peer-channel.ts";
import { readArray, readBytes, readInt, readString } from "../cluster/wire-read.ts";
import { bytesFromByteString } from "../core/bytes.ts";
import type { Hasher } from "../core/hasher.ts";
import { type ActorId, actorIdFromBytes, type PartitionId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { MEMBERS_MAX, PARTITIONS_MAX, REAP_KEYS_MAX, STAMP_MAX } from "../core/limits.ts";
import { REAP_ANSWERS, type ReapAnswer } from "../core/reap.ts";
import type { Stamp } from "../core/version.ts";
import { badMessage, decodeAddress } from "./data-messages.ts";
import type { Horizon } from "./horizons.ts";

const DIGEST_BYTES = 16;
const ITEM_FIELDS = 5;
const HORIZON_FIELDS = 3;
const POLICY_CHARACTERS_MAX = 256;
/** Units in one message; who has more to say sends several. */
export const HORIZONS_MAX = 4_096;

/** One record that is to be forgotten, or whose context is to be compacted, as its reaper holds it. */
export interface ReapItem {
  readonly act: "reap" | "compact";
  readonly key: Key;
  readonly digest: Uint8Array;
  /** The newest of its siblings: what is as old anywhere may be what it has replaced. */
  readonly stamp: Stamp;
}

export interface ReapMessage {
  readonly layoutVersion: number;
  /** Actors of all members: the newest entry of theirs is never compacted. Empty only if there is nothing to compact. */
  readonly actors: ReadonlySet<ActorId>;
  readonly items: readonly ReapItem[];
}

export function encodeReap(message: ReapMessage): WireFields {
  const flat: WireValue[] = [];
  for (const { act, key, digest, stamp } of message.items) {
    flat.push(act === "reap" ? 0 : 1, key.namespace, key.text, digest, stamp);
  }
  const actors = [...message.actors].map((actor) => bytesFromByteString(actor));
  return [message.layoutVersion, actors, flat];
}

/** @throws PeerError refused `bad_message` */
export function decodeReap(hasher: Hasher, fields: WireFields): ReapMessage {
  const layoutVersion = readInt(fields, 0, "layoutVersion", 1, Number.MAX_SAFE_INTEGER);
  const listed = readArray(fields, 1, "actors", MEMBERS_MAX);
  const actors = new Set<ActorId>();
  for (let i = 0; i < listed.length; i++) {
    const bytes = readBytes(listed, i, "actor", 16);
    if (bytes.length !== 16) throw badMessage("an actor");
    actors.add(actorIdFromBytes(bytes));
  }
  const flat = readArray(fields, 2, "items", ITEM_FIELDS * REAP_KEYS_MAX);
  if (flat.length % ITEM_FIELDS !== 0) throw badMessage("half an item");
  const items: ReapItem[] = [];
  for (let at = 0; at < flat.length; at += ITEM_FIELDS) {
    const act = readInt(flat, at, "act", 0, 1) === 0 ? "reap" : "compact";
    // Each owner would take it that nobody is in use, but the asker always is.
    if (act === "compact" && actors.size === 0) throw badMessage("a compaction without actors");
    const { key } = decodeAddress(hasher, [
      layoutVersion,
      flat[at + 1] ?? null,
      flat[at + 2] ?? null,
    ]);
    const digest = readBytes(flat, at + 3, "digest", DIGEST_BYTES).slice();
    const stamp = readInt(flat, at + 4, "stamp", 0, STAMP_MAX);
    items.push({ act, key, digest, stamp });
  }
  return { layoutVersion, actors, items };
}

const NAMES = Object.keys(REAP_ANSWERS) as ReapAnswer[];

export function encodeReapAnswers(answers: readonly ReapAnswer[]): WireFields {
  return [Uint8Array.from(answers, (answer) => REAP_ANSWERS[answer])];
}

/** @throws PeerError refused `bad_message` unless there is an answer for each of `count` items. */
export function decodeReapAnswers(fields: WireFields, count: number): ReapAnswer[] {
  const bytes = readBytes(fields, 0, "answers", count);
  if (bytes.length !== count) throw badMessage("answers to some items only");
  // What a newer program may have to say against it is no agreement either.
  return [...bytes].map((byte) => NAMES.find((name) => REAP_ANSWERS[name] === byte) ?? "unknown");
}

export function encodeDone(done: readonly boolean[]): WireFields {
  return [Uint8Array.from(done, (each) => (each ? 1 : 0))];
}

/** @throws PeerError refused `bad_message` unless there is an answer for each of `count` items. */
export function decodeDone(fields: WireFields, count: number): boolean[] {
  const bytes = readBytes(fields, 0, "done", count);
  if (bytes.length !== count) throw badMessage("answers to some items only");
  return [...bytes].map((byte) => byte === 1);
}

export function encodeHorizons(layoutVersion: number, horizons: readonly Horizon[]): WireFields {
  const flat: WireValue[] = [];
  for (const { policy, partition, stamp } of horizons) {
    flat.push(policy, partition, stamp);
  }
  return [layoutVersion, flat];
}

/** @throws PeerError refused `bad_message` */
export function decodeHorizons(fields: WireFields): Horizon[] {
  const flat = readArray(fields, 1, "horizons", HORIZON_FIELDS * HORIZONS_MAX);
  if (flat.length % HORIZON_FIELDS !== 0) throw badMessage("half a horizon");
  const horizons: Horizon[] = [];
  for (let at = 0; at < flat.length; at += HORIZON_FIELDS) {
    const policy = readString(flat, at, "policy", POLICY_CHARACTERS_MAX);
    const partition = readInt(flat, at + 1, "partition", 0, PARTITIONS_MAX - 1) as PartitionId;
    const stamp = readInt(flat, at + 2, "stamp", 0, Number.MAX_SAFE_INTEGER);
    horizons.push({ policy, partition, stamp });
  }
  return horizons;
}
