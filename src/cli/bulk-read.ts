/** Cuts a stream of bytes into items without ever holding more than one item: files may be larger than memory. */
import type { BulkFormat, RawItem } from "./bulk-item.ts";

/** Room for a value of 25 MiB, every byte of it escaped or in base64, and what stands around it. */
const ITEM_BYTES_MAX = 192 * 1024 * 1024;

/** The file as a whole cannot be read on; the message names the line. */
export class BulkSyntaxError extends Error {
  override readonly name = "BulkSyntaxError";
}

const LF = 0x0a;
const CR = 0x0d;
const TAB = 0x09;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;

/**
 * Yields the items of a stream in order. With format null the first byte tells: `[` begins a wrangler array.
 * @throws BulkSyntaxError
 */
export async function* readItems(
  stream: AsyncIterable<Uint8Array>,
  format: BulkFormat | null,
  onFormat: (format: BulkFormat) => void,
): AsyncGenerator<RawItem, void, void> {
  let splitter: Splitter | undefined;
  let first: Uint8Array = new Uint8Array(0);
  for await (const chunk of stream) {
    if (splitter !== undefined) {
      yield* splitter.push(chunk);
      continue;
    }
    // The mark may be cut in two, and white space tells nothing about the format.
    first = joined([first, chunk]);
    if (first.length < BYTE_ORDER_MARK.length || withoutMark(first).every(isSpace)) continue;
    const bytes = withoutMark(first);
    splitter = begin(bytes, format, onFormat);
    yield* splitter.push(bytes);
  }
  if (splitter === undefined) {
    splitter = begin(first, format, onFormat);
    yield* splitter.push(first);
  }
  yield* splitter.end();
}

interface Splitter {
  push(chunk: Uint8Array): Generator<RawItem, void, void>;
  end(): Generator<RawItem, void, void>;
}

function begin(
  first: Uint8Array,
  given: BulkFormat | null,
  onFormat: (format: BulkFormat) => void,
): Splitter {
  const start = first.find((byte) => !isSpace(byte));
  const format = given ?? (start === OPEN_BRACKET ? "wrangler" : "ndjson");
  onFormat(format);
  return format === "ndjson" ? new LineSplitter() : new ArraySplitter();
}

function withoutMark(bytes: Uint8Array): Uint8Array {
  return BYTE_ORDER_MARK.every((byte, i) => bytes[i] === byte)
    ? bytes.subarray(BYTE_ORDER_MARK.length)
    : bytes;
}

function isSpace(byte: number): boolean {
  return byte === SPACE || byte === LF || byte === CR || byte === TAB;
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The bytes of the item that is being read, over as many chunks as it takes. */
class Pending {
  #parts: Uint8Array[] = [];
  bytes = 0;

  add(part: Uint8Array, line: number): void {
    this.bytes += part.length;
    if (this.bytes > ITEM_BYTES_MAX) {
      throw new BulkSyntaxError(
        `Cannot read the item in line ${line}: it is longer than ${ITEM_BYTES_MAX} bytes`,
      );
    }
    // A copy: the reader may use its buffer again.
    if (part.length > 0) this.#parts.push(part.slice());
  }

  take(): Uint8Array {
    const all =
      this.#parts.length === 1 ? (this.#parts[0] ?? new Uint8Array(0)) : joined(this.#parts);
    this.#parts = [];
    this.bytes = 0;
    return all;
  }
}

/** One item a line; empty lines are nothing. */
class LineSplitter implements Splitter {
  readonly #pending = new Pending();
  #line = 1;
  #index = 0;

  *push(chunk: Uint8Array): Generator<RawItem, void, void> {
    let start = 0;
    for (let end = chunk.indexOf(LF); end !== -1; end = chunk.indexOf(LF, start)) {
      this.#pending.add(chunk.subarray(start, end), this.#line);
      yield* this.#take();
      this.#line += 1;
      start = end + 1;
    }
    this.#pending.add(chunk.subarray(start), this.#line);
  }

  *end(): Generator<RawItem, void, void> {
    yield* this.#take();
  }

  *#take(): Generator<RawItem, void, void> {
    const text = this.#pending.take();
    if (text.every(isSpace)) return;
    yield { text, line: this.#line, index: this.#index };
    this.#index += 1;
  }
}

/** The objects of one JSON array. What is inside an object is left to JSON.parse; here only strings and braces count. */
class ArraySplitter implements Splitter {
  readonly #pending = new Pending();
  #line = 1;
  #itemLine = 1;
  #index = 0;
  #state: "before" | "first" | "value" | "inside" | "behind" | "after" = "before";
  #depth = 0;
  #isString = false;
  #isEscaped = false;

  *push(chunk: Uint8Array): Generator<RawItem, void, void> {
    let start = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (this.#state === "inside") {
        if (this.#closes(byte)) {
          this.#pending.add(chunk.subarray(start, i + 1), this.#itemLine);
          yield { text: this.#pending.take(), line: this.#itemLine, index: this.#index++ };
          this.#state = "behind";
        }
      } else if (!isSpace(byte)) {
        start = i;
        this.#between(byte);
      }
      if (byte === LF) this.#line += 1;
    }
    if (this.#state === "inside") this.#pending.add(chunk.subarray(start), this.#itemLine);
  }

  // biome-ignore lint/correctness/useYield: the other splitter has something left to give
  *end(): Generator<RawItem, void, void> {
    if (this.#state !== "after")
      throw this.#unexpected("the end of the file", "want ] to close the array");
  }

  /** Looks at a byte of an object; true when it is the object's last. */
  #closes(byte: number): boolean {
    if (this.#isString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) this.#isString = false;
      return false;
    }
    if (byte === QUOTE) this.#isString = true;
    else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) this.#depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) this.#depth -= 1;
    return this.#depth === 0;
  }

  /** A byte outside of objects that is no white space. */
  #between(byte: number): void {
    const shown = JSON.stringify(String.fromCharCode(byte));
    switch (this.#state) {
      case "before":
        if (byte !== OPEN_BRACKET) throw this.#unexpected(shown, "want [ to open the array");
        this.#state = "first";
        return;
      case "first":
      case "value":
        if (byte === CLOSE_BRACKET && this.#state === "first") {
          this.#state = "after";
          return;
        }
        if (byte !== OPEN_BRACE) throw this.#unexpected(shown, "want { to open an item");
        this.#state = "inside";
        this.#depth = 1;
        this.#itemLine = this.#line;
        return;
      case "behind":
        if (byte !== COMMA && byte !== CLOSE_BRACKET)
          throw this.#unexpected(shown, "want , or ] behind an item");
        this.#state = byte === COMMA ? "value" : "after";
        return;
      default:
        throw this.#unexpected(shown, "want nothing behind the array");
    }
  }

  #unexpected(what: string, want: string): BulkSyntaxError {
    return new BulkSyntaxError(`Cannot read line ${this.#line}: ${what} is unexpected, ${want}`);
  }
}
