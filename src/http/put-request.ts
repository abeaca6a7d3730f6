import { byteString, utf8Encode, utf8Length } from "../core/bytes.ts";
import { checkContentType, decodeMetadata } from "../core/key-rules.ts";
import { IDEMPOTENCY_KEY_BYTES_MAX, METADATA_BYTES_MAX, VALUE_BYTES_MAX } from "../core/limits.ts";
import { demandOf, type Session } from "../core/session.ts";
import type { Env } from "../env/env.ts";
import type { PutRequest } from "../replication/requests.ts";
import { readBody } from "./body.ts";
import type { Call } from "./call.ts";
import type { HttpDeps } from "./deps.ts";
import { parseStrongTags } from "./entity-tags.ts";
import type { KeyTarget } from "./key-target.ts";
import { parseExpiry, parseTerms } from "./options.ts";
import { orNull } from "./or-null.ts";
import { badRequest, HttpProblem } from "./problem.ts";
import { DEFAULT_CONTENT_TYPE } from "./representation.ts";
import type { Tokens } from "./tokens.ts";

const NOTHING = new Uint8Array(0);

/** A PUT as the service takes it. Headers are judged before the body is read. @throws HttpProblem */
export async function readPut(
  deps: HttpDeps,
  tokens: Tokens,
  call: Call,
  target: KeyTarget,
  session: Session | null,
): Promise<PutRequest> {
  const { headers } = call;
  const { query, settings } = target;
  const head = readHead(deps, tokens, call, target, session);
  const contentType = parseContentType(headers.get("content-type"));
  const metadata = parseMetadata(headers.get("gyre-metadata"));
  const value = await readBody(call, Math.min(settings.valueBytesMax, VALUE_BYTES_MAX));
  // Counted from when the value is whole: a slow upload must not eat its own lifetime.
  const nowMs = deps.env.clock.wallMs();
  const expiresAtMs = parseExpiry(query.get("ttl"), query.get("expires"), settings, nowMs);
  const bodyDigest = head.idempotencyKey === "" ? "" : digest128(deps.env, value);
  return { ...head, deleted: false, value, contentType, metadata, expiresAtMs, bodyDigest };
}

/** A DELETE as the service takes it: a put of a tombstone. @throws HttpProblem */
export function readDelete(
  deps: HttpDeps,
  tokens: Tokens,
  call: Call,
  target: KeyTarget,
  session: Session | null,
): PutRequest {
  const head = readHead(deps, tokens, call, target, session);
  return {
    ...head,
    deleted: true,
    value: NOTHING,
    contentType: "",
    metadata: "",
    expiresAtMs: 0,
    bodyDigest: head.idempotencyKey === "" ? "" : digest128(deps.env, NOTHING),
  };
}

type PutHead = Omit<
  PutRequest,
  "deleted" | "value" | "contentType" | "metadata" | "expiresAtMs" | "bodyDigest"
>;

function readHead(
  deps: HttpDeps,
  tokens: Tokens,
  call: Call,
  target: KeyTarget,
  session: Session | null,
): PutHead {
  const { headers } = call;
  const terms = parseTerms(target.query, target.settings, "w");
  const context = headers.get("gyre-context");
  return {
    key: target.key,
    namespace: target.entry,
    consistency: terms.consistency,
    sloppy: terms.sloppy,
    conflict: terms.conflict,
    timeoutMs: deps.config.requestTimeoutMs,
    session: session === null ? null : demandOf(session, target.key.hash),
    context: context === null ? null : tokens.readContext(target.key, context),
    ifMatch: parseStrongTags("If-Match", headers.get("if-match")),
    ifNoneMatch: parseStrongTags("If-None-Match", headers.get("if-none-match")),
    idempotencyKey: digestOfIdempotencyKey(deps.env, headers.get("idempotency-key")),
  };
}

/** What is stored for a put without a type, and refused as one. @throws HttpProblem 400. */
export function parseContentType(header: string | null): string {
  if (header === null || header === "") return DEFAULT_CONTENT_TYPE;
  const fault = checkContentType(header);
  if (fault !== null) throw badRequest(fault);
  return header;
}

function parseMetadata(header: string | null): string {
  if (header === null) return "";
  const decoded = decodeMetadata(header);
  if (decoded.ok) return decoded.text;
  throw isMetadataTooLong(header) ? metadataTooLong() : badRequest(decoded.reason);
}

/** REQUIRES: a header that decodeMetadata refused. */
function isMetadataTooLong(header: string): boolean {
  // Each byte takes at most three characters.
  if (header.length > METADATA_BYTES_MAX * 3) return true;
  const decoded = orNull(() => decodeURIComponent(header));
  return decoded !== null && utf8Length(decoded) > METADATA_BYTES_MAX;
}

export function metadataTooLong(): HttpProblem {
  return new HttpProblem(
    "payload_too_large",
    `The metadata is longer than ${METADATA_BYTES_MAX} bytes of JSON`,
    { extra: { bytesMax: METADATA_BYTES_MAX } },
  );
}

/** The key itself is not stored: it may be a secret, and records stay small. "" for none. @throws HttpProblem 400. */
export function digestOfIdempotencyKey(env: Env, text: string | null): string {
  if (text === null) return "";
  const bytes = utf8Encode(text);
  if (bytes.length === 0 || bytes.length > IDEMPOTENCY_KEY_BYTES_MAX) {
    throw badRequest(
      `Cannot take an Idempotency-Key of ${bytes.length} bytes: want 1 to ${IDEMPOTENCY_KEY_BYTES_MAX}`,
    );
  }
  return digest128(env, bytes);
}

/** Half a SHA-256 as 16 characters, one for each byte. */
export function digest128(env: Env, bytes: Uint8Array): string {
  return byteString(env.crypto.sha256(bytes).subarray(0, 16));
}
