/** The fields of the peer messages about hints (docs/protocol.md, "Data messages"). */
import { readNodeId } from "../cluster/member-entry.ts";
import type { WireFields } from "../cluster/peer-channel.ts";
import { readArray, readInt } from "../cluster/wire-read.ts";
import type { Hasher } from "../core/hasher.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { COPIES_MAX } from "../core/limits.ts";
import { type Addressed, decodeAddress, decodeWrite, type WriteMessage } from "./data-messages.ts";

const HINTS_MAX = 1024;

/** `write` as encodeWrite made it: the record is encoded once, whoever it goes to. */
export function encodeHint(write: WireFields, target: NodeId, needed: number): WireFields {
  return [...write, target, needed];
}

/** A record that the receiver keeps for `target`, an absent home. */
export interface HintMessage extends WriteMessage {
  readonly target: NodeId;
  /** The W of the put: so many owners must have it before the copy may go. */
  readonly needed: number;
}

/** @throws PeerError refused `bad_message` */
export function decodeHint(hasher: Hasher, fields: WireFields): HintMessage {
  return {
    ...decodeWrite(hasher, fields),
    target: readNodeId(fields, 5, "target"),
    needed: readInt(fields, 6, "needed", 1, COPIES_MAX),
  };
}

/** For whom does the receiver keep writes of the key? */
export function encodeHintQuestion(layoutVersion: number, key: Key): WireFields {
  return [layoutVersion, key.namespace, key.text];
}

export function decodeHintQuestion(hasher: Hasher, fields: WireFields): Addressed {
  return decodeAddress(hasher, fields);
}

export function encodeHintTargets(targets: readonly NodeId[]): WireFields {
  return [[...targets]];
}

/** @throws PeerError refused `bad_message` */
export function decodeHintTargets(fields: WireFields): NodeId[] {
  const list = readArray(fields, 0, "targets", HINTS_MAX);
  return list.map((_, i) => readNodeId(list, i, "target"));
}
