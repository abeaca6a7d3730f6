/**
 * Notices that this database is a copy of another: a virtual machine or a directory that was rolled back, a clone of it that
 * runs beside it. Such a database mints dots that are taken, and what was acknowledged after it was made is missing
 * (reliability.md 3 A3.5). Its own files cannot show it, so peers remember of each database the end of its epochs and its newest
 * sequence: whoever hears of more than it has itself is not what it believes to be.
 *
 *     actorSeen   [database, epochEnd, sequence]   -> [epochEnd, sequence]     the highest that was heard before, 0 for none
 *
 * A start whose epochs not every member knows of mints under an actor of its own: an older copy, of which nobody could tell
 * that it is one, would give out the same epochs (docs/decisions/0018-epochs-of-one-start.md).
 */
import { PeerError, type WireFields } from "../cluster/peer-channel.ts";
import { readInt } from "../cluster/wire-read.ts";
import { bytesFromByteString } from "../core/bytes.ts";
import type { ActorId, NodeId } from "../core/ids.ts";
import {
  COPY_CHECK_INTERVAL_MS,
  COPY_CHECK_PATIENCE_MS,
  COPY_CHECK_PEERS,
} from "../core/limits.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Worker } from "../env/worker.ts";
import { RESTORED_META } from "../storage/meta-names.ts";
import { RESTORED_MARK } from "../storage/restored-tables.ts";
import type { Seen } from "./actors-seen.ts";
import type { Replication } from "./context.ts";
import { membersOf } from "./storage-members.ts";

const ASK_TIMEOUT_MS = 1_000;
/** While somebody has not answered: at the start addresses are still being learned. Or while the disk is full. */
const ASK_AGAIN_MS = 100;

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
  /** Who has stored the end of epochs leased since the start. */
  readonly #told = new Set<NodeId>();
  /** All members have: none of these epochs is given out again by a copy that does not learn that it is one. */
  #isTold = false;
  #hasOwnActor = false;
  /** It was told so, once and for all: on a full disk it cannot end before there is room for the mark, and is pending till then. */
  #isCopy = false;
  /** Of the epochs of which members were last told. */
  #toldEnd = 0;
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
    if (this.#isCopy) return true;
    if (this.#phase === "running") return false;
    const { membership, self } = this.#r;
    const layout = membership.layout();
    if (layout === undefined) return true;
    // A gateway has no rows. Alone a node has nobody to ask, and nobody to whom it could bring anything back.
    return layout.member(self)?.role !== "gateway" && membersOf(layout, self).length > 0;
  }

  /**
   * Called before each dot. In a start whose epochs not everybody knows of, the first one is minted under a new actor, which
   * no copy made before it has, and no copy made after it goes on with where this start does.
   * @throws DiskFullError
   */
  beforeMint(): void {
    const { store, actors, counters } = this.#r;
    if (!this.#isTold && !this.#hasOwnActor) {
      store.takeActor();
      this.#hasOwnActor = true;
      counters.actorsTaken++;
    }
    if (actors.own.actor !== store.actorId) actors.renewed(store.actorId);
  }

  async step(): Promise<number> {
    if (this.#isCopy) this.#giveUp();
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
    this.#isTold ||= members.length > 0 && members.every((node) => this.#told.has(node));
    this.#phase = "running";
    return COPY_CHECK_INTERVAL_MS;
  }

  #toAsk(members: readonly NodeId[], unmet: readonly NodeId[]): readonly NodeId[] {
    const isSettled = this.#r.store.epochEnd <= this.#toldEnd;
    if (this.#phase === "running") return isSettled ? this.#some(members) : members;
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
    const { databaseId } = store;
    const now: Seen = { epochEnd: store.epochEnd, sequence: store.lastSequence() };
    try {
      await store.whenDurable(now.sequence);
    } catch {
      // The turn was undone on a full disk: what was to be told never was.
      return;
    }
    const answered: NodeId[] = [];
    const isCopy = await Promise.all(
      nodes.map(async (node) => {
        const isMet = this.#met.has(node);
        // Before everybody was asked nobody is told more than was known at the start.
        const told = isMet && this.#phase !== "asking" ? now : this.#opened;
        const seen = await this.#ask(node, databaseId, told);
        if (seen === null) return false;
        this.#met.add(node);
        if (told.epochEnd > this.#opened.epochEnd) answered.push(node);
        const sequence = told === now ? store.lastSequence() : told.sequence;
        return seen.epochEnd > told.epochEnd || seen.sequence > sequence;
      }),
    );
    if (store.databaseId !== databaseId) return;
    if (isCopy.includes(true)) this.#giveUp();
    for (const node of answered) this.#told.add(node);
    this.#toldEnd = now.epochEnd;
  }

  /**
   * It may be from before a delete that was reaped since, so that even its rows in doubt, which join every merge, would bring
   * the value back: as those of a restored backup they are held apart, which the next open does. Marked before anything that
   * would hide that it is a copy. @throws DiskFullError before there is room: then the next step tries again.
   */
  #giveUp(): never {
    const { store, actors, doubt, counters, env } = this.#r;
    this.#isCopy = true;
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

  /** Others each time, and some who do not know of this start's epochs yet. */
  #some(members: readonly NodeId[]): NodeId[] {
    const turn = this.#turn++ * COPY_CHECK_PEERS;
    const some = (nodes: readonly NodeId[]): NodeId[] => {
      const count = Math.min(COPY_CHECK_PEERS, nodes.length);
      return Array.from({ length: count }, (_, i) => nodes[(turn + i) % nodes.length] as NodeId);
    };
    return [...new Set([...some(members), ...some(members.filter((n) => !this.#told.has(n)))])];
  }

  async #ask(node: NodeId, database: ActorId, told: Seen): Promise<Seen | null> {
    const fields: WireFields = [bytesFromByteString(database), told.epochEnd, told.sequence];
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
