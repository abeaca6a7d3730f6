import { keptBytes, passingBytes } from "./slab.ts";

// The only web global that core names: all three runtimes have it and ES2024 has no UTF-8 of its own.
declare const TextEncoder: new () => {
  encode(text: string): Uint8Array;
  encodeInto(text: string, target: Uint8Array): { readonly written: number };
};
declare const TextDecoder: new (
  label: string,
  options: { readonly fatal: boolean; readonly ignoreBOM: boolean },
) => { decode(bytes: Uint8Array): string };

const encoder = new TextEncoder();
// Without ignoreBOM a leading U+FEFF would silently vanish from a key.
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Below this many characters a loop beats the call into the runtime's encoder (measured on Node, Bun and Deno). */
const SHORT_TEXT = 48;

/** True unless there is a lone surrogate: such a string has no UTF-8. */
export function isWellFormed(text: string): boolean {
  return text.isWellFormed();
}

/** REQUIRES: well-formed text (a lone surrogate would become U+FFFD and not come back). */
export function utf8Encode(text: string): Uint8Array {
  if (text.length > SHORT_TEXT) return encoder.encode(text);
  // Keys are such texts, and some of them are remembered for long.
  const bytes = keptBytes.take(text.length);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return encoder.encode(text);
    bytes[i] = unit;
  }
  return bytes;
}

/** Writes the UTF-8 of `text` at `at` and returns where it ends. REQUIRES: room for utf8Length(text) bytes. */
export function utf8Write(target: Uint8Array, at: number, text: string): number {
  if (text.length > SHORT_TEXT) return at + encoder.encodeInto(text, target.subarray(at)).written;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return at + encoder.encodeInto(text, target.subarray(at)).written;
    target[at + i] = unit;
  }
  return at + text.length;
}

/** Strict: refuses over-long forms, surrogates and truncated sequences; keeps a byte order mark. @throws TypeError */
export function utf8Decode(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** The number of bytes utf8Encode would return. */
export function utf8Length(text: string): number {
  let bytes = text.length;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit <= 0x7f) continue;
    if (unit <= 0x7ff) bytes += 1;
    else if (unit >= 0xd800 && unit <= 0xdbff && isLowSurrogate(text.charCodeAt(i + 1))) {
      bytes += 2;
      i++;
    } else bytes += 2;
  }
  return bytes;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** Lexicographic, as unsigned bytes; a prefix comes first. Negative, zero or positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let i = 0; i < shared; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/** Not constant-time: secrets are compared by the Crypto port. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = passingBytes.take(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** One character U+0000..U+00FF per byte: a map key and a value that compares in byte order. */
export function byteString(bytes: Uint8Array): string {
  if (bytes.length <= CHARACTERS_MAX) return charactersOf(bytes);
  let text = "";
  for (let at = 0; at < bytes.length; at += CHARACTERS_MAX) {
    text += charactersOf(bytes.subarray(at, at + CHARACTERS_MAX));
  }
  return text;
}

/** What one call takes as arguments on every engine. */
const CHARACTERS_MAX = 4096;

function charactersOf(bytes: Uint8Array): string {
  // apply takes any array-like; its type says arrays only. The spread is five times slower.
  return String.fromCharCode.apply(null, bytes as ArrayLike<number> as number[]);
}

/** The inverse of byteString. @throws TypeError on a character above U+00FF. */
export function bytesFromByteString(text: string): Uint8Array {
  const bytes = passingBytes.take(text.length);
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0xff) throw new TypeError(`Cannot read byte string: character ${unit} at ${i}`);
    bytes[i] = unit;
  }
  return bytes;
}

const HEX = "0123456789abcdef";
const HEX_PAIRS: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => HEX.charAt(byte >>> 4) + HEX.charAt(byte & 15),
);

/** Lower case. */
export function bytesToHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX_PAIRS[byte] as string;
  return text;
}

/** Eight digits of an unsigned 32-bit number. Number's own toString takes seven times as long for large ones (Node). */
export function hex32(value: number): string {
  let text = "";
  for (let shift = 24; shift >= 0; shift -= 8)
    text += HEX_PAIRS[(value >>> shift) & 0xff] as string;
  return text;
}

/** @throws TypeError unless the text is an even number of lower-case hex digits: one value has one form. */
export function hexToBytes(text: string): Uint8Array {
  const bytes = new Uint8Array(text.length >>> 1);
  for (let i = 0; i < text.length; i++) {
    const digit = HEX.indexOf(text.charAt(i));
    if (digit < 0) throw new TypeError(`Cannot decode hex: character ${i} is not in 0-9a-f`);
    bytes[i >>> 1] = ((bytes[i >>> 1] as number) << 4) | digit;
  }
  if (text.length % 2 !== 0)
    throw new TypeError(`Cannot decode hex, want an even length: ${text.length}`);
  return bytes;
}

const STANDARD = utf8Encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/");
const URL_SAFE = utf8Encode("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");
const STANDARD_VALUES = valuesOf(STANDARD);
const URL_SAFE_VALUES = valuesOf(URL_SAFE);
const NOT_A_DIGIT = 0xff;
const PAD = 0x3d;

function valuesOf(alphabet: Uint8Array): Uint8Array {
  const values = new Uint8Array(256).fill(0xff);
  for (let i = 0; i < 64; i++) values[alphabet[i] as number] = i;
  return values;
}

/** RFC 4648 section 4, with padding. */
export function base64Encode(bytes: Uint8Array): string {
  return encodeDigits(bytes, STANDARD, true);
}

/** RFC 4648 section 5, without padding. */
export function base64UrlEncode(bytes: Uint8Array): string {
  return encodeDigits(bytes, URL_SAFE, false);
}

/** @throws TypeError on anything that base64Encode does not produce: white space, missing padding, stray last bits. */
export function base64Decode(text: string): Uint8Array {
  if (text.length % 4 !== 0) throw new TypeError("Cannot decode base64: padding is missing");
  let digits = text.length;
  if (text.endsWith("==")) digits -= 2;
  else if (text.endsWith("=")) digits -= 1;
  return decodeDigits(text, digits, STANDARD_VALUES);
}

/** @throws TypeError on anything that base64UrlEncode does not produce: one value has one form. */
export function base64UrlDecode(text: string): Uint8Array {
  return decodeDigits(text, text.length, URL_SAFE_VALUES);
}

function encodeDigits(bytes: Uint8Array, alphabet: Uint8Array, padded: boolean): string {
  const length = padded ? Math.ceil(bytes.length / 3) * 4 : Math.ceil((bytes.length * 4) / 3);
  const digits = passingBytes.take(length);
  let at = 0;
  for (let i = 0; i < bytes.length; i += 3) {
    const left = bytes.length - i;
    const second = left > 1 ? (bytes[i + 1] as number) : 0;
    const third = left > 2 ? (bytes[i + 2] as number) : 0;
    const bits = ((bytes[i] as number) << 16) | (second << 8) | third;
    digits[at++] = alphabet[bits >>> 18] as number;
    digits[at++] = alphabet[(bits >>> 12) & 63] as number;
    if (left > 1) digits[at++] = alphabet[(bits >>> 6) & 63] as number;
    if (left > 2) digits[at++] = alphabet[bits & 63] as number;
  }
  while (at < length) digits[at++] = PAD;
  return utf8Decode(digits);
}

function decodeDigits(text: string, digits: number, values: Uint8Array): Uint8Array {
  if (digits % 4 === 1)
    throw new TypeError(`Cannot decode base64: ${digits} digits are no whole number of bytes`);
  const bytes = new Uint8Array(Math.floor((digits * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < digits; i++) {
    const unit = text.charCodeAt(i);
    const value = unit < 256 ? (values[unit] as number) : NOT_A_DIGIT;
    if (value === NOT_A_DIGIT)
      throw new TypeError(`Cannot decode base64: character ${i} is no digit of it`);
    bits = ((bits << 6) | value) & 0xffffff;
    held += 6;
    if (held >= 8) {
      held -= 8;
      bytes[at++] = bits >>> held;
    }
  }
  if ((bits & ((1 << held) - 1)) !== 0)
    throw new TypeError("Cannot decode base64: stray bits at the end");
  return bytes;
}

/** The smallest byte string above `key`: where a scan goes on. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const after = new Uint8Array(key.length + 1);
  after.set(key);
  return after;
}
