/** One operation of a batch, judged like the single call it stands for. */

import { utf8Length } from "../core/bytes.ts";
import { type Key, makeKey } from "../core/key.ts";
import { checkKeyText, checkMetadataText, isKeyTooLong } from "../core/key-rules.ts";
import { KEY_BYTES_MAX, METADATA_BYTES_MAX } from "../core/limits.ts";
import { demandOf, type Session } from "../core/session.ts";
import type { PutRequest } from "../replication/requests.ts";
import type { BatchForm, BatchItem } from "./batch-codec.ts";
import { parseStrongTags } from "./entity-tags.ts";
import type { HttpParts } from "./http-parts.ts";
import type { NamespaceView } from "./key-target.ts";
import { parseExpiry, type Terms } from "./options.ts";
import { badRequest, HttpProblem } from "./problem.ts";
import {
  digest128,
  digestOfIdempotencyKey,
  metadataTooLong,
  parseContentType,
} from "./put-request.ts";

const GET_FIELDS = ["op", "key"];
const DELETE_FIELDS = ["op", "key", "context", "ifMatch", "ifNoneMatch", "idempotencyKey"];
const PUT_FIELDS = [...DELETE_FIELDS, "value", "contentType", "metadata", "ttl", "expires"];
const FIELDS = { get: GET_FIELDS, put: PUT_FIELDS, delete: DELETE_FIELDS };

export type Operation = keyof typeof FIELDS;

export interface BatchContext {
  readonly parts: HttpParts;
  readonly view: NamespaceView;
  readonly form: BatchForm;
  readonly reads: Terms;
  readonly writes: Terms;
  /** As it was when the batch came: all items ask for what was seen before it. */
  readonly session: Session | null;
}

/** @throws HttpProblem 400 for an unknown operation or a field it does not have. */
export function operationOf(item: BatchItem): Operation {
  const op = item["op"];
  if (op !== "get" && op !== "put" && op !== "delete") {
    throw badRequest('Cannot read "op": want get, put or delete');
  }
  for (const name of Object.keys(item)) {
    if (!FIELDS[op].includes(name)) {
      throw badRequest(`Unknown field "${name}": a ${op} has ${FIELDS[op].join(", ")}`);
    }
  }
  return op;
}

/** @throws HttpProblem 400 or 414. */
export function keyOf(context: BatchContext, item: BatchItem): Key {
  const text = item["key"];
  if (typeof text !== "string") throw badRequest('Cannot read "key": want a string');
  if (isKeyTooLong(text)) {
    throw new HttpProblem("uri_too_long", `The key is longer than ${KEY_BYTES_MAX} bytes of UTF-8`);
  }
  const fault = checkKeyText(text);
  if (fault !== null) throw badRequest(fault);
  return makeKey(context.parts.deps.env.hasher, context.view.entry.id, text);
}

/** A put or delete as the service takes it. @throws HttpProblem */
export function putRequestOf(
  context: BatchContext,
  item: BatchItem,
  key: Key,
  deleted: boolean,
): PutRequest {
  const { parts, view, writes } = context;
  const { env } = parts.deps;
  const token = textField(item, "context");
  const idempotencyKey = digestOfIdempotencyKey(env, textField(item, "idempotencyKey"));
  const value = deleted ? new Uint8Array(0) : valueBytesOf(context, item);
  return {
    key,
    namespace: view.entry,
    consistency: writes.consistency,
    sloppy: writes.sloppy,
    conflict: writes.conflict,
    timeoutMs: parts.deps.config.requestTimeoutMs,
    session: context.session === null ? null : demandOf(context.session, key.hash),
    deleted,
    value,
    contentType: deleted ? "" : parseContentType(textField(item, "contentType")),
    metadata: deleted ? "" : metadataOf(item),
    expiresAtMs: deleted ? 0 : expiryOf(context, item),
    context: token === null ? null : parts.tokens.readContext(key, token),
    ifMatch: parseStrongTags("ifMatch", textField(item, "ifMatch")),
    ifNoneMatch: parseStrongTags("ifNoneMatch", textField(item, "ifNoneMatch")),
    idempotencyKey,
    bodyDigest: idempotencyKey === "" ? "" : digest128(env, value),
  };
}

function valueBytesOf(context: BatchContext, item: BatchItem): Uint8Array {
  const value = context.form.readValue(item["value"]);
  if (value === null) {
    throw badRequest('Cannot read "value": want base64 with padding in JSON, bytes in MessagePack');
  }
  const bytesMax = context.view.settings.valueBytesMax;
  if (value.length <= bytesMax) return value;
  throw new HttpProblem("payload_too_large", `The value is larger than ${bytesMax} bytes`, {
    extra: { bytesMax },
  });
}

function expiryOf(context: BatchContext, item: BatchItem): number {
  const nowMs = context.parts.deps.env.clock.wallMs();
  const ttl = secondsField(item, "ttl");
  return parseExpiry(ttl, secondsField(item, "expires"), context.view.settings, nowMs);
}

/** Any JSON value; null and absence are none. */
function metadataOf(item: BatchItem): string {
  const value = item["metadata"];
  if (value === undefined || value === null) return "";
  const text = jsonTextOf(value);
  if (utf8Length(text) > METADATA_BYTES_MAX) throw metadataTooLong();
  const fault = checkMetadataText(text);
  if (fault !== null) throw badRequest(fault);
  return text;
}

/** MessagePack knows bytes, which JSON does not. What parses without a stack may be too deep to be written with one. */
function jsonTextOf(value: unknown): string {
  try {
    return JSON.stringify(value, (_name, part: unknown) => {
      if (part instanceof Uint8Array)
        throw badRequest('Cannot read "metadata": want what JSON can hold, no bytes');
      return part;
    });
  } catch (error) {
    if (error instanceof RangeError) throw metadataTooLong();
    throw error;
  }
}

function textField(item: BatchItem, name: string): string | null {
  const value = item[name];
  if (value === undefined || value === null) return null;
  if (typeof value !== "string") throw badRequest(`Cannot read "${name}": want a string`);
  return value;
}

function secondsField(item: BatchItem, name: string): string | undefined {
  const value = item[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "number")
    throw badRequest(`Cannot read "${name}": want a number of seconds`);
  return String(value);
}
