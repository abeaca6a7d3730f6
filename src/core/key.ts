import { utf8Encode } from "./bytes.ts";
import type { Hash64, Hasher } from "./hasher.ts";
import type { NamespaceId, PartitionId } from "./ids.ts";

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
  const hashed = new Uint8Array(4 + bytes.length);
  hashed[0] = namespace >>> 24;
  hashed[1] = namespace >>> 16;
  hashed[2] = namespace >>> 8;
  hashed[3] = namespace;
  hashed.set(bytes, 4);
  return { namespace, text, bytes, hash: hasher.hash64(hashed), id: `${namespace}/${text}` };
}

/** The top log2(Q) bits of the hash: the ring is cut into Q equal parts. REQUIRES: Q is a power of two, 16 to 16384. */
export function partitionOf(hash: Hash64, partitions: number): PartitionId {
  return (hash.hi >>> (32 - (31 - Math.clz32(partitions)))) as PartitionId;
}
