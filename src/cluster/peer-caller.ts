import type { NodeId } from "../core/ids.ts";
import { PEER_SESSION_LIFE_MS } from "../core/limits.ts";
import type { Env } from "../env/env.ts";
import { type PeerResponse, TransportError } from "../env/transport.ts";
import { LogLimiter } from "./log-limiter.ts";
import { EXPIRED_STATUS, HELLO_PATH, MESSAGES_PATH } from "./peer-auth.ts";
import { PeerError } from "./peer-channel.ts";
import { asPeerError, expired } from "./peer-message.ts";
import {
  type CallerIdentity,
  type CallerSession,
  makeHello,
  readHelloAnswer,
} from "./peer-sessions.ts";
import type { PeerStats } from "./peer-stats.ts";

/** A hello is answered from memory; a longer silence is a dead or a blocked peer. */
const HELLO_TIMEOUT_MS = 3_000;
const EMPTY = new Uint8Array(0);

export interface PeerCallerOptions {
  readonly env: Env;
  readonly identity: CallerIdentity;
  readonly stats: PeerStats;
  /** Null for an address whose node is yet to be learned. */
  readonly target: NodeId | null;
  readonly addressOf: () => string | undefined;
}

/** Authenticated calls to one peer: holds the session and renews it when the peer has lost it. */
export class PeerCaller {
  readonly #options: PeerCallerOptions;
  readonly #logLimiter: LogLimiter;
  #session: CallerSession | undefined;
  #greeting: Promise<void> | undefined;

  constructor(options: PeerCallerOptions) {
    this.#options = options;
    this.#logLimiter = new LogLimiter(options.env.clock);
  }

  get hasSession(): boolean {
    return this.#validSession() !== undefined;
  }

  #validSession(): CallerSession | undefined {
    const session = this.#session;
    if (session === undefined) return undefined;
    const ageMs = this.#options.identity.clock.monotonicMs() - session.openedMs;
    if (ageMs > PEER_SESSION_LIFE_MS) this.#session = undefined;
    return this.#session;
  }

  /** Opens a session if there is none; all who wait share one hello. @throws PeerError: nothing was sent to execute. */
  greet(): Promise<void> {
    if (this.hasSession) return Promise.resolve();
    this.#greeting ??= this.#hello().finally(() => {
      this.#greeting = undefined;
    });
    return this.#greeting;
  }

  /**
   * As `greet`, but waits no longer than that: the hello is shared with others, and may take longer than the one message
   * that waits for it has time.
   */
  greetWithin(timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.#options.env.clock.after(timeoutMs, () => {
        this.#options.stats.expired++;
        reject(expired());
      });
      this.greet().then(
        () => {
          timer.cancel();
          resolve();
        },
        (error: unknown) => {
          timer.cancel();
          reject(asPeerError(error));
        },
      );
    });
  }

  /**
   * Sends one body of messages, the oldest of which began at `beganMs` (monotonic), and returns the peer's authenticated answer.
   * @throws PeerError `unreachable` when it was certainly not executed, `timeout` when it may have been.
   */
  async call(body: Uint8Array, beganMs: number, timeoutMs: number): Promise<PeerResponse> {
    const { clock } = this.#options.env;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    for (let attempt = 1; ; attempt++) {
      if (!this.hasSession) await this.greetWithin(deadlineMs - clock.monotonicMs());
      const session = this.#session;
      const leftMs = deadlineMs - clock.monotonicMs();
      if (session === undefined || leftMs <= 0) throw expired();
      const request = session.sign(body, clock.monotonicMs() - beganMs);
      const answer = await this.#transport(MESSAGES_PATH, request.auth, body, leftMs);
      if (clock.monotonicMs() > deadlineMs) {
        // Checked here too, because a process that was stopped may get its answers before its timers.
        throw new PeerError("timeout", "timeout", "The answer came after the time of its messages");
      }
      const verdict = session.verify(request, answer);
      if (verdict === "answer" && answer.status !== EXPIRED_STATUS) return answer;
      if (this.#session === session) this.#session = undefined;
      if (verdict === "answer") return answer;
      if (verdict === "forged") throw this.#unauthenticated(answer.status);
      this.#options.stats.rehellos++;
      if (attempt > 1) {
        throw new PeerError("unreachable", "rehello", "Cannot send: the peer lost two sessions");
      }
    }
  }

  async #hello(): Promise<void> {
    const { identity, target } = this.#options;
    const hello = makeHello(identity, target);
    let answer: PeerResponse;
    try {
      answer = await this.#transport(HELLO_PATH, hello.auth, EMPTY, HELLO_TIMEOUT_MS);
    } catch (cause) {
      throw notSent(cause);
    }
    const session = readHelloAnswer(identity, hello, answer);
    if (session === "wrong_node") {
      throw new PeerError("unreachable", "wrong_node", "Cannot send: another node answers there");
    }
    if (session !== undefined) {
      this.#session = session;
      return;
    }
    if (answer.status === 401) {
      this.#logUnauthorized("peer-refuses-our-secret");
      throw new PeerError("refused", "unauthorized", "The peer does not accept our cluster secret");
    }
    throw new PeerError(
      "unreachable",
      "unauthenticated_answer",
      `Cannot send: the hello was answered ${answer.status} without proof of the cluster secret`,
    );
  }

  async #transport(
    path: string,
    auth: string,
    body: Uint8Array,
    timeoutMs: number,
  ): Promise<PeerResponse> {
    const { env, addressOf, stats } = this.#options;
    const url = addressOf();
    if (url === undefined || url === "") {
      throw new PeerError("unreachable", "no_address", "Cannot send: no address of the peer known");
    }
    stats.requests++;
    stats.bytesSent += body.length;
    try {
      const answer = await env.transport.call({ url, path, auth, body, timeoutMs });
      stats.bytesReceived += answer.body.length;
      return answer;
    } catch (cause) {
      stats.failures++;
      throw transportFailure(url, cause);
    }
  }

  /** A hello tells next time why: a changed secret, a stranger at the address, or somebody who tampers. */
  #unauthenticated(status: number): PeerError {
    this.#options.stats.unauthenticatedAnswers++;
    this.#logUnauthorized("peer-answer-unauthenticated");
    return new PeerError(
      "timeout",
      "unauthenticated_answer",
      `An answer with status ${status} without a valid MAC is no answer`,
    );
  }

  #logUnauthorized(event: string): void {
    const { env, target, addressOf } = this.#options;
    if (this.#logLimiter.allow(event)) {
      env.logger.warn(event, { peer: target ?? "", url: addressOf() ?? "" });
    }
  }
}

function transportFailure(url: string, cause: unknown): PeerError {
  const unsent = cause instanceof TransportError && !cause.sent;
  const outcome = unsent ? "unreachable" : "timeout";
  return new PeerError(outcome, outcome, `Cannot reach peer at ${url}: ${String(cause)}`, {
    cause,
  });
}

/** Whatever happened to the hello: the message itself was not sent. */
function notSent(cause: unknown): PeerError {
  const { code, message } = asPeerError(cause);
  return new PeerError("unreachable", code, message, { cause });
}
