/** Chance as an argument: cryptographic in production, seeded in the simulator. */
export interface Random {
  bytes(count: number): Uint8Array;
  /** An integer 0 .. limit-1; limit at most 2^32. */
  below(limit: number): number;
}
