/** The bytes of a row's local columns: in its checksum, and in front of its head in the database. */
import { passingBytes } from "../core/slab.ts";
import type { DiskRowHead, Minted } from "../env/disk.ts";

/** Actor 16, epoch 4, counter 6 (COUNTER_MAX is 2^48, which no one reaches), big-endian; all zero for none. */
export const MINTED_BYTES = 26;
const SUM_BYTES = 8;
/** What stands in front of the head in its column. */
export const LOCAL_BYTES = SUM_BYTES + MINTED_BYTES;
const TWO_POW_32 = 2 ** 32;

/** The column `head`: checksum, minted and head in one, because each array of bytes costs the runtime more than its bytes. */
export function packHead(row: DiskRowHead): Uint8Array {
  const bytes = passingBytes.take(LOCAL_BYTES + row.head.length);
  bytes.set(row.headSum, 0);
  if (row.minted !== null) writeMinted(bytes, SUM_BYTES, row.minted);
  bytes.set(row.head, LOCAL_BYTES);
  return bytes;
}

/** What packHead wrote, as views. Damage shows in the checksum: here anything of any length is taken apart. */
export function unpackHead(bytes: Uint8Array): Pick<DiskRowHead, "headSum" | "minted" | "head"> {
  return {
    headSum: bytes.subarray(0, SUM_BYTES),
    minted: readMinted(bytes, SUM_BYTES),
    head: bytes.subarray(LOCAL_BYTES),
  };
}

/** Writes MINTED_BYTES bytes. REQUIRES: a counter of 1 or more, as all dots have. */
export function writeMinted(bytes: Uint8Array, at: number, minted: Minted): void {
  for (let i = 0; i < 16; i++) bytes[at + i] = minted.actor.charCodeAt(i);
  writeU32(bytes, at + 16, minted.epoch);
  const high = Math.floor(minted.counter / TWO_POW_32);
  bytes[at + 20] = high >>> 8;
  bytes[at + 21] = high;
  writeU32(bytes, at + 22, minted.counter);
}

function readMinted(bytes: Uint8Array, at: number): Minted | null {
  const high = (bytes[at + 20] ?? 0) * 256 + (bytes[at + 21] ?? 0);
  const counter = high * TWO_POW_32 + readU32(bytes, at + 22);
  if (counter === 0) return null;
  let actor = "";
  for (let i = 0; i < 16; i++) actor += String.fromCharCode(bytes[at + i] ?? 0);
  return { actor, epoch: readU32(bytes, at + 16), counter };
}

export function writeU32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}

function readU32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) |
      ((bytes[at + 1] ?? 0) << 16) |
      ((bytes[at + 2] ?? 0) << 8) |
      (bytes[at + 3] ?? 0)) >>>
    0
  );
}
