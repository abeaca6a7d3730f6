import { bytesFromByteString } from "../core/bytes.ts";
import { type ActorId, actorIdFromBytes } from "../core/ids.ts";
import type { Disk } from "../env/disk.ts";
import type { Random } from "../env/random.ts";
import type { EpochLease } from "./epoch-lease.ts";
import { ACTOR_META, DATABASE_META, IN_DOUBT_META } from "./meta-names.ts";
import type { Turn } from "./turn.ts";

const ACTOR_BYTES = 16;

export interface ActorParts {
  readonly disk: Disk;
  readonly random: Random;
  readonly turn: Turn;
  readonly epochs: EpochLease;
}

/** Under which actor a database mints, and which one it began with: as that one its peers remember it. */
export class StoredActor {
  readonly #parts: ActorParts;
  #actorId: ActorId;
  #databaseId: ActorId;

  /** A new actor when the database has none. @throws DiskFullError */
  constructor(parts: ActorParts) {
    this.#parts = parts;
    const stored = parts.disk.getMeta(ACTOR_META);
    const began = parts.disk.getMeta(DATABASE_META);
    if (stored?.length === ACTOR_BYTES) {
      this.#actorId = actorIdFromBytes(stored);
      this.#databaseId = began?.length === ACTOR_BYTES ? actorIdFromBytes(began) : this.#actorId;
    } else {
      this.#actorId = this.#begin(() => undefined);
      this.#databaseId = this.#actorId;
    }
  }

  get actorId(): ActorId {
    return this.#actorId;
  }

  get databaseId(): ActorId {
    return this.#databaseId;
  }

  /** As RecordStore.renewActor: the doubt is durable with the new actor, so that no crash comes between them. */
  renew(): void {
    const { disk } = this.#parts;
    this.#actorId = this.#begin(() => disk.setMeta(IN_DOUBT_META, new Uint8Array([1])));
    this.#databaseId = this.#actorId;
  }

  /**
   * As RecordStore.takeActor. Its first epochs are leased in the same commit: a copy that is made at any later moment has
   * them behind it.
   */
  take(): void {
    const { disk, random, turn, epochs } = this.#parts;
    const fresh = random.bytes(ACTOR_BYTES);
    turn.commitAlone(() => {
      disk.setMeta(ACTOR_META, fresh);
      disk.setMeta(DATABASE_META, bytesFromByteString(this.#databaseId));
      epochs.renew();
    });
    this.#actorId = actorIdFromBytes(fresh);
  }

  /** From now on it is another database. */
  #begin(also: () => void): ActorId {
    const { disk, random, turn } = this.#parts;
    const fresh = random.bytes(ACTOR_BYTES);
    turn.commitAlone(() => {
      disk.setMeta(ACTOR_META, fresh);
      disk.deleteMeta(DATABASE_META);
      also();
    });
    return actorIdFromBytes(fresh);
  }
}
