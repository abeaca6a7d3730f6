/**
 * The receiving side of the peer protocol: authenticates, decodes, hands each message to its handler and answers all of
 * them in order. No input makes it throw or answer 500.
 */
import type { ClusterId, NodeId } from "../core/ids.ts";
import { CLOCK_GAP_PERCENT, MESSAGE_AGE_PERCENT } from "../core/limits.ts";
import type { Env } from "../env/env.ts";
import type { PeerAdmission, PeerHandler, PeerResponse } from "../env/transport.ts";
import type { Keyring } from "./keyring.ts";
import { LogLimiter } from "./log-limiter.ts";
import { Answers } from "./peer-answers.ts";
import { EXPIRED_STATUS, HELLO_PATH, MESSAGES_PATH } from "./peer-auth.ts";
import {
  MESSAGE_KINDS,
  type MessageContext,
  type MessageHandler,
  type MessageHandlers,
  type MessageKind,
  PeerError,
  type WireFields,
} from "./peer-channel.ts";
import {
  type DecodedRequest,
  decodeRequest,
  encodeAnswer,
  UnsupportedVersionError,
} from "./peer-codec.ts";
import { type Admitted, PeerGate } from "./peer-gate.ts";

/** Messages whose handlers have not ended, over all peers. More: refused `overloaded`, each by itself. */
const UNDER_WAY_MAX = 16_384;
const EMPTY = new Uint8Array(0);

export interface PeerServerOptions {
  readonly env: Env;
  readonly self: NodeId;
  /** Undefined until this node has created or joined a cluster. */
  readonly clusterId: () => ClusterId | undefined;
  readonly keyring: Keyring;
  readonly handlers: MessageHandlers;
  /** D: see MESSAGE_LIFE_MS. */
  readonly messageLifeMs: number;
}

export interface PeerReceiver {
  readonly admit: PeerAdmission;
  readonly handle: PeerHandler;
}

export function createPeerServer(options: PeerServerOptions): PeerReceiver {
  const server = new PeerServer(options);
  return {
    admit: (head) => server.admit(head.path, head.auth, head.bodyBytes),
    handle: (request) => server.handle(request.path, request.auth, request.body),
  };
}

class PeerServer {
  readonly #options: PeerServerOptions;
  readonly #gate: PeerGate;
  readonly #handlers = new Map<number, MessageHandler>();
  readonly #logLimiter: LogLimiter;
  #underWay = 0;

  constructor(options: PeerServerOptions) {
    this.#options = options;
    const { env, keyring, self, handlers } = options;
    const { crypto, random, clock, logger } = env;
    this.#gate = new PeerGate({ crypto, random, clock, logger, keyring, self });
    this.#logLimiter = new LogLimiter(clock);
    for (const [kind, handler] of Object.entries(handlers)) {
      this.#handlers.set(MESSAGE_KINDS[kind as MessageKind], handler);
    }
  }

  admit(path: string, auth: string, bodyBytes: number): PeerResponse | null {
    if (path === HELLO_PATH) return bodyBytes === 0 ? null : plain(400);
    if (path !== MESSAGES_PATH) return plain(404);
    return this.#gate.expect(auth, bodyBytes);
  }

  handle(path: string, auth: string, body: Uint8Array): Promise<PeerResponse> {
    if (path === HELLO_PATH) {
      const answer = body.length === 0 ? this.#gate.hello(auth) : plain(400);
      return Promise.resolve(answer);
    }
    if (path !== MESSAGES_PATH) return Promise.resolve(plain(404));
    const admitted = this.#gate.admit(auth, body);
    if ("status" in admitted) return Promise.resolve(admitted);
    const agePercent = (100 * admitted.ageMs) / this.#options.messageLifeMs;
    // A caller whose time runs so far ahead shows that this node was stopped, and nothing of the session's ages is true.
    if (agePercent > MESSAGE_AGE_PERCENT || agePercent < -CLOCK_GAP_PERCENT) {
      return Promise.resolve(this.#refuseLate(admitted));
    }
    let request: DecodedRequest;
    try {
      request = decodeRequest(body);
    } catch (error) {
      return Promise.resolve(this.#refuseUnreadable(admitted, error));
    }
    const own = this.#options.clusterId();
    // A node that has not joined yet belongs to no cluster, and may speak and be spoken to.
    if (own !== undefined && request.clusterId !== "" && request.clusterId !== own) {
      return Promise.resolve(this.#refuseCluster(admitted, request.clusterId, own));
    }
    return this.#run(admitted, request.flat);
  }

  /** Calls all handlers at once; waits for nothing when all of them answer at once. */
  #run(admitted: Admitted, request: WireFields): Promise<PeerResponse> {
    const messages = request.length / 3;
    const answers = new Answers(messages);
    const { env, messageLifeMs } = this.#options;
    const diesMs = env.clock.monotonicMs() - Math.max(0, admitted.ageMs) + messageLifeMs;
    for (let index = 0; index < messages; index++) {
      const kind = request[3 * index] as number;
      const timeoutMs = request[3 * index + 1] as number;
      const fields = request[3 * index + 2] as WireFields;
      this.#start(answers, index, kind, fields, { from: admitted.from, timeoutMs, diesMs });
    }
    if (answers.missing === 0) return Promise.resolve(this.#answer(admitted, answers));
    return new Promise((resolve) => {
      answers.onComplete = () => resolve(this.#answer(admitted, answers));
    });
  }

  #start(
    answers: Answers,
    index: number,
    kind: number,
    fields: WireFields,
    context: MessageContext,
  ): void {
    const handler = this.#handlers.get(kind);
    if (handler === undefined) {
      answers.refuse(index, "unknown_kind", `This node knows no messages of kind ${kind}`);
      return;
    }
    if (context.timeoutMs === 0) {
      answers.refuse(index, "expired", "The time of the message was over when it arrived");
      return;
    }
    if (this.#underWay >= UNDER_WAY_MAX) {
      answers.refuse(index, "overloaded", "Too many messages are under way here");
      return;
    }
    try {
      const answer = handler(fields, context);
      if (!(answer instanceof Promise)) {
        answers.set(index, answer);
        return;
      }
      this.#underWay++;
      answer.then(
        (value) => {
          this.#underWay--;
          answers.set(index, value);
        },
        (error: unknown) => {
          this.#underWay--;
          this.#refuseWith(answers, index, kind, context, error);
        },
      );
    } catch (error) {
      this.#refuseWith(answers, index, kind, context, error);
    }
  }

  #refuseWith(
    answers: Answers,
    index: number,
    kind: number,
    context: MessageContext,
    error: unknown,
  ): void {
    if (error instanceof PeerError && error.outcome === "refused") {
      answers.refuse(index, error.code, error.message, error.detail);
      return;
    }
    const { logger } = this.#options.env;
    logger.error("peer-handler-failed", { kind, from: context.from, error: describe(error) });
    answers.refuse(index, "internal", "The handler failed; the log of the peer says why");
  }

  #answer(admitted: Admitted, answers: Answers): PeerResponse {
    let body: Uint8Array;
    answers.fit();
    try {
      body = encodeAnswer(answers.flat);
    } catch (error) {
      // One handler's answer cannot be encoded, and nobody knows whose: a bug like any other of a handler.
      this.#options.env.logger.error("peer-answer-unencodable", { error: describe(error) });
      for (let index = 0; index < answers.count; index++) {
        answers.refuse(index, "internal", "An answer could not be encoded");
      }
      body = encodeAnswer(answers.flat);
    }
    return this.#gate.answer(admitted, 200, body);
  }

  /** From someone who knows the secret, so it is another version or a bug: an authenticated refusal of the whole. */
  #refuseUnreadable(admitted: Admitted, error: unknown): PeerResponse {
    const code = error instanceof UnsupportedVersionError ? "unsupported_version" : "bad_message";
    if (this.#logLimiter.allow(admitted.from)) {
      this.#options.env.logger.warn("peer-message-unreadable", {
        peer: admitted.from,
        error: describe(error),
      });
    }
    return this.#refuseAll(admitted, 400, code, error instanceof Error ? error.message : "");
  }

  /** What it carries may be the last trace of a key that is reaped by now: it must not be taken in. */
  #refuseLate(admitted: Admitted): PeerResponse {
    if (this.#logLimiter.allow(admitted.from)) {
      const ageMs = Math.round(admitted.ageMs);
      this.#options.env.logger.warn("peer-message-late", { peer: admitted.from, ageMs });
    }
    return this.#refuseAll(admitted, EXPIRED_STATUS, "expired", "The message is too old");
  }

  #refuseCluster(admitted: Admitted, theirs: string, own: string): PeerResponse {
    if (this.#logLimiter.allow(admitted.from)) {
      this.#options.env.logger.warn("peer-of-another-cluster", {
        peer: admitted.from,
        theirs: theirs.slice(0, 32),
        own,
      });
    }
    return this.#refuseAll(admitted, 421, "wrong_cluster", `This node belongs to cluster ${own}`);
  }

  #refuseAll(admitted: Admitted, status: number, code: string, message: string): PeerResponse {
    const answers = new Answers(1);
    answers.refuse(0, code, message);
    return this.#gate.answer(admitted, status, encodeAnswer(answers.flat));
  }
}

function plain(status: number): PeerResponse {
  return { status, auth: "", body: EMPTY };
}

function describe(error: unknown): string {
  const text = error instanceof Error ? (error.stack ?? String(error)) : String(error);
  return text.slice(0, 2_000);
}
