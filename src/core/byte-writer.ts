import { utf8Length, utf8Write } from "./bytes.ts";
import { passingBytes } from "./slab.ts";

/** Bytes of `value` as a varint: seven bits a byte, low bits first. */
export function varintLength(value: number): number {
  let length = 1;
  for (let limit = 128; value >= limit && length < 8; limit *= 128) length++;
  return length;
}

/** Writes at `at` and returns where it ends. REQUIRES: an integer 0 .. 2^53-1 and room for varintLength(value) bytes. */
export function writeVarint(target: Uint8Array, at: number, value: number): number {
  let rest = value;
  let next = at;
  // Bit operators work on 32 bits only, so larger numbers are first cut down by division.
  while (rest >= 0x1000_0000) {
    const quotient = Math.floor(rest / 128);
    target[next++] = rest - quotient * 128 + 128;
    rest = quotient;
  }
  while (rest >= 128) {
    target[next++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  target[next++] = rest;
  return next;
}

/** Grows as it is written. Numbers are big-endian. Writing a number out of its range is a bug of the caller. */
export class ByteWriter {
  #bytes: Uint8Array;
  #at = 0;

  constructor(capacity = 256) {
    this.#bytes = passingBytes.take(capacity);
  }

  get length(): number {
    return this.#at;
  }

  #room(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
    grown.set(this.#bytes);
    this.#bytes = grown;
  }

  u8(value: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = value;
  }

  u16(value: number): void {
    this.u8(value >>> 8);
    this.u8(value);
  }

  u32(value: number): void {
    this.u16(value >>> 16);
    this.u16(value);
  }

  varint(value: number): void {
    this.#room(8);
    this.#at = writeVarint(this.#bytes, this.#at, value);
  }

  bytes(part: Uint8Array): void {
    this.#room(part.length);
    this.#bytes.set(part, this.#at);
    this.#at += part.length;
  }

  /** One byte per character. REQUIRES: characters U+0000..U+00FF. */
  byteString(text: string): void {
    this.#room(text.length);
    for (let i = 0; i < text.length; i++) this.#bytes[this.#at++] = text.charCodeAt(i);
  }

  /** The length of the UTF-8 as a varint, then the UTF-8. */
  text(text: string): void {
    const length = utf8Length(text);
    this.varint(length);
    this.#room(length);
    this.#at = utf8Write(this.#bytes, this.#at, text);
  }

  /** A view of what was written: do not write afterwards. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#at);
  }
}
