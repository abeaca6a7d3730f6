/**
 * `introduce`: how a database that may have forgotten something tells another owner who it is now, before it asks for what it
 * lacks. The other side stores that durably before it answers: from then on its acks show that whatever the asker
 * acknowledged before is worth nothing. The answer tells which units the other side is itself in doubt of, and what it
 * knows of everybody's actors, so that no such knowledge is lost with a disk.
 */

import { readNodeId } from "../cluster/member-entry.ts";
import { PeerError, type WireFields } from "../cluster/peer-channel.ts";
import { asFields, readArray, readBytes, readInt } from "../cluster/wire-read.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import { bytesFromByteString } from "../core/bytes.ts";
import { type ActorId, actorIdFromBytes, type NodeId } from "../core/ids.ts";
import { MEMBERS_MAX, REQUEST_TIMEOUT_DEFAULT_MS } from "../core/limits.ts";
import type { KnownActor } from "./actor-book.ts";
import type { Replication } from "./context.ts";
import { badMessage } from "./data-messages.ts";
import { UnitSet } from "./unit-set.ts";

/** Members of today and those that were. */
const BOOK_ENTRIES_MAX = 4 * MEMBERS_MAX;
const ACTOR_BYTES = 16;

/** Answers `introduce`. REQUIRES: the layout versions of the two are the same. @throws PeerError, DiskFullError */
export function answerIntroduction(r: Replication, fields: WireFields, from: NodeId): WireFields {
  const told = readActor(fields, 1);
  const isNewest = r.actors.learn(from, told);
  const layout = r.membership.layout();
  const units = layout === undefined ? new UnitSet() : r.doubt.units(layout);
  const book = [...r.actors.all()].map(([node, known]) => [node, ...encodeActor(known)]);
  return [isNewest, units.encode(), book];
}

/**
 * Makes this database known to a peer. Resolves with the units that the peer is itself in doubt of; null when it could not be
 * reached, or knew an earlier database of this node under a higher generation: the own one is above that now, and must be told
 * to everybody once more.
 */
export async function introduce(
  r: Replication,
  layout: ActiveLayout,
  peer: NodeId,
): Promise<UnitSet | null> {
  const fields = [layout.version, ...encodeActor(r.actors.own)];
  try {
    const answer = await r.channel.send(peer, "introduce", fields, {
      timeoutMs: REQUEST_TIMEOUT_DEFAULT_MS,
      lane: "direct",
    });
    for (const entry of readArray(answer, 2, "book", BOOK_ENTRIES_MAX)) {
      const told = asFields(entry, "book.entry", 3);
      r.actors.learn(readNodeId(told, 0, "book.node"), readActor(told, 1));
    }
    return answer[0] === true ? UnitSet.decode(answer, 1, "units") : null;
  } catch (error) {
    if (error instanceof PeerError) return null;
    throw error;
  }
}

function encodeActor({ actor, generation }: KnownActor): [Uint8Array, number] {
  return [bytesFromByteString(actor), generation];
}

function readActor(fields: WireFields, index: number): KnownActor {
  const bytes = readBytes(fields, index, "actor", ACTOR_BYTES);
  if (bytes.length !== ACTOR_BYTES) throw badMessage(`an actor of ${bytes.length} bytes`);
  const generation = readInt(fields, index + 1, "generation", 1, Number.MAX_SAFE_INTEGER);
  const actor: ActorId = actorIdFromBytes(bytes);
  return { actor, generation };
}
