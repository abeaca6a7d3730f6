import { assert } from "../core/assert.ts";
import { EPOCH_LEASE, EPOCH_MAX } from "../core/limits.ts";
import type { Disk } from "../env/disk.ts";
import { EPOCH_LEASE_META } from "./meta-names.ts";
import { writeU32 } from "./row-bytes.ts";

const LEASE_BYTES = 8;
const TWO_POW_32 = 2 ** 32;

/**
 * Epochs of this database, each given out once. They are leased in blocks: the end of the block is durable before a dot
 * of it leaves the node, and every open goes on at the end of the last block, whatever of it was used
 * (reliability.md 3 A3).
 */
export class EpochLease {
  /** Where this start begins: whatever was given out before is below it. */
  readonly first: number;
  readonly #disk: Disk;
  #next: number;
  /** Exclusive; the lease of the open turn may be ahead of the durable one. */
  #end: number;
  #durableEnd: number;

  constructor(disk: Disk) {
    this.#disk = disk;
    const stored = disk.getMeta(EPOCH_LEASE_META);
    this.#next = stored === undefined ? 1 : decode(stored);
    this.first = this.#next;
    this.#end = this.#next;
    this.#durableEnd = this.#next;
  }

  /** The end of the durable lease, exclusive: every epoch that was ever given out is below it. */
  get end(): number {
    return this.#durableEnd;
  }

  get exhausted(): boolean {
    return this.#next >= this.#end;
  }

  /** Leases the next block, or, while one is not used up, a longer one. REQUIRES an open transaction. */
  renew(): void {
    const end = this.#next + EPOCH_LEASE;
    assert(end <= EPOCH_MAX, "epochs are used up: start with a new data directory");
    this.#disk.setMeta(EPOCH_LEASE_META, encode(end));
    this.#end = end;
  }

  /** REQUIRES: not exhausted. */
  take(): number {
    assert(this.#next < this.#end, "an epoch must be leased before it is taken");
    return this.#next++;
  }

  committed(): void {
    this.#durableEnd = this.#end;
  }

  /** The lease of the turn is undone; the epochs taken from it are skipped, for simplicity's sake. */
  rolledBack(): void {
    this.#end = this.#durableEnd;
  }
}

function encode(end: number): Uint8Array {
  const bytes = new Uint8Array(LEASE_BYTES);
  writeU32(bytes, 0, Math.floor(end / TWO_POW_32));
  writeU32(bytes, 4, end);
  return bytes;
}

function decode(bytes: Uint8Array): number {
  assert(bytes.length === LEASE_BYTES, "an epoch lease has 8 bytes");
  let end = 0;
  for (const byte of bytes) end = end * 256 + byte;
  return end;
}
