import { Buffer } from "node:buffer";

const SLAB_BYTES = 65_536;
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let slabAt = 0;

/**
 * Bytes for one write to a socket, not zero: fill them. Cut from a large array, as Node does for up to 4 KiB: one of its
 * own for each request costs more than its bytes.
 */
export function takeBytes(length: number): Buffer {
  if (slabAt + length > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, length));
    slabAt = 0;
  }
  const bytes = slab.subarray(slabAt, slabAt + length);
  slabAt += length;
  return bytes;
}
