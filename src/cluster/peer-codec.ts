/**
 * The envelope of the peer protocol in MessagePack. Grammar and a worked example: docs/protocol.md.
 *
 *     request = [version, clusterId, (kind, timeoutMs, fields)*]
 *     answer  = [version, (0, fields | 1, [code, message, detail])*]
 *
 * Flat on purpose: a nested array for each message would be one more allocation on both sides of every operation.
 */
import { FormatError } from "../core/errors.ts";
import { PEER_BODY_BYTES_MAX } from "../core/limits.ts";
import { MsgpackReader, type ReadLimits } from "./msgpack-reader.ts";
import { MsgpackWriter } from "./msgpack-writer.ts";
import type { WireFields, WireValue } from "./peer-channel.ts";

/** The version of the envelope. A receiver refuses another one with `unsupported_version`. */
const ENVELOPE_VERSION = 1;

/** Messages in one request: what bounds the work that one call can make a peer do at once. */
export const PEER_BATCH_MESSAGES_MAX = 1_024;
/** One message: the largest body but for the envelope. The peer's listener would refuse more without an answer. */
export const PEER_MESSAGE_BYTES_MAX = PEER_BODY_BYTES_MAX - (1 << 16);
/** Containers inside containers; the envelope itself is one. */
const DEPTH_MAX = 16;
const READ_LIMITS: ReadLimits = {
  elementsMax: 1 << 20,
  depthMax: DEPTH_MAX,
  // Names, metadata, addresses and problem texts are strings; whatever is larger travels as bytes.
  textBytesMax: 1 << 20,
};
// It keeps state only during a call, and no call is suspended: one serves every node of the process.
const writer = new MsgpackWriter(DEPTH_MAX);

/** About how many bytes the value takes when encoded: for queue limits and buffer sizes, not exact. */
export function estimateWireBytes(value: WireValue): number {
  if (typeof value === "number") return 5;
  if (typeof value === "string") return value.length + 2;
  if (value === null || typeof value !== "object") return 1;
  if (value instanceof Uint8Array) return value.length + 5;
  let bytes = 5;
  if (Array.isArray(value)) {
    for (const item of value as readonly WireValue[]) bytes += estimateWireBytes(item);
    return bytes;
  }
  for (const [name, item] of Object.entries(value)) {
    bytes += name.length + 2 + estimateWireBytes(item);
  }
  return bytes;
}

/**
 * `flat` is what follows the cluster id: (kind, timeoutMs, fields) of one message after another.
 * @throws AssertionError when a value is nested deeper than the protocol allows or is no WireValue: a bug of the sender.
 */
export function encodeRequest(clusterId: string, flat: WireFields): Uint8Array {
  writer.start();
  writer.arrayHead(2 + flat.length);
  writer.integer(ENVELOPE_VERSION);
  writer.value(clusterId);
  for (let at = 0; at < flat.length; at++) writer.value(flat[at] as WireValue, 1);
  return writer.finish();
}

/**
 * `flat` is what follows the version: (0, fields) or (1, [code, message, detail]) of one answer after another.
 * @throws AssertionError as encodeRequest.
 */
export function encodeAnswer(flat: WireFields): Uint8Array {
  writer.start();
  writer.arrayHead(1 + flat.length);
  writer.integer(ENVELOPE_VERSION);
  for (let at = 0; at < flat.length; at += 2) {
    writer.value(flat[at] as WireValue, 1);
    writer.repeatable(flat[at + 1] as WireValue, 1);
  }
  return writer.finish();
}

/** Message i is at 3i: its kind (an integer), its timeoutMs (an integer of 0 or more) and its fields (an array). */
export interface DecodedRequest {
  readonly clusterId: string;
  readonly flat: WireFields;
}

/**
 * Bytes in the result are views of `body`.
 * @throws UnsupportedVersionError when the envelope is another version's, FormatError for everything else.
 */
export function decodeRequest(body: Uint8Array): DecodedRequest {
  const reader = new MsgpackReader(body, READ_LIMITS);
  const left = openEnvelope(reader) - 1;
  const clusterId = reader.value(1);
  if (typeof clusterId !== "string") throw new FormatError("Cannot read request: no cluster id");
  if (left % 3 !== 0) throw new FormatError("Cannot read request: half a message");
  if (left > 3 * PEER_BATCH_MESSAGES_MAX) {
    throw new FormatError(`Cannot read request: more than ${PEER_BATCH_MESSAGES_MAX} messages`);
  }
  const flat: WireValue[] = [];
  for (let at = 0; at < left; at += 3) {
    const kind = reader.value(1);
    const timeoutMs = reader.value(1);
    const fields = reader.value(1);
    if (!isCount(kind) || !isCount(timeoutMs) || !Array.isArray(fields)) {
      throw new FormatError(`Cannot read request: message ${at / 3} has the wrong shape`);
    }
    flat.push(kind, timeoutMs, fields);
  }
  reader.expectEnd();
  return { clusterId, flat };
}

/**
 * Answer i is at 2i: 0 and its fields, or 1 and [code, message, detail]. Bytes in the result are views of `body`.
 * @throws FormatError unless it holds exactly `messages` answers.
 */
export function decodeAnswer(body: Uint8Array, messages: number): WireFields {
  const reader = new MsgpackReader(body, READ_LIMITS);
  const left = openEnvelope(reader);
  if (left !== 2 * messages) {
    throw new FormatError(`Cannot read answer: want ${messages} answers, got ${left / 2}`);
  }
  const flat: WireValue[] = [];
  for (let at = 0; at < left; at += 2) {
    const mark = reader.value(1);
    const fields = reader.repeatable(1);
    if (!Array.isArray(fields)) throw new FormatError(`Cannot read answer ${at / 2}: no fields`);
    if (mark !== 0 && (mark !== 1 || !isText(fields[0]) || !isText(fields[1]))) {
      throw new FormatError(`Cannot read answer ${at / 2}: neither fields nor a refusal`);
    }
    flat.push(mark, fields);
  }
  reader.expectEnd();
  return flat;
}

/** The envelope is of a version that this program does not speak. */
export class UnsupportedVersionError extends Error {
  override readonly name = "UnsupportedVersionError";
}

/** Reads the version and returns how many values follow. */
function openEnvelope(reader: MsgpackReader): number {
  const length = reader.arrayHead();
  const version = length === 0 ? null : reader.value(1);
  if (version !== ENVELOPE_VERSION) {
    throw new UnsupportedVersionError(
      `Cannot read envelope, this node speaks version ${ENVELOPE_VERSION}: ${String(version)}`,
    );
  }
  return length - 1;
}

function isCount(value: WireValue | undefined): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isText(value: WireValue | undefined): boolean {
  return typeof value === "string";
}

/**
 * Decodes one MessagePack value.
 * @throws FormatError for whatever is not exactly one well-formed value within the limits.
 */
export function decodeWire(bytes: Uint8Array): WireValue {
  const reader = new MsgpackReader(bytes, READ_LIMITS);
  const value = reader.value(0);
  reader.expectEnd();
  return value;
}
