/** Gyre-Session, in and out: `new`, or the token of the session's last answer. */
import type { Key } from "../core/key.ts";
import { afterRead, afterWrite, NEW_SESSION, type Session } from "../core/session.ts";
import type { GetFound, PutDone, PutRequest } from "../replication/requests.ts";
import type { Call } from "./call.ts";
import type { Tokens } from "./tokens.ts";

const HEADER = "gyre-session";
/** What begins a session. Shorter than any token. */
const BEGIN = "new";

/** Null for a request without one, which costs no more than looking for the header. @throws HttpProblem 400 */
export function readSession(tokens: Tokens, call: Call): Session | null {
  const text = call.headers.get(HEADER);
  if (text === null) return null;
  return text === BEGIN ? NEW_SESSION : tokens.readSession(text);
}

/** What the session has seen once it has this answer. */
export function sessionAfterRead(
  session: Session,
  nowMs: number,
  key: Key,
  found: GetFound,
): Session {
  return afterRead(session, key.hash, found.record, nowMs);
}

export function sessionAfterWrite(
  session: Session,
  nowMs: number,
  request: PutRequest,
  done: PutDone,
): Session {
  const { key, deleted, expiresAtMs } = request;
  const context = done.context?.entries ?? null;
  const written = { dot: done.dot, stamp: done.stamp, deleted, expiresAtMs, context };
  return afterWrite(session, key.hash, written, nowMs);
}

/** Only answers that reached what they were asked for carry it: after any other the session goes on from its last token. */
export function giveSession(response: Response, tokens: Tokens, session: Session): Response {
  response.headers.set(HEADER, tokens.ofSession(session));
  return response;
}
