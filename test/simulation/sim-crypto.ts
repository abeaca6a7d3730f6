/**
 * The Crypto port of a simulated world: the same shapes and the same laws (equal input, equal digest; another key, another
 * digest), without the strength. Nobody in here forges anything by luck, and SHA-256 was a fifth of a seed's time. What
 * the real one computes is held by test/runtime/ and the golden conversations.
 */
import type { Crypto } from "../../src/env/crypto.ts";

const DIGEST_BYTES = 32;
const LANES = 4;
const PRIME_A = 0x9e3779b1;
const PRIME_B = 0x85ebca6b;

/** Four lanes of multiply and rotate over 32-bit words, each with a start of its own. */
class Mixer {
  #a = 0x243f6a88;
  #b = 0x85a308d3;
  #length = 0;

  update(bytes: Uint8Array): void {
    let a = this.#a;
    let b = this.#b;
    const whole = bytes.length - (bytes.length % 4);
    for (let i = 0; i < whole; i += 4) {
      const word =
        (bytes[i] as number) |
        ((bytes[i + 1] as number) << 8) |
        ((bytes[i + 2] as number) << 16) |
        ((bytes[i + 3] as number) << 24);
      a = Math.imul((a ^ word) + ((b >>> 15) | (b << 17)), PRIME_A);
      b = Math.imul((b + word) ^ (a >>> 13), PRIME_B);
    }
    for (let i = whole; i < bytes.length; i++) {
      a = Math.imul(a ^ (bytes[i] as number), PRIME_A);
      b = Math.imul(b + (bytes[i] as number) + (a >>> 11), PRIME_B);
    }
    this.#length += bytes.length;
    this.#a = a;
    this.#b = b;
  }

  digest(bytes: number): Uint8Array {
    const out = new Uint8Array(bytes);
    let a = this.#a ^ this.#length;
    let b = this.#b;
    let word = 0;
    for (let i = 0; i < bytes; i++) {
      if (i % LANES === 0) {
        a = Math.imul(a ^ (a >>> 16) ^ b, PRIME_B) + i;
        b = Math.imul(b ^ (b >>> 15) ^ a, PRIME_A);
        word = a ^ b;
      }
      out[i] = word & 0xff;
      word >>>= 8;
    }
    return out;
  }
}

function mix(bytes: number, parts: readonly Uint8Array[]): Uint8Array {
  const mixer = new Mixer();
  for (const part of parts) mixer.update(part);
  return mixer.digest(bytes);
}

export const simCrypto: Crypto = {
  sha256: (bytes) => mix(DIGEST_BYTES, [bytes]),
  // HMAC joins its parts: they are joined here too, so that framing mistakes stay what they are.
  hmacSha256: (key, ...parts) => mix(DIGEST_BYTES, [key, joined(parts)]),
  hkdfSha256: (key, salt, info, bytes) => mix(bytes, [key, salt, new TextEncoder().encode(info)]),
  equal: (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]),
};

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0] as Uint8Array;
  let length = 0;
  for (const part of parts) length += part.length;
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
