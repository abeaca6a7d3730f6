/**
 * Notices that this database is a copy of another: a virtual machine or a directory that was rolled back, a clone of it that
 * runs beside it. Such a database mints dots that are taken, and what was acknowledged after it was made is missing
 * (reliability.md 3 A3.5). Its own files cannot show it, so peers remember of each actor the end of its epochs and its newest
 * sequence: whoever hears of more than it has itself is not what it believes to be.
 *
 *     actorSeen   [actor, epochEnd, sequence]   -> [epochEnd, sequence]     the highest that was heard before, 0 for none
 */
import { type MessageHandlers, PeerError, type WireFields } from "../cluster/peer-channel.ts";
import { readBytes, readInt } from "../cluster/wire-read.ts";
import { bytesFromByteString, bytesToHex } from "../core/bytes.ts";
import { type ActorId, actorIdFromBytes, type NodeId } from "../core/ids.ts";
import {
  ACTORS_SEEN_MAX,
  COPY_CHECK_INTERVAL_MS,
  COPY_CHECK_PATIENCE_MS,
  COPY_CHECK_PEERS,
} from "../core/limits.ts";
import { DiskFullError } from "../env/disk.ts";
import type { MetaStore } from "../env/meta-store.ts";
import type { Worker } from "../env/worker.ts";
import { RESTORED_META } from "../storage/meta-names.ts";
import { RESTORED_MARK } from "../storage/restored-tables.ts";
import type { Replication } from "./context.ts";
import { badMessage } from "./data-messages.ts";
import { membersOf } from "./storage-members.ts";

/** Followed by the actor in hex digits. The value: the end of its epochs, 8 bytes, big-endian. */
const META_PREFIX = "epochs-seen/";
const ACTOR_BYTES = 16;
const ASK_TIMEOUT_MS = 1_000;
/** While somebody has not answered: at the start addresses are still being learned. */
const ASK_AGAIN_MS = 100;
const TWO_POW_32 = 2 ** 32;

interface Seen {
  readonly epochEnd: number;
  /** Since this process started: it changes with every write. */
  readonly sequence: number;
}

/** What this node remembers of the actors of others. */
export class ActorsSeen {
  readonly #meta: MetaStore;
  readonly #seen = new Map<ActorId, Seen>();

  constructor(meta: MetaStore) {
    this.#meta = meta;
  }

  handlers(): MessageHandlers {
    return {
      actorSeen: (fields) => {
        const bytes = readBytes(fields, 0, "actor", ACTOR_BYTES);
        if (bytes.length !== ACTOR_BYTES) throw badMessage("an actor");
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
  #learn(actor: ActorId, told: Seen): Seen {
    const name = META_PREFIX + bytesToHex(bytesFromByteString(actor));
    const known = this.#seen.get(actor) ?? { epochEnd: decode(this.#meta.get(name)), sequence: 0 };
    // Durable before it is answered, but it changes only with a start of that node, or after thousands of epochs.
    if (told.epochEnd > known.epochEnd) this.#meta.set(name, encode(told.epochEnd));
    this.#seen.delete(actor);
    this.#seen.set(actor, {
      epochEnd: Math.max(told.epochEnd, known.epochEnd),
      sequence: Math.max(told.sequence, known.sequence),
    });
    for (const oldest of this.#seen.keys()) {
      if (this.#seen.size <= ACTORS_SEEN_MAX) break;
      this.#seen.delete(oldest);
    }
    return known;
  }
}

/** Asks whether this database is a copy: all members at the start, some of them for as long as the node runs. */
export class CopyCheck implements Worker {
  readonly name = "copy-check";
  readonly #r: Replication;
  readonly #onCopy: () => void;
  /**
   * As the database was opened. A member is asked with this until it has answered once, however late: what was leased and
   * merged since says nothing about the time before.
   */
  readonly #opened: Seen;
  readonly #startedMs: number;
  readonly #met = new Set<NodeId>();
  /** First everybody is asked, then everybody is told of a lease of this start's own, then some are asked now and then. */
  #phase: "asking" | "telling" | "running" = "asking";
  #turn = 0;

  /** `onCopy`: what else must be durable before the process ends when it is one. */
  constructor(r: Replication, onCopy: () => void) {
    this.#r = r;
    this.#onCopy = onCopy;
    this.#opened = { epochEnd: r.store.epochEnd, sequence: r.store.lastSequence() };
    this.#startedMs = r.env.clock.monotonicMs();
  }

  /** Peers have not been asked and told since the start: another node should mint, and what is here is told to nobody. */
  get isPending(): boolean {
    if (this.#phase === "running") return false;
    const { membership, self } = this.#r;
    const layout = membership.layout();
    if (layout === undefined) return true;
    // A gateway has no rows. Alone a node has nobody to ask, and nobody to whom it could bring anything back.
    return layout.member(self)?.role !== "gateway" && membersOf(layout, self).length > 0;
  }

  async step(): Promise<number> {
    const { membership, self, store, env } = this.#r;
    const layout = membership.layout();
    if (layout?.member(self)?.role !== "storage") return ASK_AGAIN_MS;
    if (this.#phase === "telling" && store.epochEnd <= this.#opened.epochEnd) {
      // It was undone with its turn, on a full disk.
      this.#lease();
      return ASK_AGAIN_MS;
    }
    const members = membersOf(layout, self);
    const unmet = members.filter((node) => !this.#met.has(node));
    await this.#askAll(this.#toAsk(members, unmet));
    if (this.#phase === "asking") {
      const isOver = env.clock.monotonicMs() - this.#startedMs >= COPY_CHECK_PATIENCE_MS;
      if (unmet.some((node) => !this.#met.has(node)) && !isOver) return ASK_AGAIN_MS;
      this.#phase = "telling";
      this.#lease();
      // Its commit ends this turn.
      return 1;
    }
    this.#phase = "running";
    return COPY_CHECK_INTERVAL_MS;
  }

  #toAsk(members: readonly NodeId[], unmet: readonly NodeId[]): readonly NodeId[] {
    if (this.#phase === "running") return this.#some(members);
    // Whoever has said what it knew of this database when it was opened would say the same again.
    return this.#phase === "asking" ? unmet : members;
  }

  /** An older copy that is started one day will be behind it. */
  #lease(): void {
    try {
      this.#r.store.takeEpoch();
    } catch (error) {
      if (!(error instanceof DiskFullError)) throw error;
    }
  }

  async #askAll(nodes: readonly NodeId[]): Promise<void> {
    const { store } = this.#r;
    const { actorId } = store;
    const now: Seen = { epochEnd: store.epochEnd, sequence: store.lastSequence() };
    try {
      await store.whenDurable(now.sequence);
    } catch {
      // The turn was undone on a full disk: what was to be told never was.
      return;
    }
    const isCopy = await Promise.all(
      nodes.map(async (node) => {
        const isMet = this.#met.has(node);
        // Before everybody was asked nobody is told more than was known at the start.
        const told = isMet && this.#phase !== "asking" ? now : this.#opened;
        const seen = await this.#ask(node, actorId, told);
        if (seen === null) return false;
        this.#met.add(node);
        const sequence = told === now ? store.lastSequence() : told.sequence;
        return seen.epochEnd > told.epochEnd || seen.sequence > sequence;
      }),
    );
    if (store.actorId === actorId && isCopy.includes(true)) this.#giveUp();
  }

  /**
   * It may be from before a delete that was reaped since, so that even its rows in doubt, which join every merge, would bring
   * the value back: as those of a restored backup they are held apart, which the next open does. Marked before anything that
   * would hide that it is a copy.
   */
  #giveUp(): never {
    const { store, actors, doubt, counters, env } = this.#r;
    store.meta.set(RESTORED_META, new Uint8Array([RESTORED_MARK]));
    doubt.begin();
    this.#onCopy();
    store.renewActor();
    actors.renewed(store.actorId);
    counters.actorsRenewed++;
    env.logger.error("database-is-a-copy", {
      advice:
        "this database was rolled back, or is a copy of one that went on. The node ends; when it is started again it goes on " +
        "under a new actor id, with its rows held apart until the other replicas were asked about them. " +
        "Restore backups with `gyre restore`; never copy a data directory.",
    });
    return env.failStop("this database was rolled back, or is a copy of one that went on");
  }

  /** Others each time. */
  #some(members: readonly NodeId[]): NodeId[] {
    const count = Math.min(COPY_CHECK_PEERS, members.length);
    return Array.from({ length: count }, () => members[this.#turn++ % members.length] as NodeId);
  }

  async #ask(node: NodeId, actor: ActorId, told: Seen): Promise<Seen | null> {
    const fields: WireFields = [bytesFromByteString(actor), told.epochEnd, told.sequence];
    try {
      const answer = await this.#r.channel.send(node, "actorSeen", fields, {
        timeoutMs: ASK_TIMEOUT_MS,
        lane: "direct",
      });
      return {
        epochEnd: readInt(answer, 0, "epochEnd", 0, Number.MAX_SAFE_INTEGER),
        sequence: readInt(answer, 1, "sequence", 0, Number.MAX_SAFE_INTEGER),
      };
    } catch (error) {
      if (error instanceof PeerError) return null;
      throw error;
    }
  }
}

function encode(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(value / TWO_POW_32));
  view.setUint32(4, value % TWO_POW_32);
  return bytes;
}

function decode(bytes: Uint8Array | undefined): number {
  if (bytes?.length !== 8) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(0) * TWO_POW_32 + view.getUint32(4);
}
