/**
 * The envelope of the peer protocol in MessagePack. Grammar and a worked example: docs/protocol.md.
 *
 *     request = [version, clusterId, (kind, timeoutMs, fields)*]
 *     answer  = [version, (0, fields | 1, [code, message, detail])*]
 *
 * Flat on purpose: a nested array for each message would be one more allocation on both sides of every operation.
 */
import { Decoder, Encoder, type ExtensionCodecType } from "@msgpack/msgpack";
import { FormatError } from "../core/errors.ts";
import { PEER_BODY_BYTES_MAX } from "../core/limits.ts";
import { checkStructure } from "./msgpack-structure.ts";
import type { WireFields, WireValue } from "./peer-channel.ts";

/** The version of the envelope. A receiver refuses another one with `unsupported_version`. */
const ENVELOPE_VERSION = 1;

/** Messages in one request: what bounds the work that one call can make a peer do at once. */
export const PEER_BATCH_MESSAGES_MAX = 1_024;
/** One message: the largest body but for the envelope. The peer's listener would refuse more without an answer. */
export const PEER_MESSAGE_BYTES_MAX = PEER_BODY_BYTES_MAX - (1 << 16);
/** Values in one body, containers included. Each takes at least one byte; decoded it takes some tens. */
const ELEMENTS_MAX = 1 << 20;
/** Containers inside containers; the envelope itself is one. */
const DEPTH_MAX = 16;
/** Names, metadata, addresses and problem texts are strings; whatever is larger travels as bytes. */
const STRING_BYTES_MAX = 1 << 20;
const MAP_ENTRIES_MAX = 1 << 16;
/** Above this an encoder of its own is used once, so that the shared one does not keep the memory. */
const SHARED_ENCODER_BYTES_MAX = 2 << 20;

const NO_EXTENSIONS: ExtensionCodecType<undefined> = {
  tryToEncode: () => null,
  decode: () => {
    throw new FormatError("Cannot decode MessagePack: extension types are not used here");
  },
};
// Both keep state only during a call, and no call is suspended: one of each serves every node of the process.
const sharedEncoder = new Encoder({ extensionCodec: NO_EXTENSIONS, maxDepth: DEPTH_MAX });
const sharedDecoder = new Decoder({
  extensionCodec: NO_EXTENSIONS,
  maxStrLength: STRING_BYTES_MAX,
  maxBinLength: PEER_BODY_BYTES_MAX,
  maxArrayLength: ELEMENTS_MAX,
  maxMapLength: MAP_ENTRIES_MAX,
  maxExtLength: 0,
});

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

/** @throws Error when the value is nested deeper than the protocol allows or is no WireValue: a bug of the sender. */
function encode(value: WireFields, estimatedBytes: number): Uint8Array {
  if (estimatedBytes <= SHARED_ENCODER_BYTES_MAX) return sharedEncoder.encode(value);
  const encoder = new Encoder({
    extensionCodec: NO_EXTENSIONS,
    maxDepth: DEPTH_MAX,
    initialBufferSize: estimatedBytes + 1_024,
  });
  return encoder.encodeSharedRef(value);
}

/** `flat` is what follows the cluster id: (kind, timeoutMs, fields) of one message after another. */
export function encodeRequest(
  clusterId: string,
  flat: WireFields,
  estimatedBytes: number,
): Uint8Array {
  return encode([ENVELOPE_VERSION, clusterId, ...flat], estimatedBytes);
}

/** `flat` is what follows the version: (0, fields) or (1, [code, message, detail]) of one answer after another. */
export function encodeAnswer(flat: WireFields, estimatedBytes: number): Uint8Array {
  return encode([ENVELOPE_VERSION, ...flat], estimatedBytes);
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
  const envelope = decodeEnvelope(body);
  const clusterId = envelope[1];
  if (typeof clusterId !== "string") throw new FormatError("Cannot read request: no cluster id");
  const flat = envelope.slice(2);
  if (flat.length % 3 !== 0) throw new FormatError("Cannot read request: half a message");
  if (flat.length > 3 * PEER_BATCH_MESSAGES_MAX) {
    throw new FormatError(`Cannot read request: more than ${PEER_BATCH_MESSAGES_MAX} messages`);
  }
  for (let at = 0; at < flat.length; at += 3) {
    if (!isCount(flat[at]) || !isCount(flat[at + 1]) || !Array.isArray(flat[at + 2])) {
      throw new FormatError(`Cannot read request: message ${at / 3} has the wrong shape`);
    }
  }
  return { clusterId, flat };
}

/**
 * Answer i is at 2i: 0 and its fields, or 1 and [code, message, detail]. Bytes in the result are views of `body`.
 * @throws FormatError unless it holds exactly `messages` answers.
 */
export function decodeAnswer(body: Uint8Array, messages: number): WireFields {
  const flat = decodeEnvelope(body).slice(1);
  if (flat.length !== 2 * messages) {
    throw new FormatError(`Cannot read answer: want ${messages} answers, got ${flat.length / 2}`);
  }
  for (let at = 0; at < flat.length; at += 2) {
    const fields = flat[at + 1];
    if (!Array.isArray(fields)) throw new FormatError(`Cannot read answer ${at / 2}: no fields`);
    if (flat[at] === 0) continue;
    if (flat[at] !== 1 || typeof fields[0] !== "string" || typeof fields[1] !== "string") {
      throw new FormatError(`Cannot read answer ${at / 2}: neither fields nor a refusal`);
    }
  }
  return flat;
}

/** The envelope is of a version that this program does not speak. */
export class UnsupportedVersionError extends Error {
  override readonly name = "UnsupportedVersionError";
}

function decodeEnvelope(body: Uint8Array): WireFields {
  const value = decodeWire(body);
  if (!Array.isArray(value)) throw new FormatError("Cannot read envelope: not an array");
  if (value[0] !== ENVELOPE_VERSION) {
    throw new UnsupportedVersionError(
      `Cannot read envelope, this node speaks version ${ENVELOPE_VERSION}: ${String(value[0])}`,
    );
  }
  return value;
}

function isCount(value: WireValue | undefined): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * Decodes one MessagePack value. The structure is checked first, because the decoder allocates an array as soon as it
 * has read its length: five hostile bytes cost 268 MB, and nested arrays get past a limit for each of them.
 * @throws FormatError for whatever is not exactly one well-formed value within the limits.
 */
export function decodeWire(bytes: Uint8Array): WireValue {
  checkStructure(bytes, ELEMENTS_MAX, DEPTH_MAX);
  try {
    return sharedDecoder.decode(bytes) as WireValue;
  } catch (cause) {
    throw new FormatError(`Cannot decode MessagePack: ${String(cause)}`, { cause });
  }
}
