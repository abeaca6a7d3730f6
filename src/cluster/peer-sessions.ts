/** The caller's side of peer authentication: it says hello, signs requests and believes no answer without a MAC. */
import { base64UrlEncode } from "../core/bytes.ts";
import type { NodeId } from "../core/ids.ts";
import type { Clock } from "../env/clock.ts";
import type { Crypto } from "../env/crypto.ts";
import type { Random } from "../env/random.ts";
import type { PeerResponse } from "../env/transport.ts";
import type { Keyring } from "./keyring.ts";
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
  refusalContext,
  requestContext,
  type SessionKeys,
  sealHeader,
} from "./peer-auth.ts";

/** What the caller and all its sessions share. */
export interface CallerIdentity {
  /** Its monotonic time may stand still while the machine sleeps: then messages look older than they are, never younger. */
  readonly clock: Clock;
  readonly crypto: Crypto;
  readonly random: Random;
  readonly keyring: Keyring;
  readonly self: NodeId;
}

export interface Hello {
  /** The `gyre-auth` header of the call to HELLO_PATH, whose body is empty. */
  readonly auth: string;
  readonly keyId: string;
  readonly nonce: Uint8Array;
  /** Null when the node behind the address is yet to be learned. */
  readonly target: NodeId | null;
}

/** Signs with the ring's first secret. */
export function makeHello(identity: CallerIdentity, target: NodeId | null): Hello {
  const { keyId, key } = identity.keyring.active("peer-request");
  const nonce = identity.random.bytes(NONCE_BYTES);
  const header = joinFields("h1", keyId, identity.self, target ?? "", base64UrlEncode(nonce));
  const auth = sealHeader(identity.crypto, key, helloContext(), header);
  return { auth, keyId, nonce, target };
}

/** The session that the answer opens; `wrong_node` when another node answers there; undefined when it proves nothing. */
export function readHelloAnswer(
  identity: CallerIdentity,
  hello: Hello,
  answer: PeerResponse,
): CallerSession | "wrong_node" | undefined {
  const { crypto, keyring } = identity;
  const key = keyring.find("peer-response", hello.keyId)?.key;
  if (key === undefined) return undefined;
  if (answer.auth.startsWith("x1.")) {
    const context = refusalContext(HELLO_PATH, answer.status, hello.auth);
    const refusal = openHeader(crypto, key, context, answer.auth);
    return refusal?.endsWith(".wrong_node") === true ? "wrong_node" : undefined;
  }
  const header = openHeader(crypto, key, helloAnswerContext(hello.auth), answer.auth);
  const [kind, node = "", nonceText = "", sessionId = "", ...rest] = header?.split(".") ?? [];
  if (kind !== "a1" || rest.length > 0 || answer.status !== 200) return undefined;
  const targetNonce = decodeBase64Url(nonceText);
  const target = nodeIdOf(node);
  if (targetNonce?.length !== NONCE_BYTES || target === undefined) return undefined;
  if (hello.target !== null && hello.target !== target) return "wrong_node";
  const keys = deriveSessionKeys(crypto, keyring, {
    keyId: hello.keyId,
    source: identity.self,
    target,
    sessionId,
    sourceNonce: hello.nonce,
    targetNonce,
  });
  if (keys === undefined) return undefined;
  return new CallerSession(identity, target, hello.keyId, sessionId, keys);
}

/** A request as it leaves: never kept, for its age is told in the session's time. */
export interface SignedRequest {
  readonly auth: string;
  readonly sequence: number;
}

/**
 * `answer`: by the peer, for this very request. `rehello`: the peer signed that it knows no such session and so did not
 * execute the request. `forged`: by nobody who knows the secret; the request may have been executed.
 */
export type AnswerVerdict = "answer" | "rehello" | "forged";

export class CallerSession {
  readonly peer: NodeId;
  /** When the answer to the hello came, in this node's monotonic time. */
  readonly openedMs: number;
  readonly #clock: Clock;
  readonly #crypto: Crypto;
  readonly #keys: SessionKeys;
  readonly #refusalKey: Uint8Array | undefined;
  readonly #sessionId: string;
  readonly #prefix: string;
  #sequence = 0;

  constructor(
    identity: CallerIdentity,
    peer: NodeId,
    keyId: string,
    sessionId: string,
    keys: SessionKeys,
  ) {
    this.peer = peer;
    this.#clock = identity.clock;
    this.openedMs = identity.clock.monotonicMs();
    this.#crypto = identity.crypto;
    this.#keys = keys;
    this.#refusalKey = identity.keyring.find("peer-response", keyId)?.key;
    this.#sessionId = sessionId;
    this.#prefix = joinFields("q1", keyId, identity.self, peer, sessionId);
  }

  /** `ageMs`: since the oldest message of the body began. */
  sign(body: Uint8Array, ageMs: number): SignedRequest {
    const sequence = ++this.#sequence;
    const beganMs = this.#clock.monotonicMs() - ageMs - this.openedMs;
    const header = joinFields(
      this.#prefix,
      String(sequence),
      String(Math.floor(beganMs)),
      bodyDigest(this.#crypto, body),
    );
    const context = requestContext(MESSAGES_PATH, body.length);
    return { auth: sealHeader(this.#crypto, this.#keys.request, context, header), sequence };
  }

  verify(request: SignedRequest, answer: PeerResponse): AnswerVerdict {
    if (answer.auth.startsWith("x1.")) return this.#verifyRefusal(request, answer);
    const context = answerContext(
      this.#sessionId,
      request.sequence,
      answer.status,
      answer.body.length,
    );
    const header = openHeader(this.#crypto, this.#keys.answer, context, answer.auth);
    if (header === undefined) return "forged";
    return header === joinFields("r1", bodyDigest(this.#crypto, answer.body)) ? "answer" : "forged";
  }

  #verifyRefusal(request: SignedRequest, answer: PeerResponse): AnswerVerdict {
    if (this.#refusalKey === undefined) return "forged";
    const context = refusalContext(MESSAGES_PATH, answer.status, request.auth);
    const header = openHeader(this.#crypto, this.#refusalKey, context, answer.auth);
    // Bound to the peer's own name: a reflected request would make its sender refuse itself.
    return header === joinFields("x1", this.peer, "rehello") ? "rehello" : "forged";
  }
}
