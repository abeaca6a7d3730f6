import { utf8Decode } from "./bytes.ts";
import { FormatError } from "./errors.ts";
import { type ActorId, meetActorId } from "./ids.ts";

/** Reads what ByteWriter wrote and refuses everything else: each method throws FormatError rather than read past the end. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get position(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new FormatError(`Cannot read byte at ${this.#at}: end of data`);
    this.#at++;
    return byte;
  }

  u16(): number {
    return this.u8() * 0x100 + this.u8();
  }

  u32(): number {
    return this.u16() * 0x1_0000 + this.u16();
  }

  /** @throws FormatError if it is above `max`, or longer than it need be: one number has one form. */
  varint(max: number = Number.MAX_SAFE_INTEGER): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 8; i++) {
      const byte = this.u8();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (byte === 0 && i > 0)
          throw new FormatError(`Cannot read varint: over-long form of ${value}`);
        if (value > max) throw new FormatError(`Cannot read varint, want at most ${max}: ${value}`);
        return value;
      }
      scale *= 128;
    }
    throw new FormatError("Cannot read varint: more than 8 bytes");
  }

  /** A view, not a copy. */
  bytes(length: number): Uint8Array {
    const end = this.#at + length;
    if (end > this.#bytes.length) {
      throw new FormatError(`Cannot read ${length} bytes at ${this.#at}: end of data`);
    }
    const view = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return view;
  }

  /** Sixteen bytes. */
  actorId(): ActorId {
    const from = this.#at;
    if (this.remaining < 16) throw new FormatError(`Cannot read 16 bytes at ${from}: end of data`);
    this.#at = from + 16;
    return meetActorId(this.#bytes, from);
  }

  /**
   * A varint length, then UTF-8. When it is `likely`, that very string is returned, without decoding.
   * @throws FormatError if it is above `maxBytes` or not valid UTF-8.
   */
  text(maxBytes: number, likely = ""): string {
    const length = this.varint(maxBytes);
    if (length === 0) return "";
    if (length === likely.length && this.#isNext(likely)) {
      this.#at += length;
      return likely;
    }
    const bytes = this.bytes(length);
    try {
      return utf8Decode(bytes);
    } catch (cause) {
      throw new FormatError(`Cannot read text at ${this.#at - length}: not UTF-8`, { cause });
    }
  }

  /** False for whatever is not ASCII. */
  #isNext(text: string): boolean {
    for (let i = 0; i < text.length; i++) {
      const byte = this.#bytes[this.#at + i];
      if (byte === undefined || byte > 0x7f || byte !== text.charCodeAt(i)) return false;
    }
    return true;
  }

  /** @throws FormatError unless everything has been read. */
  expectEnd(): void {
    if (this.remaining !== 0)
      throw new FormatError(`Cannot end reading: ${this.remaining} bytes left over`);
  }
}
