import { type ActorId, actorIdFromBytes } from "../core/ids.ts";
import type { Disk } from "../env/disk.ts";
import type { Random } from "../env/random.ts";
import { ACTOR_META, IN_DOUBT_META } from "./meta-names.ts";
import type { Turn } from "./turn.ts";

const ACTOR_BYTES = 16;

/** The actor of this database's dots; a new one when it has none. @throws DiskFullError */
export function openActor(disk: Disk, turn: Turn, random: Random): ActorId {
  const stored = disk.getMeta(ACTOR_META);
  if (stored !== undefined && stored.length === ACTOR_BYTES) return actorIdFromBytes(stored);
  const fresh = random.bytes(ACTOR_BYTES);
  turn.commitAlone(() => disk.setMeta(ACTOR_META, fresh));
  return actorIdFromBytes(fresh);
}

/** As RecordStore.renewActor: the doubt is durable with the new actor, so that no crash comes between them. */
export function renewActor(disk: Disk, turn: Turn, random: Random): ActorId {
  const fresh = random.bytes(ACTOR_BYTES);
  turn.commitAlone(() => {
    disk.setMeta(ACTOR_META, fresh);
    disk.setMeta(IN_DOUBT_META, new Uint8Array([1]));
  });
  return actorIdFromBytes(fresh);
}
