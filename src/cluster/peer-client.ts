import type { ClusterId, NodeId } from "../core/ids.ts";
import type { Metric } from "../core/metrics.ts";
import type { Clock } from "../env/clock.ts";
import type { Env } from "../env/env.ts";
import type { Keyring } from "./keyring.ts";
import { PeerCaller } from "./peer-caller.ts";
import {
  MESSAGE_KINDS,
  type MessageKind,
  type PeerChannel,
  PeerError,
  type SendOptions,
  type WireFields,
} from "./peer-channel.ts";
import { encodeRequest, estimateWireBytes, PEER_MESSAGE_BYTES_MAX } from "./peer-codec.ts";
import { PeerLane } from "./peer-lane.ts";
import { asPeerError, expired, type PendingMessage, settleWith, tooLarge } from "./peer-message.ts";
import type { CallerIdentity } from "./peer-sessions.ts";
import { newPeerStats, type PeerStats, peerMetrics } from "./peer-stats.ts";

/** Messages of the direct lane under way to one peer, well below the receiver's replay window. More: refused. */
const DIRECT_MAX = 512;
/** Sessions with addresses whose node is not known yet. The oldest is forgotten. */
const ADDRESSES_MAX = 64;

export interface PeerClientOptions {
  /** With a clock that goes on while the machine sleeps: deadlines must be over when it wakes. */
  readonly env: Env;
  /** One that may stand still, see CallerIdentity. */
  readonly sessionClock: Clock;
  readonly self: NodeId;
  /** Undefined until this node has created or joined a cluster. */
  readonly clusterId: () => ClusterId | undefined;
  readonly keyring: Keyring;
  /** The peer-facing base address; undefined when none was ever heard. */
  readonly addressOf: (node: NodeId) => string | undefined;
  /** D: no message is given more time, see MESSAGE_LIFE_MS. */
  readonly messageLifeMs: number;
  /** Called with the time from sending a batch to its answer. */
  readonly onRoundTrip?: (node: NodeId, ms: number) => void;
}

interface Peer {
  readonly caller: PeerCaller;
  readonly lane: PeerLane;
  directUnderWay: number;
}

/** The sending side of the peer protocol. One of them serves all modules of a node. */
export class PeerClient implements PeerChannel {
  readonly stats: PeerStats = newPeerStats();
  readonly #options: PeerClientOptions;
  readonly #identity: CallerIdentity;
  readonly #peers = new Map<NodeId, Peer>();
  readonly #byAddress = new Map<string, PeerCaller>();

  constructor(options: PeerClientOptions) {
    this.#options = options;
    const { env, keyring, self, sessionClock } = options;
    const { crypto, random } = env;
    this.#identity = { clock: sessionClock, crypto, random, keyring, self };
  }

  send(
    node: NodeId,
    kind: MessageKind,
    fields: WireFields,
    options: SendOptions,
  ): Promise<WireFields> {
    const peer = this.#peers.get(node) ?? this.#addPeer(node);
    const timeoutMs = Math.min(options.timeoutMs, this.#options.messageLifeMs);
    if (options.lane === "batch") {
      return peer.lane.send(MESSAGE_KINDS[kind], fields, timeoutMs, options.gather);
    }
    return this.#sendDirect(peer, kind, fields, timeoutMs);
  }

  sendTo(
    url: string,
    kind: MessageKind,
    fields: WireFields,
    timeoutMs: number,
  ): Promise<WireFields> {
    const caller = this.#byAddress.get(url) ?? this.#addAddress(url);
    return this.#sendAlone(caller, kind, fields, timeoutMs);
  }

  /** Of recent answers, waiting in the queue included; 0 before the first. */
  latencyP99Ms(node: NodeId): number {
    return this.#peers.get(node)?.lane.latencyP99Ms() ?? 0;
  }

  /** Smoothed; undefined before the first answer to a batch. */
  roundTripMs(node: NodeId): number | undefined {
    return this.#peers.get(node)?.lane.roundTripMs;
  }

  metrics(): readonly Metric[] {
    let queued = 0;
    for (const peer of this.#peers.values()) queued += peer.lane.queued;
    return peerMetrics(this.stats, queued);
  }

  /** Ends all timers and refuses what waits. */
  close(): void {
    for (const peer of this.#peers.values()) peer.lane.close();
  }

  async #sendDirect(
    peer: Peer,
    kind: MessageKind,
    fields: WireFields,
    timeoutMs: number,
  ): Promise<WireFields> {
    if (peer.directUnderWay >= DIRECT_MAX) {
      this.stats.overloaded++;
      throw new PeerError("refused", "overloaded", "Not sent: too much is under way to this peer");
    }
    peer.directUnderWay++;
    try {
      return await this.#sendAlone(peer.caller, kind, fields, timeoutMs);
    } finally {
      peer.directUnderWay--;
    }
  }

  async #sendAlone(
    caller: PeerCaller,
    kind: MessageKind,
    fields: WireFields,
    timeoutMs: number,
  ): Promise<WireFields> {
    const { clock } = this.#options.env;
    const queuedMs = clock.monotonicMs();
    const deadlineMs = queuedMs + timeoutMs;
    if (!caller.hasSession) await caller.greetWithin(timeoutMs);
    const leftMs = Math.ceil(deadlineMs - clock.monotonicMs());
    if (leftMs <= 0) throw this.#expired();
    const bytes = estimateWireBytes(fields);
    if (bytes > PEER_MESSAGE_BYTES_MAX) throw tooLarge(bytes);
    this.stats.messages++;
    const number = MESSAGE_KINDS[kind];
    const clusterId = this.#options.clusterId() ?? "";
    let answer: Awaited<ReturnType<PeerCaller["call"]>>;
    try {
      const body = encodeRequest(clusterId, [number, leftMs, fields]);
      answer = await caller.call(body, queuedMs, leftMs);
    } catch (error) {
      throw asPeerError(error);
    }
    return new Promise((resolve, reject) => {
      const message: PendingMessage = {
        kind: number,
        fields,
        bytes,
        queuedMs,
        deadlineMs,
        resolve,
        reject,
        settled: false,
      };
      settleWith([message], answer);
    });
  }

  #expired(): PeerError {
    this.stats.expired++;
    return expired();
  }

  #addPeer(node: NodeId): Peer {
    const { env, addressOf, clusterId, onRoundTrip } = this.#options;
    const caller = new PeerCaller({
      env,
      identity: this.#identity,
      stats: this.stats,
      target: node,
      addressOf: () => addressOf(node),
    });
    const lane = new PeerLane({
      env,
      caller,
      clusterId,
      stats: this.stats,
      onRoundTrip: (ms) => onRoundTrip?.(node, ms),
    });
    const peer: Peer = { caller, lane, directUnderWay: 0 };
    this.#peers.set(node, peer);
    return peer;
  }

  #addAddress(url: string): PeerCaller {
    const { env } = this.#options;
    const caller = new PeerCaller({
      env,
      identity: this.#identity,
      stats: this.stats,
      target: null,
      addressOf: () => url,
    });
    for (const oldest of this.#byAddress.keys()) {
      if (this.#byAddress.size < ADDRESSES_MAX) break;
      this.#byAddress.delete(oldest);
    }
    this.#byAddress.set(url, caller);
    return caller;
  }
}
