/**
 * A look over MessagePack bytes before they are decoded. @msgpack/msgpack allocates an array of the announced length
 * before it has seen one element, and checks each length by itself only; whatever passes here has as many elements as
 * its lengths claim, so that decoding it allocates in proportion to the bytes received.
 */
import { utf8Decode } from "../core/bytes.ts";
import { FormatError } from "../core/errors.ts";

const SCALAR = 0;
const TEXT = 1;
const BYTES = 2;
const ARRAY = 3;
const MAP = 4;
const REFUSED = 5;

/** By first byte: what follows, how many bytes its length field has, and its length when there is no such field. */
const KIND = new Uint8Array(256);
const LENGTH_FIELD_BYTES = new Uint8Array(256);
const FIXED_LENGTH = new Uint8Array(256);

function describe(head: number, kind: number, lengthFieldBytes: number, fixedLength = 0): void {
  KIND[head] = kind;
  LENGTH_FIELD_BYTES[head] = lengthFieldBytes;
  FIXED_LENGTH[head] = fixedLength;
}

// The format's table (github.com/msgpack/msgpack, spec.md). Integers of one byte and nil, false, true stay SCALAR, 0, 0.
for (let size = 0; size < 16; size++) {
  describe(0x80 + size, MAP, 0, size);
  describe(0x90 + size, ARRAY, 0, size);
}
for (let size = 0; size < 32; size++) describe(0xa0 + size, TEXT, 0, size);
for (const head of [0xc1, 0xc7, 0xc8, 0xc9, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8]) {
  describe(head, REFUSED, 0);
}
for (let power = 0; power < 3; power++) {
  const fieldBytes = 1 << power;
  describe(0xc4 + power, BYTES, fieldBytes);
  describe(0xd9 + power, TEXT, fieldBytes);
}
for (let power = 0; power < 4; power++) {
  describe(0xcc + power, SCALAR, 0, 1 << power);
  describe(0xd0 + power, SCALAR, 0, 1 << power);
}
describe(0xca, SCALAR, 0, 4);
describe(0xcb, SCALAR, 0, 8);
describe(0xdc, ARRAY, 2);
describe(0xdd, ARRAY, 4);
describe(0xde, MAP, 2);
describe(0xdf, MAP, 4);

/** Containers that can be open at once; a caller may ask for fewer. */
const DEPTH_CAPACITY = 32;
// Scratch: the check is never suspended. What was still to come in each open container, and whether it is a map.
const openLeft = new Uint32Array(DEPTH_CAPACITY);
const openIsMap = new Uint8Array(DEPTH_CAPACITY);

/**
 * Allocates nothing. A map's keys must be strings, strings must be UTF-8, extension types are refused.
 * @throws FormatError unless the bytes are exactly one value of at most `elementsMax` values (containers included),
 * nested at most `depthMax` (up to 32) deep.
 */
export function checkStructure(bytes: Uint8Array, elementsMax: number, depthMax: number): void {
  let at = 0;
  let depth = 0;
  let left = 1;
  let isMap = 0;
  let elements = 0;
  for (;;) {
    while (left === 0) {
      if (depth === 0) {
        expectEnd(bytes, at);
        return;
      }
      depth--;
      left = openLeft[depth] as number;
      isMap = openIsMap[depth] as number;
    }
    const head = bytes[at++];
    if (head === undefined) throw truncated();
    if (++elements > elementsMax)
      throw new FormatError(`Cannot decode: over ${elementsMax} values`);
    const kind = KIND[head] as number;
    const fieldBytes = LENGTH_FIELD_BYTES[head] as number;
    const length =
      fieldBytes === 0 ? (FIXED_LENGTH[head] as number) : lengthAt(bytes, at, fieldBytes);
    at += fieldBytes;
    // A map of n entries is 2n values: a key comes when an even number of them is left.
    if (isMap === 1 && (left & 1) === 0 && kind !== TEXT) {
      throw new FormatError("Cannot decode: a map key that is no string");
    }
    left--;
    if (kind < ARRAY) {
      at += length;
      if (at > bytes.length) throw truncated();
      if (kind === TEXT) checkText(bytes, at - length, at);
      continue;
    }
    if (kind === REFUSED) throw new FormatError(`Cannot decode: type ${head} is not used here`);
    if (depth === depthMax) throw new FormatError(`Cannot decode: nested over ${depthMax} deep`);
    openLeft[depth] = left;
    openIsMap[depth] = isMap;
    depth++;
    isMap = kind === MAP ? 1 : 0;
    left = kind === MAP ? 2 * length : length;
    if (left > bytes.length - at) throw truncated();
  }
}

function truncated(): FormatError {
  return new FormatError("Cannot decode: a length beyond the end");
}

function expectEnd(bytes: Uint8Array, at: number): void {
  if (at !== bytes.length)
    throw new FormatError(`Cannot decode: ${bytes.length - at} bytes too many`);
}

function lengthAt(bytes: Uint8Array, at: number, fieldBytes: number): number {
  if (at + fieldBytes > bytes.length) throw truncated();
  let length = 0;
  for (let i = 0; i < fieldBytes; i++) length = length * 256 + (bytes[at + i] as number);
  return length;
}

function checkText(bytes: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    if ((bytes[i] as number) < 0x80) continue;
    // The decoder would quietly put U+FFFD for what is not UTF-8, and two texts would become one.
    try {
      utf8Decode(bytes.subarray(i, end));
    } catch (cause) {
      throw new FormatError("Cannot decode: a string that is not UTF-8", { cause });
    }
    return;
  }
}
