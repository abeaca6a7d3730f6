/**
 * Who speaks: authentication of every peer request and every answer without clocks (a forged acknowledgement would be
 * data loss). A hello exchange proves both sides' knowledge of the cluster secret with fresh nonces and gives a session
 * its two keys; requests then carry a sequence number that the receiver takes once. docs/protocol.md has the grammar,
 * what each MAC covers, and a worked example.
 *
 * What is shared by both sides is here; the caller's side is peer-sessions.ts, the receiver's peer-gate.ts.
 */
import { base64UrlDecode, base64UrlEncode, concatBytes, utf8Encode } from "../core/bytes.ts";
import { type NodeId, parseNodeId } from "../core/ids.ts";
import type { Crypto } from "../env/crypto.ts";
import type { Keyring } from "./keyring.ts";

export const HELLO_PATH = "/peer/v1/hello";
export const MESSAGES_PATH = "/peer/v1/messages";

/** The status of a signed refusal of messages that are too old: none was executed, and a new session is wanted. */
export const EXPIRED_STATUS = 408;

/** Fields of a header and of a text under a MAC: neither can occur in a field, so no two readings are possible. */
const FIELD_END = ".";
const LINE_END = "\n";

export const NONCE_BYTES = 16;
const MAC_BYTES = 32;
/** 32 bytes in base64url without padding. */
const DIGEST_CHARACTERS = 43;

/** Nothing in a session but these two, so that a request is never valid as an answer. */
export interface SessionKeys {
  readonly request: Uint8Array;
  readonly answer: Uint8Array;
}

/**
 * The refusals that are signed with the ring's key because there is no session. `wrong_node` answers a hello only: a
 * third node could be made to say it of a request that its target has executed.
 */
export type RefusalCode = "rehello" | "wrong_node";

export function joinFields(...fields: readonly string[]): string {
  return fields.join(FIELD_END);
}

/** Appends the MAC over a purpose, some facts and the header itself. */
export function sealHeader(
  crypto: Crypto,
  key: Uint8Array,
  context: string,
  header: string,
): string {
  const mac = crypto.hmacSha256(key, utf8Encode(context + LINE_END + header));
  return header + FIELD_END + base64UrlEncode(mac);
}

/** The header without its MAC when the MAC is right for this context, else undefined. Constant-time. */
export function openHeader(
  crypto: Crypto,
  key: Uint8Array,
  context: string,
  sealed: string,
): string | undefined {
  const end = sealed.length - DIGEST_CHARACTERS - 1;
  if (end <= 0 || sealed[end] !== FIELD_END) return undefined;
  const given = decodeBase64Url(sealed.slice(end + 1));
  if (given?.length !== MAC_BYTES) return undefined;
  const header = sealed.slice(0, end);
  const mac = crypto.hmacSha256(key, utf8Encode(context + LINE_END + header));
  return crypto.equal(mac, given) ? header : undefined;
}

export function decodeBase64Url(text: string): Uint8Array | undefined {
  try {
    return base64UrlDecode(text);
  } catch {
    return undefined;
  }
}

export function nodeIdOf(text: string): NodeId | undefined {
  try {
    return parseNodeId(text);
  } catch {
    return undefined;
  }
}

export function bodyDigest(crypto: Crypto, body: Uint8Array): string {
  return base64UrlEncode(crypto.sha256(body));
}

export function helloContext(): string {
  return `gyre peer hello 1${LINE_END}${HELLO_PATH}`;
}

/** An answer to a hello is bound to the whole hello, its nonce and its MAC included. */
export function helloAnswerContext(hello: string): string {
  return `gyre peer hello answer 1${LINE_END}${hello}`;
}

export function requestContext(path: string, bodyBytes: number): string {
  return `gyre peer request 1${LINE_END}${path}${LINE_END}${bodyBytes}`;
}

export function answerContext(
  sessionId: string,
  sequence: number,
  status: number,
  bodyBytes: number,
): string {
  return `gyre peer answer 1${LINE_END}${sessionId}${LINE_END}${sequence}${LINE_END}${status}${LINE_END}${bodyBytes}`;
}

/** A refusal without a session is bound to the whole header of the request that it refuses. */
export function refusalContext(path: string, status: number, request: string): string {
  return `gyre peer refusal 1${LINE_END}${path}${LINE_END}${status}${LINE_END}${request}`;
}

/** Both nonces are fresh, so the keys of a session were never used before and are never derived again. */
export function deriveSessionKeys(
  crypto: Crypto,
  keyring: Keyring,
  session: {
    readonly keyId: string;
    readonly source: string;
    readonly target: string;
    readonly sessionId: string;
    readonly sourceNonce: Uint8Array;
    readonly targetNonce: Uint8Array;
  },
): SessionKeys | undefined {
  const request = keyring.find("peer-request", session.keyId);
  const answer = keyring.find("peer-response", session.keyId);
  if (request === undefined || answer === undefined) return undefined;
  const salt = concatBytes(session.sourceNonce, session.targetNonce);
  const info = `gyre/1/session/${session.source}/${session.target}/${session.sessionId}`;
  return {
    request: crypto.hkdfSha256(request.key, salt, info, MAC_BYTES),
    answer: crypto.hkdfSha256(answer.key, salt, info, MAC_BYTES),
  };
}
