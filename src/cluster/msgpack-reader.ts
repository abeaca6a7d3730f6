/**
 * MessagePack from a stranger or a peer, read strictly. @msgpack/msgpack allocates an array of the announced length before it
 * has seen one element; this allocates only for what it has seen, and counts all values together. Bytes are views; text is UTF-8, map keys are text, extension types are refused.
 */
import { utf8Decode } from "../core/bytes.ts";
import { FormatError } from "../core/errors.ts";
import type { WireFields, WireValue } from "./peer-channel.ts";

export interface ReadLimits {
  /** Values in all, containers included. Each takes at least one byte; decoded it takes some tens. */
  readonly elementsMax: number;
  /** Containers inside containers. */
  readonly depthMax: number;
  readonly textBytesMax: number;
}

/** Up to here a loop is quicker than a call into the runtime. */
const SHORT_TEXT = 24;
const TWO_POW_32 = 2 ** 32;

/** Each method throws FormatError for what it does not understand or what is beyond a limit. */
export class MsgpackReader {
  readonly #bytes: Uint8Array;
  readonly #limits: ReadLimits;
  #at = 0;
  #left: number;
  #repeated: WireValue = null;
  #repeatedAt = 0;
  #repeatedEnd = 0;

  constructor(bytes: Uint8Array, limits: ReadLimits) {
    this.#bytes = bytes;
    this.#limits = limits;
    this.#left = limits.elementsMax;
  }

  /** The length of an array whose elements the caller reads one by one. */
  arrayHead(): number {
    const head = this.#head();
    if (head >= 0x90 && head <= 0x9f) return head - 0x90;
    if (head === 0xdc) return this.#u16();
    if (head === 0xdd) return this.#u32();
    throw new FormatError("Cannot decode: not an array");
  }

  /** @throws FormatError unless everything has been read. */
  expectEnd(): void {
    const rest = this.#bytes.length - this.#at;
    if (rest !== 0) throw new FormatError(`Cannot decode: ${rest} bytes too many`);
  }

  /** One value. `depth` is how many containers it stands in. */
  value(depth: number): WireValue {
    const head = this.#head();
    if (head < 0x80) return head;
    if (head >= 0xe0) return head - 0x100;
    if (head < 0x90) return this.#map(head - 0x80, depth);
    if (head < 0xa0) return this.#array(head - 0x90, depth);
    if (head < 0xc0) return this.#text(head - 0xa0);
    return this.#long(head, depth);
  }

  /**
   * As `value`, but bytes that repeat the ones before give the same object: many answers of one request are alike. One
   * value is never the beginning of another, so equal bytes are equal values.
   */
  repeatable(depth: number): WireValue {
    const bytes = this.#bytes;
    const from = this.#at;
    const length = this.#repeatedEnd - this.#repeatedAt;
    if (length > 0) {
      let same = 0;
      while (same < length && bytes[from + same] === bytes[this.#repeatedAt + same]) same++;
      if (same === length) {
        if (--this.#left < 0) throw this.#tooMany();
        this.#at = from + length;
        return this.#repeated;
      }
    }
    this.#repeated = this.value(depth);
    this.#repeatedAt = from;
    this.#repeatedEnd = this.#at;
    return this.#repeated;
  }

  /** Everything whose first byte does not say it all. */
  #long(head: number, depth: number): WireValue {
    switch (head) {
      case 0xc0:
        return null;
      case 0xc2:
        return false;
      case 0xc3:
        return true;
      case 0xc4:
        return this.#binary(this.#u8());
      case 0xc5:
        return this.#binary(this.#u16());
      case 0xc6:
        return this.#binary(this.#u32());
      case 0xca:
        return this.#view(4).getFloat32(0);
      case 0xcb:
        return this.#view(8).getFloat64(0);
      case 0xd9:
        return this.#text(this.#u8());
      case 0xda:
        return this.#text(this.#u16());
      case 0xdb:
        return this.#text(this.#u32());
      case 0xdc:
        return this.#array(this.#u16(), depth);
      case 0xdd:
        return this.#array(this.#u32(), depth);
      case 0xde:
        return this.#map(this.#u16(), depth);
      case 0xdf:
        return this.#map(this.#u32(), depth);
      default:
        return this.#integer(head);
    }
  }

  #integer(head: number): number {
    switch (head) {
      case 0xcc:
        return this.#u8();
      case 0xcd:
        return this.#u16();
      case 0xce:
        return this.#u32();
      case 0xcf:
        return this.#u32() * TWO_POW_32 + this.#u32();
      case 0xd0:
        return (this.#u8() << 24) >> 24;
      case 0xd1:
        return (this.#u16() << 16) >> 16;
      case 0xd2:
        return this.#u32() | 0;
      case 0xd3:
        return (this.#u32() | 0) * TWO_POW_32 + this.#u32();
      default:
        throw new FormatError(`Cannot decode: type ${head} is not used here`);
    }
  }

  #array(length: number, depth: number): WireFields {
    this.#enter(length, depth);
    const items: WireValue[] = [];
    for (let i = 0; i < length; i++) items.push(this.value(depth + 1));
    return items;
  }

  #map(entries: number, depth: number): { readonly [name: string]: WireValue } {
    this.#enter(2 * entries, depth);
    const map: { [name: string]: WireValue } = {};
    for (let i = 0; i < entries; i++) {
      const name = this.value(depth + 1);
      if (typeof name !== "string") throw new FormatError("Cannot decode: a map key is no string");
      if (name === "__proto__") throw new FormatError("Cannot decode: a map key is not allowed");
      map[name] = this.value(depth + 1);
    }
    return map;
  }

  #enter(values: number, depth: number): void {
    if (depth >= this.#limits.depthMax) {
      throw new FormatError(`Cannot decode: nested over ${this.#limits.depthMax} deep`);
    }
    // Each takes a byte or more: what the rest cannot hold is refused before it is tried.
    if (values > this.#bytes.length - this.#at) throw truncated();
    if (values > this.#left) throw this.#tooMany();
  }

  #text(length: number): string {
    const from = this.#at;
    if (length > this.#limits.textBytesMax) {
      throw new FormatError(`Cannot decode: a text of ${length} bytes`);
    }
    this.#skip(length);
    if (length <= SHORT_TEXT) {
      const text = shortText(this.#bytes, from, from + length);
      if (text !== null) return text;
    }
    try {
      return utf8Decode(this.#bytes.subarray(from, from + length));
    } catch (cause) {
      throw new FormatError("Cannot decode: a string that is not UTF-8", { cause });
    }
  }

  #binary(length: number): Uint8Array {
    const from = this.#at;
    this.#skip(length);
    return this.#bytes.subarray(from, from + length);
  }

  #view(length: number): DataView {
    const from = this.#at;
    this.#skip(length);
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + from, length);
  }

  #head(): number {
    if (--this.#left < 0) throw this.#tooMany();
    return this.#u8();
  }

  #u8(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw truncated();
    this.#at++;
    return byte;
  }

  #u16(): number {
    return this.#u8() * 0x100 + this.#u8();
  }

  #u32(): number {
    return this.#u16() * 0x1_0000 + this.#u16();
  }

  #skip(length: number): void {
    if (length > this.#bytes.length - this.#at) throw truncated();
    this.#at += length;
  }

  #tooMany(): FormatError {
    return new FormatError(`Cannot decode: over ${this.#limits.elementsMax} values`);
  }
}

function truncated(): FormatError {
  return new FormatError("Cannot decode: a length beyond the end");
}

/** Null when it is not ASCII. Four characters at a time: each call makes a string that the next one copies. */
function shortText(bytes: Uint8Array, from: number, end: number): string | null {
  let text = "";
  let at = from;
  for (; at + 4 <= end; at += 4) {
    const a = bytes[at] as number;
    const b = bytes[at + 1] as number;
    const c = bytes[at + 2] as number;
    const d = bytes[at + 3] as number;
    if ((a | b | c | d) > 0x7f) return null;
    text += String.fromCharCode(a, b, c, d);
  }
  for (; at < end; at++) {
    const unit = bytes[at] as number;
    if (unit > 0x7f) return null;
    text += String.fromCharCode(unit);
  }
  return text;
}
