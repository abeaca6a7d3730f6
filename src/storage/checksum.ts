import { equalBytes, utf8Encode } from "../core/bytes.ts";
import type { Hasher } from "../core/hasher.ts";
import type { AsideRow, DiskRowHead } from "../env/disk.ts";
import { MINTED_BYTES, writeMinted, writeU32 } from "./row-bytes.ts";

/** Namespace 4, place 8, sequence 8, minted 26, and the lengths of key 2, shelf 2 and note 4. */
const MINTED_AT = 20;
const KEY_LENGTH_AT = MINTED_AT + MINTED_BYTES;
const SHELF_LENGTH_AT = KEY_LENGTH_AT + 2;
const NOTE_LENGTH_AT = SHELF_LENGTH_AT + 2;
const FIXED_BYTES = NOTE_LENGTH_AT + 4;
const NO_BYTES = new Uint8Array(0);
const TWO_POW_32 = 2 ** 32;

type Summed = Omit<DiskRowHead, "headSum"> & Partial<Pick<AsideRow, "shelf" | "note">>;

/**
 * The checksum of a row but for its body, whose values the head carries the hashes of. It covers the columns that never
 * leave the node too: a rotten `minted` would let a coordinator mint a dot twice. A row that is kept aside has its shelf and
 * note in it.
 */
export class RowChecksum {
  readonly #hasher: Hasher;
  // Rows are checked one at a time, so one buffer serves all.
  #scratch = new Uint8Array(1024);

  constructor(hasher: Hasher) {
    this.#hasher = hasher;
  }

  /** 8 bytes, big-endian. */
  sum(row: Summed): Uint8Array {
    const shelf = row.shelf === undefined ? NO_BYTES : utf8Encode(row.shelf);
    const note = row.note ?? NO_BYTES;
    const length = FIXED_BYTES + row.key.length + shelf.length + note.length + row.head.length;
    if (length > this.#scratch.length) this.#scratch = new Uint8Array(length * 2);
    const bytes = this.#scratch;
    writeU32(bytes, 0, row.namespace);
    writeU32(bytes, 4, Math.floor(row.place / TWO_POW_32));
    writeU32(bytes, 8, row.place);
    writeU32(bytes, 12, Math.floor(row.sequence / TWO_POW_32));
    writeU32(bytes, 16, row.sequence);
    if (row.minted === null) bytes.fill(0, MINTED_AT, KEY_LENGTH_AT);
    else writeMinted(bytes, MINTED_AT, row.minted);
    writeU16(bytes, KEY_LENGTH_AT, row.key.length);
    writeU16(bytes, SHELF_LENGTH_AT, shelf.length);
    writeU32(bytes, NOTE_LENGTH_AT, note.length);
    bytes.set(row.key, FIXED_BYTES);
    let at = FIXED_BYTES + row.key.length;
    if (shelf.length + note.length > 0) {
      bytes.set(shelf, at);
      bytes.set(note, at + shelf.length);
      at += shelf.length + note.length;
    }
    bytes.set(row.head, at);
    const { hi, lo } = this.#hasher.hash64(bytes.subarray(0, length));
    const sum = new Uint8Array(8);
    writeU32(sum, 0, hi);
    writeU32(sum, 4, lo);
    return sum;
  }

  matches(row: Summed & Pick<DiskRowHead, "headSum">): boolean {
    return equalBytes(this.sum(row), row.headSum);
  }
}

function writeU16(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 8;
  bytes[at + 1] = value;
}
