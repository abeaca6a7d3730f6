/**
 * The batch lane to one peer: everything that waits for the peer goes in one request. A message is sent at once when
 * nothing is under way. Otherwise it waits for the next answer, but no longer than an eighth of the round trip: within a
 * data centre one or two large requests are then under way, between regions eight that follow each other evenly.
 */
import {
  PEER_INFLIGHT_MAX,
  PEER_QUEUE_BYTES_MAX,
  PEER_QUEUE_ITEMS_MAX,
  RECORD_ALONE_BYTES,
} from "../core/limits.ts";
import type { Timer } from "../env/clock.ts";
import type { Env } from "../env/env.ts";
import type { PeerResponse } from "../env/transport.ts";
import { DeadlineWatch } from "./deadline-watch.ts";
import { LatencyRing } from "./latency-ring.ts";
import type { PeerCaller } from "./peer-caller.ts";
import { PeerError, type WireFields, type WireValue } from "./peer-channel.ts";
import {
  encodeRequest,
  estimateWireBytes,
  PEER_BATCH_MESSAGES_MAX,
  PEER_MESSAGE_BYTES_MAX,
} from "./peer-codec.ts";
import {
  asPeerError,
  expired,
  fail,
  type PendingMessage,
  settleWith,
  tooLarge,
} from "./peer-message.ts";
import type { PeerStats } from "./peer-stats.ts";
import { ShedGate } from "./shed-gate.ts";

/** Larger batches save nothing more and make the receiver's turn long. */
const BATCH_BYTES_MAX = 1 << 20;
/** Below this waiting costs nobody anything and saves a request. */
const PACE_MIN_MS = 1;
/** What a message costs beside its fields. */
const MESSAGE_OVERHEAD_BYTES = 8;

interface Batch {
  readonly messages: readonly PendingMessage[];
  readonly sentMs: number;
}

export interface PeerLaneOptions {
  readonly env: Env;
  readonly caller: PeerCaller;
  readonly clusterId: () => string | undefined;
  readonly stats: PeerStats;
  readonly onRoundTrip: (ms: number) => void;
}

const READY = Promise.resolve();
const nothing = (): void => undefined;

/**
 * Runs `act` a few promise jobs later. The fan-outs of one group commit start in the jobs that follow the commit, some a
 * job or two after others; this lets all of them in, where the end of the turn would add a whole turn of latency.
 */
function afterPresentJobs(act: () => void): void {
  void READY.then(nothing).then(nothing).then(nothing).then(act);
}

export class PeerLane {
  readonly #options: PeerLaneOptions;
  readonly #latencies = new LatencyRing();
  readonly #batches = new Set<Batch>();
  readonly #gate: ShedGate;
  readonly #deadlines: DeadlineWatch;
  #queue: PendingMessage[] = [];
  #queuedBytes = 0;
  #flushing = false;
  #greeting = false;
  #paceTimer: Timer | null = null;
  #lastSentMs = Number.NEGATIVE_INFINITY;
  #roundTripMs: number | undefined;

  constructor(options: PeerLaneOptions) {
    this.#options = options;
    this.#gate = new ShedGate(options.env);
    this.#deadlines = new DeadlineWatch(options.env.clock, (nowMs) => this.#onDeadline(nowMs));
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Smoothed time from sending a batch to its answer (Jacobson 1988, gain 1/8); undefined before the first. */
  get roundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  /** Of the oldest message of each request, waiting in the queue included. 0 before the first answer. */
  latencyP99Ms(): number {
    return this.#latencies.p99();
  }

  send(
    kind: number,
    fields: WireFields,
    timeoutMs: number,
    gather: "jobs" | "turn" = "jobs",
  ): Promise<WireFields> {
    const { env, stats } = this.#options;
    const nowMs = env.clock.monotonicMs();
    if (this.#gate.isClosed(nowMs)) {
      stats.shed++;
      return Promise.reject(
        new PeerError("unreachable", "peer_failing", "Not sent: the peer failed several times"),
      );
    }
    const bytes = estimateWireBytes(fields) + MESSAGE_OVERHEAD_BYTES;
    if (bytes > PEER_MESSAGE_BYTES_MAX) return Promise.reject(tooLarge(bytes));
    if (this.#isFull(bytes)) {
      stats.overloaded++;
      return Promise.reject(
        new PeerError("refused", "overloaded", "Not sent: too much waits for this peer"),
      );
    }
    return new Promise((resolve, reject) => {
      const deadlineMs = nowMs + timeoutMs;
      this.#queue.push({
        kind,
        fields,
        bytes,
        queuedMs: nowMs,
        deadlineMs,
        resolve,
        reject,
        settled: false,
      });
      this.#queuedBytes += bytes;
      this.#deadlines.watch(deadlineMs, nowMs);
      if (!this.#flushing) this.#schedule(nowMs, gather);
    });
  }

  #isFull(bytes: number): boolean {
    if (this.#queue.length === 0) return false;
    return (
      this.#queue.length >= PEER_QUEUE_ITEMS_MAX || this.#queuedBytes + bytes > PEER_QUEUE_BYTES_MAX
    );
  }

  /** Brings about the next flush, as soon as pacing allows it. */
  #schedule(nowMs: number, gather: "jobs" | "turn"): void {
    if (this.#greeting || this.#batches.size >= this.#inFlightMax()) return;
    const waitMs = this.#batches.size === 0 ? 0 : this.#lastSentMs + this.#paceMs() - nowMs;
    if (waitMs <= 0) {
      this.#flushing = true;
      if (gather === "turn") this.#options.env.clock.endOfTurn(() => this.#flush());
      else afterPresentJobs(() => this.#flush());
      return;
    }
    this.#paceTimer ??= this.#options.env.clock.after(waitMs, () => {
      this.#paceTimer = null;
      if (this.#queue.length > 0 && !this.#flushing) {
        this.#schedule(this.#options.env.clock.monotonicMs(), "jobs");
      }
    });
  }

  #inFlightMax(): number {
    return this.#gate.isProbing ? 1 : PEER_INFLIGHT_MAX;
  }

  #paceMs(): number {
    return Math.max(PACE_MIN_MS, (this.#roundTripMs ?? 0) / PEER_INFLIGHT_MAX);
  }

  #flush(): void {
    this.#flushing = false;
    const nowMs = this.#options.env.clock.monotonicMs();
    this.#dropExpired(nowMs);
    if (this.#queue.length === 0) return;
    // Messages wait in the queue, not in a request: those that expire here were certainly not executed.
    if (!this.#options.caller.hasSession) {
      this.#greet();
      return;
    }
    while (this.#queue.length > 0 && this.#batches.size < this.#inFlightMax()) {
      this.#dispatch(this.#takeBatch(), nowMs);
    }
  }

  #greet(): void {
    this.#greeting = true;
    this.#options.caller.greet().then(
      () => {
        this.#greeting = false;
        this.#flush();
      },
      (error: unknown) => {
        this.#greeting = false;
        this.#gate.noteFailure();
        const waiting = this.#queue;
        this.#queue = [];
        this.#queuedBytes = 0;
        for (const message of waiting) fail(message, asPeerError(error));
      },
    );
  }

  /** The oldest messages that fit a batch; one that is large travels alone. */
  #takeBatch(): PendingMessage[] {
    const queue = this.#queue;
    let bytes = 0;
    let count = 0;
    for (const message of queue) {
      const alone = message.bytes > RECORD_ALONE_BYTES;
      if (count > 0 && (alone || bytes + message.bytes > BATCH_BYTES_MAX)) break;
      bytes += message.bytes;
      count++;
      if (alone || count === PEER_BATCH_MESSAGES_MAX) break;
    }
    this.#queuedBytes -= bytes;
    this.#queue = count === queue.length ? [] : queue.slice(count);
    return count === queue.length ? queue : queue.slice(0, count);
  }

  #dispatch(messages: readonly PendingMessage[], nowMs: number): void {
    const { caller, clusterId, stats } = this.#options;
    const flat: WireValue[] = [];
    let timeoutMs = 0;
    for (const { kind, fields, deadlineMs } of messages) {
      const leftMs = Math.ceil(deadlineMs - nowMs);
      flat.push(kind, leftMs, fields);
      if (leftMs > timeoutMs) timeoutMs = leftMs;
    }
    let body: Uint8Array;
    try {
      body = encodeRequest(clusterId() ?? "", flat);
    } catch (cause) {
      const error = new PeerError("unreachable", "unencodable", String(cause), { cause });
      for (const message of messages) fail(message, error);
      return;
    }
    stats.messages += messages.length;
    const batch: Batch = { messages, sentMs: nowMs };
    this.#batches.add(batch);
    this.#lastSentMs = nowMs;
    const beganMs = messages[0]?.queuedMs ?? nowMs;
    caller.call(body, beganMs, timeoutMs).then(
      (answer) => this.#onAnswer(batch, answer),
      (error: unknown) => this.#onFailure(batch, asPeerError(error)),
    );
  }

  #onAnswer(batch: Batch, answer: PeerResponse): void {
    const nowMs = this.#options.env.clock.monotonicMs();
    this.#batches.delete(batch);
    this.#gate.noteAnswer();
    this.#observe(batch, nowMs);
    settleWith(batch.messages, answer);
    if (this.#queue.length > 0 && !this.#flushing) this.#scheduleNow();
  }

  #onFailure(batch: Batch, error: PeerError): void {
    this.#batches.delete(batch);
    this.#gate.noteFailure();
    for (const message of batch.messages) fail(message, error);
    if (this.#queue.length > 0 && !this.#flushing) this.#scheduleNow();
  }

  /** After an answer everything that waits is sent, whatever the pace. */
  #scheduleNow(): void {
    if (this.#greeting) return;
    this.#flushing = true;
    afterPresentJobs(() => this.#flush());
  }

  #observe(batch: Batch, nowMs: number): void {
    const tripMs = nowMs - batch.sentMs;
    const smoothed = this.#roundTripMs;
    this.#roundTripMs = smoothed === undefined ? tripMs : smoothed + (tripMs - smoothed) / 8;
    this.#options.onRoundTrip(tripMs);
    const oldest = batch.messages[0];
    if (oldest !== undefined) this.#latencies.add(nowMs - oldest.queuedMs);
  }

  #dropExpired(nowMs: number): void {
    const alive = this.#queue.filter((message) => message.deadlineMs > nowMs);
    if (alive.length === this.#queue.length) return;
    for (const message of this.#queue) {
      if (message.deadlineMs > nowMs) continue;
      this.#queuedBytes -= message.bytes;
      this.#options.stats.expired++;
      fail(message, expired());
    }
    this.#queue = alive;
  }

  /** Ends the timers and refuses what waits; requests under way run into the void. */
  close(): void {
    this.#paceTimer?.cancel();
    this.#deadlines.close();
    const waiting = this.#queue;
    this.#queue = [];
    for (const message of waiting) {
      fail(message, new PeerError("unreachable", "closed", "Not sent: this node is stopping"));
    }
  }

  /** Ends what is over; returns the next deadline. */
  #onDeadline(nowMs: number): number {
    this.#dropExpired(nowMs);
    let nextMs = Number.POSITIVE_INFINITY;
    for (const message of this.#queue) nextMs = Math.min(nextMs, message.deadlineMs);
    for (const batch of this.#batches) {
      for (const message of batch.messages) {
        if (message.settled) continue;
        if (message.deadlineMs > nowMs) nextMs = Math.min(nextMs, message.deadlineMs);
        else fail(message, new PeerError("timeout", "timeout", "No answer from the peer in time"));
      }
    }
    return nextMs;
  }
}
