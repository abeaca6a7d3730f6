/**
 * MessagePack in its shortest forms, the very bytes that @msgpack/msgpack writes: that library makes an object and some
 * arrays of bytes for each call, and a peer request carries a dozen messages that cost less than that.
 */
import { assert } from "../core/assert.ts";
import { utf8Length, utf8Write } from "../core/bytes.ts";
import { bodyBytes } from "../core/slab.ts";
import type { WireValue } from "./peer-channel.ts";

const START_BYTES = 64 * 1024;
/** A buffer that one huge message has blown up is not kept. */
const KEPT_BYTES_MAX = 2 << 20;
/** Up to here a loop is quicker than a call into the runtime. */
const SHORT_TEXT = 31;
const TWO_POW_32 = 2 ** 32;

/** One buffer for all that is written: nothing else may run between `start` and `finish`. */
export class MsgpackWriter {
  readonly #depthMax: number;
  #bytes = new Uint8Array(START_BYTES);
  #at = 0;
  #repeated: WireValue = null;
  #repeatedAt = 0;
  #repeatedEnd = 0;

  /** Containers inside containers beyond `depthMax` are a bug of the caller. */
  constructor(depthMax: number) {
    this.#depthMax = depthMax;
  }

  start(): void {
    this.#at = 0;
    this.#repeated = null;
    if (this.#bytes.length > KEPT_BYTES_MAX) this.#bytes = new Uint8Array(START_BYTES);
  }

  /** A copy of what was written. */
  finish(): Uint8Array {
    this.#repeated = null;
    return bodyBytes.copy(this.#bytes.subarray(0, this.#at));
  }

  arrayHead(length: number): void {
    this.#head(length, 0x90, 15, 0xdc);
  }

  integer(value: number): void {
    this.#room(9);
    if (value >= 0) this.#unsigned(value);
    else this.#negative(value);
  }

  /** As `value`, but one that is the same object as the one before is copied: many answers of one request are alike. */
  repeatable(value: WireValue, depth: number): void {
    if (value === this.#repeated && value !== null) {
      const length = this.#repeatedEnd - this.#repeatedAt;
      this.#room(length);
      this.#bytes.copyWithin(this.#at, this.#repeatedAt, this.#repeatedEnd);
      this.#at += length;
      return;
    }
    const from = this.#at;
    this.value(value, depth);
    this.#repeated = value;
    this.#repeatedAt = from;
    this.#repeatedEnd = this.#at;
  }

  /** @throws AssertionError for what is nested too deep. */
  value(value: WireValue, depth = 0): void {
    if (typeof value === "number") this.#number(value);
    else if (typeof value === "string") this.#text(value);
    else if (value instanceof Uint8Array) this.#binary(value);
    else if (value === null || typeof value !== "object") this.#constant(value);
    else {
      assert(depth < this.#depthMax, "a peer message must not be nested deeper than its limit");
      if (isList(value)) {
        this.arrayHead(value.length);
        for (let i = 0; i < value.length; i++) this.value(value[i] as WireValue, depth + 1);
      } else this.#map(value, depth + 1);
    }
  }

  #map(value: { readonly [name: string]: WireValue }, depth: number): void {
    const names = Object.keys(value);
    this.#head(names.length, 0x80, 15, 0xde);
    for (const name of names) {
      this.#text(name);
      this.value(value[name] as WireValue, depth);
    }
  }

  #constant(value: boolean | null): void {
    this.#room(1);
    // What is neither is a bug: `undefined` would come back as null.
    assert(value === null || typeof value === "boolean", "a peer message must hold wire values");
    let byte = 0xc0;
    if (value !== null) byte = value ? 0xc3 : 0xc2;
    this.#bytes[this.#at++] = byte;
  }

  #number(value: number): void {
    this.#room(9);
    if (!Number.isSafeInteger(value)) this.#float(value);
    else if (value >= 0) this.#unsigned(value);
    else this.#negative(value);
  }

  #unsigned(value: number): void {
    const bytes = this.#bytes;
    if (value < 0x80) bytes[this.#at++] = value;
    else if (value < 0x100) {
      bytes[this.#at++] = 0xcc;
      bytes[this.#at++] = value;
    } else if (value < 0x1_0000) {
      bytes[this.#at++] = 0xcd;
      this.#u16(value);
    } else if (value < TWO_POW_32) {
      bytes[this.#at++] = 0xce;
      this.#u32(value);
    } else {
      bytes[this.#at++] = 0xcf;
      this.#u32(Math.floor(value / TWO_POW_32));
      this.#u32(value);
    }
  }

  #negative(value: number): void {
    const bytes = this.#bytes;
    if (value >= -0x20) bytes[this.#at++] = value;
    else if (value >= -0x80) {
      bytes[this.#at++] = 0xd0;
      bytes[this.#at++] = value;
    } else if (value >= -0x8000) {
      bytes[this.#at++] = 0xd1;
      this.#u16(value);
    } else if (value >= -0x8000_0000) {
      bytes[this.#at++] = 0xd2;
      this.#u32(value);
    } else {
      bytes[this.#at++] = 0xd3;
      this.#u32(Math.floor(value / TWO_POW_32));
      this.#u32(value);
    }
  }

  #float(value: number): void {
    floats[0] = value;
    this.#bytes[this.#at++] = 0xcb;
    // Typed arrays have the machine's order, which is little-endian wherever our runtimes run.
    for (let i = 7; i >= 0; i--) this.#bytes[this.#at++] = floatBytes[i] as number;
  }

  #text(text: string): void {
    const { length } = text;
    if (length <= SHORT_TEXT) {
      this.#room(length + 1);
      const start = this.#at + 1;
      let i = 0;
      for (; i < length; i++) {
        const unit = text.charCodeAt(i);
        if (unit > 0x7f) break;
        this.#bytes[start + i] = unit;
      }
      if (i === length) {
        this.#bytes[this.#at] = 0xa0 + length;
        this.#at = start + length;
        return;
      }
    }
    const bytes = utf8Length(text);
    this.#blobHead(bytes, 0xa0, 31, 0xd9);
    this.#room(bytes);
    this.#at = utf8Write(this.#bytes, this.#at, text);
  }

  #binary(value: Uint8Array): void {
    this.#blobHead(value.length, 0, -1, 0xc4);
    this.#room(value.length);
    this.#bytes.set(value, this.#at);
    this.#at += value.length;
  }

  /** Of text and bytes: lengths of up to `fixMax` in the first byte, else in 1, 2 or 4 bytes after `first` and the next two. */
  #blobHead(length: number, fix: number, fixMax: number, first: number): void {
    if (length <= fixMax || length > 0xff) {
      this.#head(length, fix, fixMax, first + 1);
      return;
    }
    this.#room(2);
    this.#bytes[this.#at++] = first;
    this.#bytes[this.#at++] = length;
  }

  /** Of arrays and maps, and of what is longer than a byte can say. */
  #head(length: number, fix: number, fixMax: number, first: number): void {
    this.#room(5);
    if (length <= fixMax) this.#bytes[this.#at++] = fix + length;
    else if (length <= 0xffff) {
      this.#bytes[this.#at++] = first;
      this.#u16(length);
    } else {
      this.#bytes[this.#at++] = first + 1;
      this.#u32(length);
    }
  }

  #u16(value: number): void {
    this.#bytes[this.#at++] = value >>> 8;
    this.#bytes[this.#at++] = value;
  }

  #u32(value: number): void {
    this.#bytes[this.#at++] = value >>> 24;
    this.#bytes[this.#at++] = value >>> 16;
    this.#bytes[this.#at++] = value >>> 8;
    this.#bytes[this.#at++] = value;
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }
}

const floats = new Float64Array(1);
const floatBytes = new Uint8Array(floats.buffer);

/** Array.isArray does not narrow a readonly array. */
function isList(value: object): value is readonly WireValue[] {
  return Array.isArray(value);
}
