/** Synchronous on purpose: `crypto.subtle` runs on a thread pool and would make a seed not replay. */
export interface Crypto {
  /** 32 bytes. */
  sha256(bytes: Uint8Array): Uint8Array;
  /** 32 bytes. Parts are hashed one after another, without separators: the caller frames them. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  /** RFC 5869 with SHA-256. */
  hkdfSha256(key: Uint8Array, salt: Uint8Array, info: string, bytes: number): Uint8Array;
  /** Compares without leaking where the difference is; false when lengths differ. */
  equal(a: Uint8Array, b: Uint8Array): boolean;
}
