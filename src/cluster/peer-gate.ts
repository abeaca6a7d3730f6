/**
 * The receiver's side of peer authentication: it answers hellos, lets each signed request in once, and signs answers.
 * Nothing it keeps can be made to grow by someone without the secret.
 */
import { base64UrlEncode } from "../core/bytes.ts";
import type { NodeId } from "../core/ids.ts";
import type { Clock } from "../env/clock.ts";
import type { Crypto } from "../env/crypto.ts";
import type { Logger } from "../env/logger.ts";
import type { Random } from "../env/random.ts";
import type { PeerResponse } from "../env/transport.ts";
import type { Keyring } from "./keyring.ts";
import { LogLimiter } from "./log-limiter.ts";
import {
  answerContext,
  bodyDigest,
  decodeBase64Url,
  deriveSessionKeys,
  HELLO_PATH,
  helloAnswerContext,
  helloContext,
  joinFields,
  MESSAGES_PATH,
  NONCE_BYTES,
  nodeIdOf,
  openHeader,
  type RefusalCode,
  refusalContext,
  requestContext,
  type SessionKeys,
  sealHeader,
} from "./peer-auth.ts";
import { ReplayWindow } from "./replay-window.ts";

/** Sessions in use. More: the one unused for longest ends, and its caller says hello again. */
const SESSIONS_MAX = 4_096;
/** Sessions opened but not used yet: recorded hellos played back can only push out one another. */
const OPENED_SESSIONS_MAX = 256;
const EMPTY = new Uint8Array(0);

interface Session {
  readonly id: string;
  readonly source: NodeId;
  /** What each of its requests begins with. */
  readonly prefix: string;
  readonly keys: SessionKeys;
  readonly window: ReplayWindow;
  /** When the hello was answered first, in this node's monotonic time. */
  readonly openedMs: number;
  /** The hello that opened it: played back it gets the same answer and opens nothing. */
  readonly hello: string;
  readonly helloAnswer: string;
  lastUse: number;
}

/** A request whose header is right. What it says of the body has still to be true, and it may have been taken before. */
interface Proven {
  readonly session: Session;
  readonly fields: readonly string[];
}

/** A request that was let in. */
export interface Admitted {
  readonly from: NodeId;
  readonly session: Session;
  readonly sequence: number;
  /** Since the oldest of its messages began: never less than the truth, but for how the two clocks tick. */
  readonly ageMs: number;
}

export interface PeerGateOptions {
  readonly crypto: Crypto;
  readonly random: Random;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly keyring: Keyring;
  readonly self: NodeId;
}

export class PeerGate {
  readonly #options: PeerGateOptions;
  readonly #opened = new Map<string, Session>();
  readonly #used = new Map<string, Session>();
  readonly #byHello = new Map<string, Session>();
  readonly #logLimiter: LogLimiter;
  #uses = 0;

  constructor(options: PeerGateOptions) {
    this.#options = options;
    this.#logLimiter = new LogLimiter(options.clock);
  }

  /** Answers a hello: 200 and a session, 421 to one meant for another node, 401 to one that proves nothing. */
  hello(auth: string): PeerResponse {
    const { crypto, keyring, self } = this.#options;
    const [kind, keyId = "", source = "", target = "", nonceText = "", ...rest] = auth.split(".");
    const key = keyring.find("peer-request", keyId)?.key;
    if (kind !== "h1" || rest.length !== 1 || key === undefined) return this.#unauthorized(source);
    if (openHeader(crypto, key, helloContext(), auth) === undefined) {
      return this.#unauthorized(source);
    }
    if (target !== "" && target !== self) {
      return this.#refuse(HELLO_PATH, keyId, 421, "wrong_node", auth);
    }
    const sourceNonce = decodeBase64Url(nonceText);
    const from = nodeIdOf(source);
    if (sourceNonce?.length !== NONCE_BYTES || from === undefined) {
      return this.#unauthorized(source);
    }
    const session = this.#byHello.get(auth) ?? this.#open(auth, keyId, from, sourceNonce);
    return { status: 200, auth: session.helloAnswer, body: EMPTY };
  }

  /** Null when a body of this length is worth waiting for, or the answer that refuses it. Changes nothing. */
  expect(auth: string, bodyBytes: number): PeerResponse | null {
    const proven = this.#prove(auth, bodyBytes);
    if ("status" in proven) return proven;
    const sequence = Number(proven.fields[5]);
    const isExpected = Number.isSafeInteger(sequence) && sequence >= 1;
    return isExpected && proven.session.window.isFree(sequence) ? null : this.#plain(401);
  }

  /** That the header was made by a peer, for a body of this length; or the answer that refuses it. */
  #prove(auth: string, bodyBytes: number): Proven | PeerResponse {
    const fields = auth.split(".");
    const [kind, , source = "", , sessionId = ""] = fields;
    if (kind !== "q1" || fields.length !== 9) return this.#unauthorized("");
    const session = this.#used.get(sessionId) ?? this.#opened.get(sessionId);
    if (session === undefined) return this.#refuseUnknown(auth, fields);
    if (!auth.startsWith(session.prefix)) return this.#unauthorized(source);
    const context = requestContext(MESSAGES_PATH, bodyBytes);
    if (openHeader(this.#options.crypto, session.keys.request, context, auth) === undefined) {
      return this.#unauthorized(source);
    }
    return { session, fields };
  }

  /** Who sent the request, or the answer that refuses it. */
  admit(auth: string, body: Uint8Array): Admitted | PeerResponse {
    const { crypto, clock } = this.#options;
    const proven = this.#prove(auth, body.length);
    if ("status" in proven) return proven;
    const { session, fields } = proven;
    const [, , source = "", , , sequenceText = "", beganText, digest] = fields;
    if (bodyDigest(crypto, body) !== digest) return this.#unauthorized(source);
    const sequence = Number(sequenceText);
    if (!Number.isSafeInteger(sequence) || sequence < 1) return this.#unauthorized(source);
    const beganMs = Number(beganText);
    if (!Number.isSafeInteger(beganMs)) return this.#unauthorized(source);
    // A signed refusal would say "not executed" of a request whose first copy may be running: so this one is plain.
    if (!session.window.take(sequence)) return this.#plain(401);
    this.#use(session);
    // The caller counts from when it received the answer to its hello, so this is the age or more.
    const ageMs = clock.monotonicMs() - session.openedMs - beganMs;
    return { from: session.source, session, sequence, ageMs };
  }

  /** Signs the answer to a request that was let in. */
  answer(admitted: Admitted, status: number, body: Uint8Array): PeerResponse {
    const { crypto } = this.#options;
    const { session, sequence } = admitted;
    const context = answerContext(session.id, sequence, status, body.length);
    const header = joinFields("r1", bodyDigest(crypto, body));
    return { status, auth: sealHeader(crypto, session.keys.answer, context, header), body };
  }

  #open(hello: string, keyId: string, source: NodeId, sourceNonce: Uint8Array): Session {
    const { crypto, random, clock, keyring, self } = this.#options;
    const targetNonce = random.bytes(NONCE_BYTES);
    const id = base64UrlEncode(random.bytes(NONCE_BYTES));
    const keys = deriveSessionKeys(crypto, keyring, {
      keyId,
      source,
      target: self,
      sessionId: id,
      sourceNonce,
      targetNonce,
    });
    const key = keyring.find("peer-response", keyId)?.key;
    // The hello was verified with a key of the same secret.
    if (keys === undefined || key === undefined) throw new Error(`Cannot derive keys of ${keyId}`);
    const header = joinFields("a1", self, base64UrlEncode(targetNonce), id);
    const session: Session = {
      id,
      source,
      prefix: `${joinFields("q1", keyId, source, self, id)}.`,
      keys,
      window: new ReplayWindow(),
      openedMs: clock.monotonicMs(),
      hello,
      helloAnswer: sealHeader(crypto, key, helloAnswerContext(hello), header),
      lastUse: 0,
    };
    if (this.#opened.size >= OPENED_SESSIONS_MAX) this.#end(this.#opened, firstOf(this.#opened));
    this.#opened.set(id, session);
    this.#byHello.set(hello, session);
    return session;
  }

  #use(session: Session): void {
    if (session.lastUse === 0) {
      this.#opened.delete(session.id);
      if (this.#used.size >= SESSIONS_MAX) this.#end(this.#used, longestUnused(this.#used));
      this.#used.set(session.id, session);
    }
    session.lastUse = ++this.#uses;
  }

  /** For ever: its id and keys came from a nonce that is forgotten with it, so its requests can never be valid again. */
  #end(sessions: Map<string, Session>, session: Session | undefined): void {
    if (session === undefined) return;
    sessions.delete(session.id);
    this.#byHello.delete(session.hello);
  }

  #refuseUnknown(auth: string, fields: readonly string[]): PeerResponse {
    const [, keyId = "", source = "", target = ""] = fields;
    if (this.#options.keyring.find("peer-request", keyId) === undefined) {
      return this.#unauthorized(source);
    }
    // Meant for another node: to sign that this one did not execute it would say nothing about that one.
    if (target !== this.#options.self) return this.#plain(421);
    return this.#refuse(MESSAGES_PATH, keyId, 401, "rehello", auth);
  }

  #refuse(
    path: string,
    keyId: string,
    status: number,
    code: RefusalCode,
    request: string,
  ): PeerResponse {
    const { crypto, keyring, self } = this.#options;
    const key = keyring.find("peer-response", keyId)?.key;
    if (key === undefined) return this.#plain(401);
    const context = refusalContext(path, status, request);
    const auth = sealHeader(crypto, key, context, joinFields("x1", self, code));
    return { status, auth, body: EMPTY };
  }

  #unauthorized(source: string): PeerResponse {
    if (this.#logLimiter.allow(source)) {
      this.#options.logger.warn("peer-unauthorized", {
        peer: source.slice(0, 32),
        hint: "does it have this cluster's secret?",
      });
    }
    return this.#plain(401);
  }

  #plain(status: number): PeerResponse {
    return { status, auth: "", body: EMPTY };
  }
}

function firstOf(sessions: Map<string, Session>): Session | undefined {
  for (const session of sessions.values()) return session;
  return undefined;
}

function longestUnused(sessions: Map<string, Session>): Session | undefined {
  let longest: Session | undefined;
  for (const session of sessions.values()) {
    if (longest === undefined || session.lastUse < longest.lastUse) longest = session;
  }
  return longest;
}
