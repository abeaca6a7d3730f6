import { equalBytes } from "../core/bytes.ts";
import type { Hasher } from "../core/hasher.ts";
import type { DiskRowHead } from "../env/disk.ts";
import { MINTED_BYTES, writeMinted, writeU32 } from "./row-bytes.ts";

/** Namespace 4, partition 4, sequence 8, minted 26, key length 2. */
const MINTED_AT = 16;
const KEY_LENGTH_AT = MINTED_AT + MINTED_BYTES;
const FIXED_BYTES = KEY_LENGTH_AT + 2;
const TWO_POW_32 = 2 ** 32;

/**
 * The checksum of a row but for its body, whose values the head carries the hashes of. It covers the columns that never
 * leave the node too: a rotten `minted` would let a coordinator mint a dot twice.
 */
export class RowChecksum {
  readonly #hasher: Hasher;
  // Rows are checked one at a time, so one buffer serves all.
  #scratch = new Uint8Array(1024);

  constructor(hasher: Hasher) {
    this.#hasher = hasher;
  }

  /** 8 bytes, big-endian. */
  sum(row: Omit<DiskRowHead, "headSum">): Uint8Array {
    const length = FIXED_BYTES + row.key.length + row.head.length;
    if (length > this.#scratch.length) this.#scratch = new Uint8Array(length * 2);
    const bytes = this.#scratch;
    writeU32(bytes, 0, row.namespace);
    writeU32(bytes, 4, row.partition);
    writeU32(bytes, 8, Math.floor(row.sequence / TWO_POW_32));
    writeU32(bytes, 12, row.sequence);
    if (row.minted === null) bytes.fill(0, MINTED_AT, KEY_LENGTH_AT);
    else writeMinted(bytes, MINTED_AT, row.minted);
    bytes[KEY_LENGTH_AT] = row.key.length >>> 8;
    bytes[KEY_LENGTH_AT + 1] = row.key.length;
    bytes.set(row.key, FIXED_BYTES);
    bytes.set(row.head, FIXED_BYTES + row.key.length);
    const { hi, lo } = this.#hasher.hash64(bytes.subarray(0, length));
    const sum = new Uint8Array(8);
    writeU32(sum, 0, hi);
    writeU32(sum, 4, lo);
    return sum;
  }

  matches(row: DiskRowHead): boolean {
    return equalBytes(this.sum(row), row.headSum);
  }
}
