import type { Hasher } from "../core/hasher.ts";
import { writeU32 } from "./row-bytes.ts";

/**
 * 128 bits that stand for a row, as four 32-bit words, the highest first, each a signed integer: as an array of bytes it
 * would cost the runtime ten times its size, and trees add them up word by word.
 */
export interface RowDigest {
  readonly w0: number;
  readonly w1: number;
  readonly w2: number;
  readonly w3: number;
}

export const DIGEST_BYTES = 16;
/** Namespace 4, key length 2, after the secret. */
const FIXED_BYTES = 6;

/**
 * Digests of rows, keyed: whoever may choose keys and values cannot make two rows, or two sums of rows, look alike without
 * the secret. BLAKE3 with the secret in front is a keyed hash: it does not let messages be extended (its paper, section 6).
 */
export class RowDigester {
  readonly #hasher: Hasher;
  readonly #secretBytes: number;
  #scratch: Uint8Array;

  constructor(hasher: Hasher, secret: Uint8Array) {
    this.#hasher = hasher;
    this.#secretBytes = secret.length;
    this.#scratch = new Uint8Array(1024);
    this.#scratch.set(secret, 0);
  }

  /** `head` has the hashes of the values in it. What is local to a node (sequence, minted) is not in the digest. */
  digest(namespace: number, key: Uint8Array, head: Uint8Array): RowDigest {
    const at = this.#secretBytes;
    const length = at + FIXED_BYTES + key.length + head.length;
    if (length > this.#scratch.length) this.#grow(length * 2);
    const bytes = this.#scratch;
    writeU32(bytes, at, namespace);
    bytes[at + 4] = key.length >>> 8;
    bytes[at + 5] = key.length;
    bytes.set(key, at + FIXED_BYTES);
    bytes.set(head, at + FIXED_BYTES + key.length);
    return digestFromBytes(this.#hasher.hash128(bytes.subarray(0, length)));
  }

  #grow(length: number): void {
    const larger = new Uint8Array(length);
    larger.set(this.#scratch.subarray(0, this.#secretBytes));
    this.#scratch = larger;
  }
}

export function digestFromBytes(bytes: Uint8Array): RowDigest {
  return {
    w0: wordAt(bytes, 0),
    w1: wordAt(bytes, 4),
    w2: wordAt(bytes, 8),
    w3: wordAt(bytes, 12),
  };
}

/** 16 bytes, big-endian. */
export function digestToBytes(digest: RowDigest): Uint8Array {
  const bytes = new Uint8Array(DIGEST_BYTES);
  writeU32(bytes, 0, digest.w0);
  writeU32(bytes, 4, digest.w1);
  writeU32(bytes, 8, digest.w2);
  writeU32(bytes, 12, digest.w3);
  return bytes;
}

export function equalDigests(a: RowDigest, b: RowDigest): boolean {
  return a.w0 === b.w0 && a.w1 === b.w1 && a.w2 === b.w2 && a.w3 === b.w3;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    ((bytes[at] as number) << 24) |
    ((bytes[at + 1] as number) << 16) |
    ((bytes[at + 2] as number) << 8) |
    (bytes[at + 3] as number)
  );
}
