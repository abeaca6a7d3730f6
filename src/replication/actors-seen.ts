/** What this node remembers of the databases of others, so that a copy of one can be told that it is one (copy-check.ts). */
import type { MessageHandlers } from "../cluster/peer-channel.ts";
import { readBytes, readInt } from "../cluster/wire-read.ts";
import { bytesFromByteString, bytesToHex } from "../core/bytes.ts";
import { type ActorId, actorIdFromBytes } from "../core/ids.ts";
import { ACTORS_SEEN_MAX } from "../core/limits.ts";
import type { Clock } from "../env/clock.ts";
import { DiskFullError } from "../env/disk.ts";
import type { MetaStore } from "../env/meta-store.ts";
import { DATABASE_SEEN_META } from "../storage/meta-names.ts";
import { badMessage } from "./data-messages.ts";

const DATABASE_BYTES = 16;
/** Of a stored value: the end of its epochs and its newest sequence, 8 bytes each, big-endian. */
const SEEN_BYTES = 16;
/** After a full disk, before a sequence is written again. */
const FULL_PAUSE_MS = 10_000;
const TWO_POW_32 = 2 ** 32;

export interface Seen {
  readonly epochEnd: number;
  readonly sequence: number;
}

interface Remembered extends Seen {
  /** False: a full disk has an older sequence. */
  readonly isStored: boolean;
}

export class ActorsSeen {
  readonly #meta: MetaStore;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #seen = new Map<ActorId, Remembered>();
  /** Till then the disk is taken for full. */
  #fullUntilMs = 0;

  constructor(meta: MetaStore, clock: Pick<Clock, "monotonicMs">) {
    this.#meta = meta;
    this.#clock = clock;
  }

  handlers(): MessageHandlers {
    return {
      actorSeen: (fields) => {
        const bytes = readBytes(fields, 0, "database", DATABASE_BYTES);
        if (bytes.length !== DATABASE_BYTES) throw badMessage("a database");
        const told = {
          epochEnd: readInt(fields, 1, "epochEnd", 0, Number.MAX_SAFE_INTEGER),
          sequence: readInt(fields, 2, "sequence", 0, Number.MAX_SAFE_INTEGER),
        };
        const before = this.#learn(actorIdFromBytes(bytes), told);
        return [before.epochEnd, before.sequence];
      },
    };
  }

  /** Returns what was known before. @throws DiskFullError */
  #learn(database: ActorId, told: Seen): Seen {
    const name = DATABASE_SEEN_META + bytesToHex(bytesFromByteString(database));
    const known = this.#seen.get(database) ?? {
      ...decode(this.#meta.get(name)),
      isStored: true,
    };
    const seen = {
      epochEnd: Math.max(told.epochEnd, known.epochEnd),
      sequence: Math.max(told.sequence, known.sequence),
    };
    // Durable before it is answered. A database that is written to tells twice a second, and only what has risen costs a commit.
    let isStored = known.isStored && seen.sequence === known.sequence;
    if (seen.epochEnd > known.epochEnd) {
      this.#meta.set(name, encode(seen));
      isStored = true;
    } else if (!isStored) isStored = this.#setIfRoom(name, encode(seen));
    this.#seen.delete(database);
    this.#seen.set(database, { ...seen, isStored });
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size <= ACTORS_SEEN_MAX) break;
      this.#seen.delete(oldest);
    }
    return known;
  }

  /**
   * On a full disk it is remembered in memory: better than no answer. Each try undoes the turn that is open and is told in the log,
   * so they are made seldom.
   */
  #setIfRoom(name: string, value: Uint8Array): boolean {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs < this.#fullUntilMs) return false;
    try {
      this.#meta.set(name, value);
      return true;
    } catch (error) {
      if (!(error instanceof DiskFullError)) throw error;
      this.#fullUntilMs = nowMs + FULL_PAUSE_MS;
      return false;
    }
  }
}

function encode({ epochEnd, sequence }: Seen): Uint8Array {
  const bytes = new Uint8Array(SEEN_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(epochEnd / TWO_POW_32));
  view.setUint32(4, epochEnd % TWO_POW_32);
  view.setUint32(8, Math.floor(sequence / TWO_POW_32));
  view.setUint32(12, sequence % TWO_POW_32);
  return bytes;
}

function decode(bytes: Uint8Array | undefined): Seen {
  if (bytes?.length !== SEEN_BYTES) return { epochEnd: 0, sequence: 0 };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const at = (offset: number) => view.getUint32(offset) * TWO_POW_32 + view.getUint32(offset + 4);
  return { epochEnd: at(0), sequence: at(8) };
}
