import type { Minted } from "../env/disk.ts";

/** Actor 16 bytes, epoch 4, counter 6 (COUNTER_MAX is 2^48, which no one reaches), big-endian. */
const MINTED_BYTES = 26;
const TWO_POW_32 = 2 ** 32;

/** The `minted` column. It stays on this node. */
export function encodeMinted(minted: Minted): Uint8Array {
  const bytes = new Uint8Array(MINTED_BYTES);
  writeMinted(bytes, 0, minted);
  return bytes;
}

/** Writes MINTED_BYTES bytes at `at` and returns where they end. */
export function writeMinted(bytes: Uint8Array, at: number, minted: Minted): number {
  for (let i = 0; i < 16; i++) bytes[at + i] = minted.actor.charCodeAt(i);
  writeU32(bytes, at + 16, minted.epoch);
  const high = Math.floor(minted.counter / TWO_POW_32);
  bytes[at + 20] = high >>> 8;
  bytes[at + 21] = high;
  writeU32(bytes, at + 22, minted.counter);
  return at + MINTED_BYTES;
}

/** What encodeMinted wrote. Damage shows in the row's checksum, so this asks only for the length. */
export function decodeMinted(bytes: Uint8Array): Minted {
  let actor = "";
  for (let i = 0; i < 16; i++) actor += String.fromCharCode(bytes[i] ?? 0);
  const high = (bytes[20] ?? 0) * 256 + (bytes[21] ?? 0);
  return { actor, epoch: readU32(bytes, 16), counter: high * TWO_POW_32 + readU32(bytes, 22) };
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
