import { utf8Encode } from "./bytes.ts";
import type { Hash64, Hasher } from "./hasher.ts";
import type { NamespaceId, PartitionId } from "./ids.ts";
import { passingBytes } from "./slab.ts";

/**
 * A key as it travels through the floors: parsed once, at the door. `text` is well-formed Unicode (1 to 512 UTF-8
 * bytes), `bytes` its UTF-8, `hash` the 64-bit hash of (namespace id, key) that places it on the ring.
 */
export interface Key {
  readonly namespace: NamespaceId;
  readonly text: string;
  readonly bytes: Uint8Array;
  readonly hash: Hash64;
  /** Unique per (namespace, key) in this process: the key of caches and maps. */
  readonly id: string;
}

/** REQUIRES: `text` has passed the checks of key-rules.ts. The namespace id is hashed as four big-endian bytes. */
export function makeKey(hasher: Hasher, namespace: NamespaceId, text: string): Key {
  const bytes = utf8Encode(text);
  const hash = hashOf(hasher, namespace, bytes);
  return { namespace, text, bytes, hash, id: `${namespace}/${text}` };
}

/** Of a key's bytes, as they are on the disk: those of a damaged row need not be text. */
export function hashOf(hasher: Hasher, namespace: number, bytes: Uint8Array): Hash64 {
  const hashed = passingBytes.take(4 + bytes.length);
  hashed[0] = namespace >>> 24;
  hashed[1] = namespace >>> 16;
  hashed[2] = namespace >>> 8;
  hashed[3] = namespace;
  hashed.set(bytes, 4);
  return hasher.hash64(hashed);
}

const TWO_POW_20 = 2 ** 20;
/** Places on the ring: the top 52 bits of a key's hash, which a number holds exactly. */
export const RING_PLACES = 2 ** 52;

/** Where the hash stands on the ring: its top 52 bits. Partition p of Q is [p * RING_PLACES / Q, (p + 1) * RING_PLACES / Q). */
export function placeOf(hash: Hash64): number {
  return hash.hi * TWO_POW_20 + (hash.lo >>> 12);
}

/** The top log2(Q) bits of the hash: the ring is cut into Q equal parts. REQUIRES: Q is a power of two, 16 to 16384. */
export function partitionOf(hash: Hash64, partitions: number): PartitionId {
  return (hash.hi >>> (32 - (31 - Math.clz32(partitions)))) as PartitionId;
}
