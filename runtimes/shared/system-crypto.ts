import { createHmac, hash, hkdfSync, timingSafeEqual } from "node:crypto";
import type { Crypto } from "../../src/env/crypto.ts";

/** A Buffer would do, but its `slice` is a view where everyone expects a copy. */
function plain(buffer: Buffer): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
}

/** node:crypto exists, synchronous and native, on Node, Bun and Deno alike. */
export const systemCrypto: Crypto = {
  sha256: (bytes) => plain(hash("sha256", bytes, "buffer")),
  hmacSha256: (key, ...parts) => {
    const mac = createHmac("sha256", key);
    for (const part of parts) mac.update(part);
    return plain(mac.digest());
  },
  hkdfSha256: (key, salt, info, bytes) =>
    new Uint8Array(hkdfSync("sha256", key, salt, info, bytes)),
  equal: (a, b) => a.byteLength === b.byteLength && timingSafeEqual(a, b),
};
