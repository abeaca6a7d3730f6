/** A 64-bit hash as two unsigned 32-bit halves: JavaScript numbers are exact only to 53 bits. */
export interface Hash64 {
  readonly hi: number;
  readonly lo: number;
}

/** Synchronous, deterministic, equal on all runtimes. The runtimes bring xxHash64 (hash-wasm). Not cryptographic. */
export interface Hasher {
  hash64(bytes: Uint8Array): Hash64;
}
