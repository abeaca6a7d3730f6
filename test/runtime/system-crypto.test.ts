import { describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { systemCrypto } from "../../runtimes/shared/system-crypto.ts";
import { bytesToHex, hexToBytes, utf8Encode } from "../../src/core/bytes.ts";

/** RFC 4231, sections 4.2 to 4.8: key, data, HMAC-SHA-256 (the fifth is cut to 128 bits there). */
const RFC_4231: readonly (readonly [Uint8Array, Uint8Array, string])[] = [
  [
    new Uint8Array(20).fill(0x0b),
    utf8Encode("Hi There"),
    "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
  ],
  [
    utf8Encode("Jefe"),
    utf8Encode("what do ya want for nothing?"),
    "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
  ],
  [
    new Uint8Array(20).fill(0xaa),
    new Uint8Array(50).fill(0xdd),
    "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
  ],
  [
    hexToBytes("0102030405060708090a0b0c0d0e0f10111213141516171819"),
    new Uint8Array(50).fill(0xcd),
    "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
  ],
  [
    new Uint8Array(20).fill(0x0c),
    utf8Encode("Test With Truncation"),
    "a3b6167473100ee06e0c796c2955552b",
  ],
  [
    new Uint8Array(131).fill(0xaa),
    utf8Encode("Test Using Larger Than Block-Size Key - Hash Key First"),
    "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
  ],
];

describe("system crypto", () => {
  test("HMAC-SHA-256 gives the values of RFC 4231", () => {
    for (const [key, data, want] of RFC_4231) {
      expect(bytesToHex(systemCrypto.hmacSha256(key, data)).slice(0, want.length)).toBe(want);
    }
  });

  test("HMAC-SHA-256 equals the runtime's own, whatever the lengths and however the data is cut", () => {
    for (const keyBytes of [0, 1, 32, 63, 64, 65, 200]) {
      for (const dataBytes of [0, 1, 55, 64, 1_000]) {
        const key = Uint8Array.from({ length: keyBytes }, (_, i) => 7 * i);
        const data = Uint8Array.from({ length: dataBytes }, (_, i) => 3 * i);
        const want = createHmac("sha256", key).update(data).digest("hex");
        const cut = dataBytes >> 1;
        const parts = [data.subarray(0, cut), data.subarray(cut)];
        expect(bytesToHex(systemCrypto.hmacSha256(key, ...parts))).toBe(want);
      }
    }
  });
});
