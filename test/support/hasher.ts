import { createBLAKE3, createXXHash64 } from "hash-wasm";
import type { Hasher } from "../../src/core/hasher.ts";

/** The hashes that the runtimes bring, for tests of core: xxHash64 with seed 0, read as two big-endian halves, and BLAKE3. */
export async function createTestHasher(): Promise<Hasher> {
  const state = await createXXHash64();
  const blake3 = await createBLAKE3(128);
  return {
    hash64(bytes) {
      const digest = state.init().update(bytes).digest("binary");
      const view = new DataView(digest.buffer, digest.byteOffset, 8);
      return { hi: view.getUint32(0), lo: view.getUint32(4) };
    },
    hash128: (bytes) => blake3.init().update(bytes).digest("binary"),
  };
}
