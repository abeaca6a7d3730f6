import { expect, test } from "bun:test";
import { utf8Encode } from "../../src/core/bytes.ts";
import { crc32 } from "../../src/storage/crc32.ts";

test("CRC-32 gives the check value of its catalogue entry, and of nothing 0", () => {
  expect(crc32(utf8Encode("123456789"))).toBe(0xcbf4_3926);
  expect(crc32(new Uint8Array(0))).toBe(0);
});
