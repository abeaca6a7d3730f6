/**
 * Records as bytes, on disk and between peers (docs/storage-format.md, "Record head and body"). The head is everything
 * but the values; the body is the values, one after another. Canonical: equal records have equal bytes, and bytes that
 * encodeHead would not have written are refused, so decoding and encoding are inverse.
 */
import { assert } from "./assert.ts";
import { ByteReader } from "./byte-reader.ts";
import { varintLength, writeVarint } from "./byte-writer.ts";
import { utf8Length, utf8Write } from "./bytes.ts";
import { compareDots, validateContext } from "./context.ts";
import { FormatError } from "./errors.ts";
import type { Hasher } from "./hasher.ts";
import { actorIdFromBytes } from "./ids.ts";
import { checkContentType } from "./key-rules.ts";
import {
  CONTENT_TYPE_BYTES_MAX,
  COPIES_MAX,
  COUNTER_MAX,
  EPOCH_MAX,
  EXPIRES_AT_MAX_MS,
  METADATA_BYTES_MAX,
  STAMP_MAX,
  VALUE_BYTES_MAX,
} from "./limits.ts";
import { passingBytes } from "./slab.ts";
import type { CausalRecord, Context, Dot, Sibling } from "./version.ts";

const FORMAT_VERSION = 1;
const FLAG_DELETED = 1;
const FLAG_SLOPPY = 2;
const FLAG_IDEMPOTENCY_KEY = 4;
const FLAG_BODY_DIGEST = 8;
const FLAGS_KNOWN = 15;
const ACTOR_BYTES = 16;
const DIGEST_BYTES = 16;
const HASH_BYTES = 8;
const NO_BYTES = new Uint8Array(0);

/** Everything but the values. REQUIRES: a record as version.ts describes it. */
export function encodeHead(record: CausalRecord): Uint8Array {
  const { context, siblings } = record;
  const head = passingBytes.take(headLength(record));
  head[0] = FORMAT_VERSION;
  let at = writeVarint(head, 1, context.length);
  for (const entry of context) {
    at = writeByteString(head, at, entry.actor);
    at = writeVarint(head, at, entry.epoch);
    at = writeVarint(head, at, entry.counter);
  }
  at = writeVarint(head, at, siblings.length);
  let column = 0;
  for (const sibling of siblings) {
    column = columnOf(context, sibling.dot, column);
    at = writeVarint(head, at, column);
    at = writeSibling(head, at, sibling);
  }
  assert(at === head.length, "a head must fill its bytes");
  return head;
}

/**
 * The values one after another. The value itself, not a copy, when there is only one: do not change it.
 * REQUIRES: all values are present.
 */
export function encodeBody(record: CausalRecord): Uint8Array {
  const { siblings } = record;
  const first = siblings[0];
  if (first === undefined) return NO_BYTES;
  if (siblings.length === 1) return presentValue(first);
  let length = 0;
  for (const sibling of siblings) length += sibling.valueBytes;
  const body = new Uint8Array(length);
  let at = 0;
  for (const sibling of siblings) {
    body.set(presentValue(sibling), at);
    at += sibling.valueBytes;
  }
  return body;
}

function presentValue(sibling: Sibling): Uint8Array {
  assert(sibling.value !== null, "a body must have all values");
  assert(sibling.value.length === sibling.valueBytes, "a value must be as long as its head says");
  return sibling.value;
}

/** The record without values. @throws FormatError unless the bytes are exactly what encodeHead writes. */
export function decodeHead(head: Uint8Array): CausalRecord {
  return decode(head, null);
}

/**
 * The whole record. Its values are views of `body`, which they keep alive: hand over a copy if that is part of something
 * larger. @throws FormatError also unless the body is exactly as long as the head says.
 */
export function decodeRecord(head: Uint8Array, body: Uint8Array): CausalRecord {
  return decode(head, body);
}

/** True when every value is present and is the one that the head tells of. */
export function valuesIntact(hasher: Hasher, record: CausalRecord): boolean {
  for (const { value, valueBytes, valueHash } of record.siblings) {
    if (value === null || value.length !== valueBytes) return false;
    const hash = hasher.hash64(value);
    if (hash.hi !== valueHash.hi || hash.lo !== valueHash.lo) return false;
  }
  return true;
}

// ---- writing -----------------------------------------------------------------------------------------------------

function headLength({ context, siblings }: CausalRecord): number {
  let length = 1 + varintLength(context.length) + varintLength(siblings.length);
  for (const entry of context) {
    length += ACTOR_BYTES + varintLength(entry.epoch) + varintLength(entry.counter);
  }
  let column = 0;
  for (const sibling of siblings) {
    column = columnOf(context, sibling.dot, column);
    length += varintLength(column) + siblingLength(sibling);
  }
  return length;
}

function siblingLength(sibling: Sibling): number {
  let length = 1 + HASH_BYTES + sibling.idempotencyKey.length + sibling.bodyDigest.length;
  length += varintLength(sibling.dot.counter) + varintLength(sibling.stamp);
  length += varintLength(sibling.writeQuorum) + varintLength(sibling.expiresAtMs);
  length += textLength(sibling.contentType) + textLength(sibling.metadata);
  return length + varintLength(sibling.valueBytes);
}

function textLength(text: string): number {
  const bytes = utf8Length(text);
  return varintLength(bytes) + bytes;
}

/** The index of the dot's column. Siblings and entries are sorted alike: it is at `from` or behind it. */
function columnOf(context: Context, dot: Dot, from: number): number {
  for (let i = from; i < context.length; i++) {
    const entry = context[i] as Dot;
    if (entry.epoch !== dot.epoch || entry.actor !== dot.actor) continue;
    assert(entry.counter >= dot.counter, "a sibling must be covered by its record's context");
    return i;
  }
  assert(false, "siblings must be sorted and covered by their record's context");
}

function writeSibling(head: Uint8Array, from: number, sibling: Sibling): number {
  const { idempotencyKey, bodyDigest, valueHash } = sibling;
  assert(idempotencyKey === "" || idempotencyKey.length === DIGEST_BYTES, "a digest has 16 bytes");
  assert(bodyDigest === "" || bodyDigest.length === DIGEST_BYTES, "a digest has 16 bytes");
  let at = writeVarint(head, from, sibling.dot.counter);
  at = writeVarint(head, at, sibling.stamp);
  head[at++] = flagsOf(sibling);
  at = writeVarint(head, at, sibling.writeQuorum);
  at = writeVarint(head, at, sibling.expiresAtMs);
  at = writeText(head, at, sibling.contentType);
  at = writeText(head, at, sibling.metadata);
  at = writeByteString(head, at, idempotencyKey);
  at = writeByteString(head, at, bodyDigest);
  at = writeVarint(head, at, sibling.valueBytes);
  at = writeU32(head, at, valueHash.hi);
  return writeU32(head, at, valueHash.lo);
}

function flagsOf(sibling: Sibling): number {
  let flags = 0;
  if (sibling.deleted) flags |= FLAG_DELETED;
  if (sibling.sloppy) flags |= FLAG_SLOPPY;
  if (sibling.idempotencyKey !== "") flags |= FLAG_IDEMPOTENCY_KEY;
  if (sibling.bodyDigest !== "") flags |= FLAG_BODY_DIGEST;
  return flags;
}

function writeByteString(head: Uint8Array, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) head[at + i] = text.charCodeAt(i);
  return at + text.length;
}

function writeText(head: Uint8Array, at: number, text: string): number {
  const start = writeVarint(head, at, utf8Length(text));
  return utf8Write(head, start, text);
}

function writeU32(head: Uint8Array, at: number, value: number): number {
  head[at] = value >>> 24;
  head[at + 1] = value >>> 16;
  head[at + 2] = value >>> 8;
  head[at + 3] = value;
  return at + 4;
}

// ---- reading -----------------------------------------------------------------------------------------------------

function decode(head: Uint8Array, body: Uint8Array | null): CausalRecord {
  const reader = new ByteReader(head);
  const version = reader.u8();
  if (version !== FORMAT_VERSION)
    throw new FormatError(`Cannot decode record, unknown version: ${version}`);
  const context = readContext(reader);
  const siblings: Sibling[] = [];
  const count = reader.varint();
  let bodyAt = 0;
  let previous: Dot | null = null;
  for (let i = 0; i < count; i++) {
    const dot = readDot(reader, context);
    if (previous !== null && compareDots(previous, dot) >= 0) {
      throw new FormatError(`Cannot decode record: sibling ${i} is out of order`);
    }
    previous = dot;
    const sibling = readSibling(reader, dot, body, bodyAt);
    bodyAt += sibling.valueBytes;
    siblings.push(sibling);
  }
  reader.expectEnd();
  if (body !== null && bodyAt !== body.length) {
    throw new FormatError(`Cannot decode record, want a body of ${bodyAt} bytes: ${body.length}`);
  }
  return { context, siblings };
}

function readContext(reader: ByteReader): Context {
  const context: Dot[] = [];
  const count = reader.varint();
  for (let i = 0; i < count; i++) {
    const actor = reader.actorId();
    const epoch = reader.varint(EPOCH_MAX);
    context.push({ actor, epoch, counter: reader.varint(COUNTER_MAX) });
  }
  validateContext(context);
  return context;
}

function readDot(reader: ByteReader, context: Context): Dot {
  const column = reader.varint();
  const entry = context[column];
  if (entry === undefined) throw new FormatError(`Cannot decode record, unknown column: ${column}`);
  const counter = reader.varint(entry.counter);
  if (counter === 0) throw new FormatError("Cannot decode record: a dot's counter is 0");
  // The dot of the newest write is the entry itself: most records need no other object.
  return counter === entry.counter ? entry : { actor: entry.actor, epoch: entry.epoch, counter };
}

function readSibling(
  reader: ByteReader,
  dot: Dot,
  body: Uint8Array | null,
  bodyAt: number,
): Sibling {
  const stamp = reader.varint(STAMP_MAX);
  const flags = reader.u8();
  if (flags > FLAGS_KNOWN) throw new FormatError(`Cannot decode record, unknown flags: ${flags}`);
  const writeQuorum = reader.varint(COPIES_MAX);
  const expiresAtMs = reader.varint(EXPIRES_AT_MAX_MS);
  const contentType = readContentType(reader);
  const metadata = reader.text(METADATA_BYTES_MAX);
  const idempotencyKey = (flags & FLAG_IDEMPOTENCY_KEY) === 0 ? "" : readDigest(reader);
  const bodyDigest = (flags & FLAG_BODY_DIGEST) === 0 ? "" : readDigest(reader);
  const valueBytes = reader.varint(VALUE_BYTES_MAX);
  const valueHash = { hi: reader.u32(), lo: reader.u32() };
  const deleted = (flags & FLAG_DELETED) !== 0;
  if (deleted && (valueBytes !== 0 || contentType !== "" || metadata !== "")) {
    throw new FormatError(
      "Cannot decode record: a tombstone has a value, content type or metadata",
    );
  }
  return {
    dot,
    stamp,
    deleted,
    // A body that is too short gives a short view here; the lengths are compared when all are known.
    value: body === null ? null : partOf(body, bodyAt, valueBytes),
    valueBytes,
    valueHash,
    contentType,
    metadata,
    expiresAtMs,
    writeQuorum,
    sloppy: (flags & FLAG_SLOPPY) !== 0,
    idempotencyKey,
    bodyDigest,
  };
}

/** Nearly all records have the content type of the record before. */
let lastContentType = "";

function readContentType(reader: ByteReader): string {
  const contentType = reader.text(CONTENT_TYPE_BYTES_MAX, lastContentType);
  if (contentType === lastContentType || contentType === "") return contentType;
  const fault = checkContentType(contentType);
  if (fault !== null) throw new FormatError(`Cannot decode record: ${fault}`);
  lastContentType = contentType;
  return contentType;
}

/** A view, or all of it: nearly all records have one value. */
function partOf(body: Uint8Array, at: number, length: number): Uint8Array {
  return at === 0 && length === body.length ? body : body.subarray(at, at + length);
}

/** Sixteen bytes as a byte string: the shape that actor ids have too. */
function readDigest(reader: ByteReader): string {
  return actorIdFromBytes(reader.bytes(DIGEST_BYTES));
}
