/** A 64-bit hash as two unsigned 32-bit halves: JavaScript numbers are exact only to 53 bits. */
export interface Hash64 {
  readonly hi: number;
  readonly lo: number;
}

/** Synchronous, deterministic, equal on all runtimes. The runtimes bring both (hash-wasm). */
export interface Hasher {
  /** xxHash64 with seed 0. Not cryptographic: who may choose the bytes can make two of them collide. */
  hash64(bytes: Uint8Array): Hash64;
  /** The first 16 bytes of BLAKE3: cryptographic. With a secret in front of the bytes it is a keyed hash. */
  hash128(bytes: Uint8Array): Uint8Array;
}
