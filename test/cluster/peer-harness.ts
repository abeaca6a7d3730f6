/** Two nodes' ends of the peer protocol on a virtual clock, with a wire that a test can watch, delay and tamper with. */

import { systemCrypto } from "../../runtimes/shared/system-crypto.ts";
import { Keyring } from "../../src/cluster/keyring.ts";
import type { MessageHandlers } from "../../src/cluster/peer-channel.ts";
import { PeerClient } from "../../src/cluster/peer-client.ts";
import { createPeerServer } from "../../src/cluster/peer-server.ts";
import { type ClusterId, type NodeId, parseClusterId, parseNodeId } from "../../src/core/ids.ts";
import { MESSAGE_LIFE_MS } from "../../src/core/limits.ts";
import type { Clock } from "../../src/env/clock.ts";
import type { Env } from "../../src/env/env.ts";
import type { LogFields, Logger } from "../../src/env/logger.ts";
import type { Random } from "../../src/env/random.ts";
import {
  type PeerAdmission,
  type PeerHandler,
  type PeerRequest,
  type PeerResponse,
  type Transport,
  TransportError,
} from "../../src/env/transport.ts";

export const ALICE: NodeId = parseNodeId("a".repeat(32));
export const BOB: NodeId = parseNodeId("b".repeat(32));
export const CAROL: NodeId = parseNodeId("c".repeat(32));
export const CLUSTER: ClusterId = parseClusterId("d".repeat(32));
export const SECRET = new Uint8Array(32).fill(7);
export const OTHER_SECRET = new Uint8Array(32).fill(8);

export interface LogLine {
  readonly event: string;
  readonly fields: LogFields | undefined;
}

export class LogCapture implements Logger {
  readonly lines: LogLine[] = [];
  debug(event: string, fields?: LogFields): void {
    this.lines.push({ event, fields });
  }
  info(event: string, fields?: LogFields): void {
    this.lines.push({ event, fields });
  }
  warn(event: string, fields?: LogFields): void {
    this.lines.push({ event, fields });
  }
  error(event: string, fields?: LogFields): void {
    this.lines.push({ event, fields });
  }
  count(event: string): number {
    return this.lines.filter((line) => line.event === event).length;
  }
}

/** A linear congruential generator (Numerical Recipes): any will do that is the same everywhere. */
function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state;
  };
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => next() >>> 24),
    below: (limit) => Math.floor((next() / 2 ** 32) * limit),
  };
}

type Wire = (request: PeerRequest, deliver: PeerHandler) => Promise<PeerResponse>;

/** Calls go to the handler registered under the url, through `wire`. */
export class TestWire implements Transport {
  readonly requests: PeerRequest[] = [];
  readonly answers: PeerResponse[] = [];
  readonly handlers = new Map<string, PeerHandler>();
  wire: Wire = (request, deliver) => deliver(request);

  async call(request: PeerRequest): Promise<PeerResponse> {
    this.requests.push(request);
    const handler = this.handlers.get(request.url);
    if (handler === undefined) throw new TransportError("connection refused", { sent: false });
    const answer = await this.wire(request, handler);
    this.answers.push(answer);
    return answer;
  }

  /** Requests that carry messages, without hellos. */
  get batches(): readonly PeerRequest[] {
    return this.requests.filter((request) => request.path.endsWith("/messages"));
  }
}

/** Holds each request back for the time of a one-way trip, and its answer as long. */
export function delayed(clock: Clock, oneWayMs: number): Wire {
  const pause = (): Promise<void> =>
    new Promise((resolve) => {
      clock.after(oneWayMs, resolve);
    });
  return async (request, deliver) => {
    await pause();
    const answer = await deliver(request);
    await pause();
    return answer;
  };
}

export interface TestNode {
  readonly env: Env;
  readonly logger: LogCapture;
  readonly client: PeerClient;
  readonly handle: PeerHandler;
  readonly admit: PeerAdmission;
  readonly keyring: Keyring;
}

export function makeNode(options: {
  readonly id: NodeId;
  readonly clock: Clock;
  /** When the machine sleeps; else the same. */
  readonly sessionClock?: Clock;
  readonly wire: TestWire;
  readonly handlers?: MessageHandlers;
  readonly secrets?: readonly Uint8Array[];
  readonly clusterId?: ClusterId | null;
  readonly seed?: number;
  readonly onRoundTrip?: (node: NodeId, ms: number) => void;
}): TestNode {
  const { id, clock, wire } = options;
  const logger = new LogCapture();
  const env: Env = {
    clock,
    random: seededRandom(options.seed ?? id.charCodeAt(0)),
    crypto: systemCrypto,
    hasher: { hash64: () => ({ hi: 0, lo: 0 }), hash128: () => new Uint8Array(16) },
    logger,
    transport: wire,
    failStop: (reason) => {
      throw new Error(`fail-stop: ${reason}`);
    },
  };
  const keyring = new Keyring(systemCrypto, options.secrets ?? [SECRET]);
  const clusterId = options.clusterId === undefined ? CLUSTER : options.clusterId;
  const identity = {
    env,
    self: id,
    clusterId: () => clusterId ?? undefined,
    keyring,
    messageLifeMs: MESSAGE_LIFE_MS,
  };
  const { handle, admit } = createPeerServer({ ...identity, handlers: options.handlers ?? {} });
  wire.handlers.set(urlOf(id), handle);
  const client = new PeerClient({
    ...identity,
    sessionClock: options.sessionClock ?? clock,
    addressOf: urlOf,
    ...(options.onRoundTrip === undefined ? {} : { onRoundTrip: options.onRoundTrip }),
  });
  return { env, logger, client, handle, admit, keyring };
}

export function urlOf(node: NodeId): string {
  return `http://${node.slice(0, 4)}:7071`;
}
