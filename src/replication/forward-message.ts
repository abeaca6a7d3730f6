/** A put on its way to a node that may coordinate it, and the outcome on its way back (docs/protocol.md, "forward"). */

import type { WireFields, WireValue } from "../cluster/peer-channel.ts";
import { readArray, readBoolean, readBytes, readInt, readString } from "../cluster/wire-read.ts";
import { bytesFromByteString } from "../core/bytes.ts";
import { validateContext } from "../core/context.ts";
import { FormatError } from "../core/errors.ts";
import type { Hasher } from "../core/hasher.ts";
import { actorIdFromBytes } from "../core/ids.ts";
import type { NamespaceEntry } from "../core/layout.ts";
import {
  CONTENT_TYPE_BYTES_MAX,
  ENTITY_TAG_CHARS_MAX,
  ENTITY_TAGS_MAX,
  METADATA_BYTES_MAX,
  STAMP_MAX,
  VALUE_BYTES_MAX,
} from "../core/limits.ts";
import type { SessionDemand } from "../core/session.ts";
import type { Context, Dot } from "../core/version.ts";
import { badMessage, decodeAddress } from "./data-messages.ts";
import type { EntityTags, PutOutcome, PutRequest } from "./requests.ts";

const CONTEXT_ENTRIES_MAX = 4096;

export interface ForwardMessage {
  /** 16 bytes: the same request is never executed twice by one node. */
  readonly requestId: Uint8Array;
  readonly layoutVersion: number;
  readonly request: Omit<PutRequest, "namespace" | "timeoutMs">;
  /** No home could be reached: a node that may stand in for one is to coordinate. */
  readonly asStandIn: boolean;
}

export function encodeForward(
  requestId: Uint8Array,
  layoutVersion: number,
  request: PutRequest,
  asStandIn: boolean,
): WireFields {
  const { context } = request;
  return [
    layoutVersion,
    request.key.namespace,
    request.key.text,
    requestId,
    request.deleted,
    request.value,
    request.contentType,
    request.metadata,
    request.expiresAtMs,
    context === null ? null : encodeContext(context.entries),
    context?.newestStamp ?? 0,
    encodeTags(request.ifMatch),
    encodeTags(request.ifNoneMatch),
    request.conflict,
    bytesFromByteString(request.idempotencyKey),
    bytesFromByteString(request.bodyDigest),
    "count" in request.consistency ? request.consistency.count : request.consistency.level,
    request.sloppy,
    encodeDemand(request.session),
    asStandIn,
  ];
}

export function decodeForward(hasher: Hasher, fields: WireFields): ForwardMessage {
  const { layoutVersion, key } = decodeAddress(hasher, fields);
  const entries =
    fields[9] === null ? null : decodeContext(readArray(fields, 9, "context", CONTEXT_ENTRIES_MAX));
  const deleted = readBoolean(fields, 4, "deleted");
  const value = readBytes(fields, 5, "value", VALUE_BYTES_MAX).slice();
  const contentType = readString(fields, 6, "contentType", CONTENT_TYPE_BYTES_MAX);
  const metadata = readString(fields, 7, "metadata", METADATA_BYTES_MAX);
  if (deleted && (value.length > 0 || contentType !== "" || metadata !== "")) {
    throw badMessage("a tombstone must be empty");
  }
  const newestStamp = readInt(fields, 10, "newestStamp", 0, STAMP_MAX);
  return {
    requestId: readBytes(fields, 3, "requestId", 16).slice(),
    layoutVersion,
    asStandIn: readBoolean(fields, 19, "asStandIn"),
    request: {
      key,
      deleted,
      value,
      contentType,
      metadata,
      expiresAtMs: readInt(fields, 8, "expiresAtMs", 0, Number.MAX_SAFE_INTEGER),
      context: entries === null ? null : { entries, newestStamp },
      ifMatch: decodeTags(fields, 11, "ifMatch"),
      ifNoneMatch: decodeTags(fields, 12, "ifNoneMatch"),
      conflict: readOneOf(fields, 13, "conflict", ["majority", "latest", "siblings"]),
      idempotencyKey: readDigest(fields, 14, "idempotencyKey"),
      bodyDigest: readDigest(fields, 15, "bodyDigest"),
      consistency:
        typeof fields[16] === "number"
          ? { count: readInt(fields, 16, "consistency", 1, 64) }
          : {
              level: readOneOf(fields, 16, "consistency", [
                "one",
                "local-quorum",
                "quorum",
                "each-quorum",
                "all",
              ]),
            },
      sloppy: readBoolean(fields, 17, "sloppy"),
      session: fields[18] === null ? null : decodeDemand(readArray(fields, 18, "session", 3)),
    },
  };
}

export function withNamespace(
  message: ForwardMessage,
  namespace: NamespaceEntry,
  timeoutMs: number,
): PutRequest {
  return { ...message.request, namespace, timeoutMs };
}

// ---- outcome -----------------------------------------------------------------------------------------------------

/** Outcomes are small: a map keeps the names, so that a new kind of failure needs no new grammar. */
export function encodeOutcome(outcome: PutOutcome): WireFields {
  if (outcome.status !== "ok") return [JSON.stringify(outcome)];
  const { dot, stamp, context, liveSiblings, acks, etag } = outcome;
  return [
    "ok",
    encodeDot(dot),
    stamp,
    context === null ? null : encodeContext(context.entries),
    context?.newestStamp ?? 0,
    liveSiblings,
    [acks.primary, acks.fallback, acks.of],
    etag,
  ];
}

export function decodeOutcome(fields: WireFields): PutOutcome {
  const status = readString(fields, 0, "status", 1024);
  if (status !== "ok") return decodeFailure(status);
  const acks = readArray(fields, 6, "acks", 3);
  const entries =
    fields[3] === null ? null : decodeContext(readArray(fields, 3, "context", CONTEXT_ENTRIES_MAX));
  return {
    status: "ok",
    dot: decodeDot(readArray(fields, 1, "dot", 3)),
    stamp: readInt(fields, 2, "stamp", 0, STAMP_MAX),
    context:
      entries === null
        ? null
        : { entries, newestStamp: readInt(fields, 4, "newestStamp", 0, STAMP_MAX) },
    liveSiblings: readInt(fields, 5, "liveSiblings", 0, 1_000_000),
    acks: {
      primary: readInt(acks, 0, "primary", 0, 64),
      fallback: readInt(acks, 1, "fallback", 0, 64),
      of: readInt(acks, 2, "of", 0, 64),
    },
    etag: readString(fields, 7, "etag", 128),
  };
}

const FAILURES: readonly string[] = [
  "quorum-not-reached",
  "not-formed",
  "session-not-reached",
  "overloaded",
  "disk-full",
  "namespace-not-found",
  "too-many-siblings",
  "precondition-failed",
  "idempotency-mismatch",
  "count-above-policy",
  "count-above-owners",
];

/** The sender is an authenticated peer; a failure is only shown, never acted upon, so its shape is checked by name. */
function decodeFailure(text: string): PutOutcome {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw badMessage(`outcome: ${String(error)}`);
  }
  if (typeof parsed !== "object" || parsed === null || !("status" in parsed)) {
    throw badMessage("outcome without status");
  }
  if (typeof parsed.status !== "string" || !FAILURES.includes(parsed.status)) {
    throw badMessage(`outcome status ${String(parsed.status)}`);
  }
  return parsed as PutOutcome;
}

// ---- parts -------------------------------------------------------------------------------------------------------

function encodeDot(dot: Dot): WireValue[] {
  return [bytesFromByteString(dot.actor), dot.epoch, dot.counter];
}

function decodeDot(fields: WireFields): Dot {
  return {
    actor: actorIdFromBytes(readBytes(fields, 0, "actor", 16)),
    epoch: readInt(fields, 1, "epoch", 0, 0xffff_ffff),
    counter: readInt(fields, 2, "counter", 1, 2 ** 48),
  };
}

function encodeContext(context: Context): WireValue[] {
  return context.map(encodeDot);
}

function decodeContext(entries: WireFields): Context {
  const context = entries.map((entry) => {
    if (!Array.isArray(entry)) throw badMessage("context entry");
    return decodeDot(entry);
  });
  try {
    validateContext(context);
  } catch (error) {
    if (error instanceof FormatError) throw badMessage(`context: ${error.message}`);
    throw error;
  }
  return context;
}

/** newest stamp | dots or null | 0, or one more than the time from which on they are gone */
function encodeDemand(demand: SessionDemand | null): WireValue {
  if (demand === null) return null;
  const { newestStamp, minimum } = demand;
  if (minimum === null) return [newestStamp, null, 0];
  const { dots, goneFromMs } = minimum;
  return [newestStamp, encodeContext(dots), goneFromMs === null ? 0 : goneFromMs + 1];
}

function decodeDemand(fields: WireFields): SessionDemand {
  const newestStamp = readInt(fields, 0, "newestStamp", 0, STAMP_MAX);
  if (fields[1] === null) return { newestStamp, minimum: null };
  const dots = decodeContext(readArray(fields, 1, "dots", CONTEXT_ENTRIES_MAX));
  const gone = readInt(fields, 2, "goneFromMs", 0, Number.MAX_SAFE_INTEGER);
  return { newestStamp, minimum: { dots, goneFromMs: gone === 0 ? null : gone - 1 } };
}

function encodeTags(tags: EntityTags | null): WireValue {
  if (tags === null) return null;
  return "any" in tags ? true : [...tags.tags];
}

function decodeTags(fields: WireFields, at: number, name: string): EntityTags | null {
  if (fields[at] === null) return null;
  if (fields[at] === true) return { any: true };
  const list = readArray(fields, at, name, ENTITY_TAGS_MAX);
  return { tags: list.map((_, i) => readString(list, i, name, ENTITY_TAG_CHARS_MAX)) };
}

function readDigest(fields: WireFields, at: number, name: string): string {
  const bytes = readBytes(fields, at, name, 16);
  if (bytes.length === 0) return "";
  return actorIdFromBytes(bytes);
}

function readOneOf<const T extends string>(
  fields: WireFields,
  at: number,
  name: string,
  allowed: readonly T[],
): T {
  const text = readString(fields, at, name, 64);
  const found = allowed.find((one) => one === text);
  if (found === undefined) throw badMessage(`${name}: ${text}`);
  return found;
}
