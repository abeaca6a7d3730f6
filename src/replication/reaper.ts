/**
 * The reaper: forgets tombstones and expired values when it is proven that nothing can bring back what they replaced, and
 * shortens contexts by the same proof (design 7 "Reaping"; the schedules are in test/replication/reaping.test.ts).
 *
 * It walks its own rows in the order of the ring, in small steps. Of a unit's owners the first in the layout reaps, so that
 * they do not all ask the same. What is due is gathered for a round: every storage member is asked about all of it at once.
 */
import { PeerError } from "../cluster/peer-channel.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import { utf8Decode } from "../core/bytes.ts";
import { compacted } from "../core/compaction.ts";
import { type ActorId, type NodeId, parseNamespaceId } from "../core/ids.ts";
import { type Key, makeKey, RING_PLACES } from "../core/key.ts";
import {
  REAP_KEYS_MAX,
  REAP_ROUND_LIVES,
  REAP_STEP_PAUSE_MS,
  REAP_STEP_ROWS,
  REQUEST_TIMEOUT_DEFAULT_MS,
} from "../core/limits.ts";
import { isReapable, isSettled, type ReapAnswer } from "../core/reap.ts";
import { newestStamp } from "../core/record.ts";
import { decodeHead } from "../core/record-codec.ts";
import type { PlaceCursor } from "../env/disk.ts";
import type { Worker } from "../env/worker.ts";
import type { PlacedRow } from "../storage/record-store.ts";
import { ActorsInUse } from "./actors-in-use.ts";
import { exchangeHorizons } from "./horizon-exchange.ts";
import { type Reaping, reapHere } from "./reap-acts.ts";
import { judge } from "./reap-judge.ts";
import {
  decodeDone,
  decodeReapAnswers,
  encodeReap,
  type ReapItem,
  type ReapMessage,
} from "./reap-messages.ts";
import { routeOf } from "./route.ts";
import { membersOf } from "./storage-members.ts";

/** Where the walk stands, for operators. */
export interface ReaperStatus {
  readonly state: "walking" | "resting" | "postponed";
  /** Who could not be asked, since when (wall time, ms) and what it was; null unless postponed. */
  readonly postponed: {
    readonly by: NodeId;
    readonly sinceMs: number;
    readonly reason: string;
  } | null;
  /** Records of the last walk that were due, by why they were not reaped. */
  readonly kept: Readonly<Partial<Record<ReapAnswer, number>>>;
}

/** After a round that could not ask everybody. */
const POSTPONED_PAUSE_MS = 10_000;
/** A walk begins so many times in a grace time, at least every hour. */
const WALKS_PER_GRACE = 24;
const WALK_PAUSE_MIN_MS = 100;
const WALK_PAUSE_MAX_MS = 3_600_000;

export class Reaper implements Worker {
  readonly name = "reaper";
  readonly #reaping: Reaping;
  readonly #actors: ActorsInUse;
  readonly #walkPauseMs: number;
  #cursor: PlaceCursor | null = null;
  /** The walk has come to the end, and the next one waits until nothing of it is due any more. */
  #isWalked = false;
  /** At most those of one step, and of a round that was almost full. */
  #due: ReapItem[] = [];
  /** Whose owners what is due was gathered for. */
  #layout: ActiveLayout | null = null;
  #restUntilMs = 0;
  #postponed: ReaperStatus["postponed"] = null;
  #kept: Partial<Record<ReapAnswer, number>> = {};
  #keptBefore: Partial<Record<ReapAnswer, number>> = {};

  constructor(reaping: Reaping) {
    this.#reaping = reaping;
    this.#actors = new ActorsInUse(reaping.r);
    const pauseMs = reaping.graceMs / WALKS_PER_GRACE;
    this.#walkPauseMs = Math.min(Math.max(pauseMs, WALK_PAUSE_MIN_MS), WALK_PAUSE_MAX_MS);
  }

  status(): ReaperStatus {
    const postponed = this.#postponed;
    const kept = this.#keptBefore;
    if (postponed !== null) return { state: "postponed", postponed, kept };
    const isResting = this.#restUntilMs > this.#reaping.r.env.clock.monotonicMs();
    return { state: isResting ? "resting" : "walking", postponed, kept };
  }

  async step(): Promise<number> {
    const { r, quiet } = this.#reaping;
    quiet.sample();
    const nowMs = r.env.clock.monotonicMs();
    if (nowMs < this.#restUntilMs) return Math.min(this.#restUntilMs - nowMs, quiet.sampleMs);
    const layout = r.membership.layout();
    if (layout?.member(r.self)?.role !== "storage") return this.#rest(this.#walkPauseMs);
    const away = membersOf(layout, r.self).find((node) => r.membership.liveness(node) === "down");
    if (away !== undefined) return this.#postpone(away, "down");
    if (this.#layout !== layout) this.#startAnew();
    this.#layout = layout;
    if (this.#cursor === null && !this.#isWalked) {
      await this.#actors.meet(layout);
      await exchangeHorizons(this.#reaping, layout);
    }
    // A step looks at more rows than a round takes: nothing is looked at while a round is full.
    if (!this.#isWalked && this.#due.length < REAP_KEYS_MAX) this.#walk(layout);
    if (this.#due.length > 0 && (this.#isWalked || this.#due.length >= REAP_KEYS_MAX)) {
      const items = this.#due.splice(0, REAP_KEYS_MAX);
      const blocker = await this.#round(layout, items);
      if (blocker !== null) return this.#postpone(blocker.by, blocker.reason);
      this.#postponed = null;
    }
    if (!this.#isWalked || this.#due.length > 0) return REAP_STEP_PAUSE_MS;
    this.#isWalked = false;
    this.#keptBefore = this.#kept;
    this.#kept = {};
    return this.#rest(this.#walkPauseMs);
  }

  #rest(forMs: number): number {
    const { quiet, r } = this.#reaping;
    this.#restUntilMs = r.env.clock.monotonicMs() + forMs;
    return Math.min(forMs, quiet.sampleMs);
  }

  #postpone(by: NodeId, reason: string): number {
    const { env, counters } = this.#reaping.r;
    counters.reapsPostponed++;
    if (this.#postponed?.by !== by) {
      env.logger.warn("reaping-postponed", { by, reason });
      this.#postponed = { by, sinceMs: Math.floor(env.clock.wallMs()), reason };
    }
    // Whatever was due is found again: nothing is remembered for as long as a member may be away.
    this.#startAnew();
    return this.#rest(Math.min(POSTPONED_PAUSE_MS, this.#walkPauseMs));
  }

  #startAnew(): void {
    this.#due = [];
    this.#cursor = null;
    this.#isWalked = false;
    this.#kept = {};
  }

  /** Looks at some rows, gathers what is due. */
  #walk(layout: ActiveLayout): void {
    const { rows, next } = this.#reaping.r.store.scanPlaces({
      from: 0,
      to: RING_PLACES,
      after: this.#cursor,
      limit: REAP_STEP_ROWS,
    });
    const actors = this.#actors.known(layout);
    for (const row of rows) {
      const item = this.#dueOf(layout, row, actors);
      if (item !== null) this.#due.push(item);
    }
    this.#cursor = next;
    this.#isWalked = next === null;
  }

  #dueOf(
    layout: ActiveLayout,
    row: PlacedRow,
    actors: ReadonlySet<ActorId> | null,
  ): ReapItem | null {
    const { r, graceMs, quiet, contextEntriesMax } = this.#reaping;
    if (row.state !== "record" || !quiet.isQuietRow(row.sequence)) return null;
    const record = decodeHead(row.head);
    const nowMs = r.clock.nowForExpiryMs();
    const isDead = isReapable(record, nowMs, graceMs);
    if (!isDead) {
      const canBeShorter =
        actors !== null && compacted(record, actors, contextEntriesMax) !== record;
      if (!canBeShorter || !isSettled(record, nowMs, graceMs)) return null;
    }
    const key: Key = makeKey(
      r.env.hasher,
      parseNamespaceId(row.namespace),
      utf8Decode(row.keyBytes),
    );
    if (routeOf(layout, key)?.homes[0] !== r.self) return null;
    const digest = r.store.digestOf(key);
    if (digest === null) return null;
    return { act: isDead ? "reap" : "compact", key, digest, stamp: newestStamp(record) };
  }

  /** Null when everybody was asked, else who was not. */
  async #round(
    layout: ActiveLayout,
    asked: readonly ReapItem[],
  ): Promise<{ readonly by: NodeId; readonly reason: string } | null> {
    const { r } = this.#reaping;
    const beganMs = r.env.clock.monotonicMs();
    const known = this.#actors.known(layout);
    const actors = known ?? NO_ACTORS;
    const doable = known === null ? asked.filter(({ act }) => act === "reap") : asked;
    let items = doable.filter((item) => this.#note(judge(this.#reaping, layout, item)));
    if (items.length === 0) return null;
    const message: ReapMessage = { layoutVersion: layout.version, actors, items };
    const members = membersOf(layout, r.self);
    const answers = await Promise.all(members.map((node) => this.#ask(node, message)));
    for (const [i, answer] of answers.entries()) {
      if (typeof answer === "string") return { by: members[i] as NodeId, reason: answer };
    }
    items = items.filter((_, i) => answers.every((answer) => this.#note(answer[i] as ReapAnswer)));
    const isVoid = (): boolean =>
      r.env.clock.monotonicMs() - beganMs > REAP_ROUND_LIVES * this.#reaping.r.lifeMs ||
      r.membership.layout() !== layout;
    if (items.length === 0 || isVoid()) return null;
    const elsewhere = await this.#doElsewhere(layout, { ...message, items });
    items = items.filter((_, i) => elsewhere[i] === true);
    if (isVoid()) return null;
    // What is gone elsewhere and stays here comes back to the others by anti-entropy, and the next walk finds it again.
    await r.store.whenAllDurable(reapHere(this.#reaping, layout, items, actors).sequences);
    return null;
  }

  /** True for agreement; else the reason is counted. */
  #note(answer: ReapAnswer): boolean {
    if (answer === "agreed") return true;
    this.#kept[answer] = (this.#kept[answer] ?? 0) + 1;
    return false;
  }

  async #ask(node: NodeId, message: ReapMessage): Promise<ReapAnswer[] | string> {
    try {
      const answer = await this.#send(node, "reapAsk", message);
      return decodeReapAnswers(answer, message.items.length);
    } catch (error) {
      if (error instanceof PeerError) return error.code;
      throw error;
    }
  }

  /** By item: every other owner has done it. All of them before this node does, which is what finds the record again. */
  async #doElsewhere(layout: ActiveLayout, message: ReapMessage): Promise<boolean[]> {
    const { self } = this.#reaping.r;
    const done = message.items.map(() => true);
    const byOwner = new Map<NodeId, number[]>();
    for (const [at, { key }] of message.items.entries()) {
      for (const home of routeOf(layout, key)?.homes ?? []) {
        if (home === self) continue;
        byOwner.set(home, [...(byOwner.get(home) ?? []), at]);
      }
    }
    const asked = [...byOwner].map(async ([owner, ats]) => {
      const items = ats.map((at) => message.items[at] as ReapItem);
      const answers = await this.#do(owner, { ...message, items });
      for (const [i, at] of ats.entries()) if (answers[i] !== true) done[at] = false;
    });
    await Promise.all(asked);
    return done;
  }

  async #do(owner: NodeId, message: ReapMessage): Promise<boolean[]> {
    try {
      const answer = await this.#send(owner, "reapDo", message);
      return decodeDone(answer, message.items.length);
    } catch (error) {
      // It may have been done or not: this node keeps its row, and with it the others get theirs back.
      if (error instanceof PeerError) return [];
      throw error;
    }
  }

  #send(node: NodeId, kind: "reapAsk" | "reapDo", message: ReapMessage) {
    const timeoutMs = Math.min(REQUEST_TIMEOUT_DEFAULT_MS, this.#reaping.r.lifeMs / 2);
    return this.#reaping.r.channel.send(node, kind, encodeReap(message), {
      timeoutMs,
      lane: "direct",
    });
  }
}

/** For rounds in which nothing is compacted. */
const NO_ACTORS: ReadonlySet<ActorId> = new Set();
