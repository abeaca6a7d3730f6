import { beforeAll, describe, expect, test } from "bun:test";
import { bytesToHex } from "../../src/core/bytes.ts";
import type { Hasher } from "../../src/core/hasher.ts";
import { parseNamespaceId } from "../../src/core/ids.ts";
import { makeKey, partitionOf } from "../../src/core/key.ts";
import { PARTITIONS_DEFAULT, PARTITIONS_MAX, PARTITIONS_MIN } from "../../src/core/limits.ts";
import { expectGolden } from "../support/golden.ts";
import { createTestHasher } from "../support/hasher.ts";

let hasher: Hasher;
beforeAll(async () => {
  hasher = await createTestHasher();
});

describe("makeKey", () => {
  test("one text in two namespaces is two keys", () => {
    const a = makeKey(hasher, parseNamespaceId(1), "k");
    const b = makeKey(hasher, parseNamespaceId(2), "k");
    expect(a.id).not.toBe(b.id);
    expect(a.hash).not.toEqual(b.hash);
    expect(bytesToHex(a.bytes)).toBe("6b");
  });

  test("the namespace id is hashed as four bytes, so no other pair looks the same", () => {
    const wide = makeKey(hasher, parseNamespaceId(0x01020304), "k");
    const shifted = makeKey(hasher, parseNamespaceId(0x02030401), "k");
    expect(wide.hash).not.toEqual(shifted.hash);
  });

  test("hashes and partitions are those of the golden file on every runtime", () => {
    const texts = ["a", "cart:7", "é", "😀", "\u0000", "..", "x".repeat(512)];
    const lines = [1, 2, 0xffff_ffff].flatMap((id) =>
      texts.map((text) => {
        const { hash } = makeKey(hasher, parseNamespaceId(id), text);
        const name = text.length > 20 ? `"x" x ${text.length}` : JSON.stringify(text);
        const hex = [hash.hi, hash.lo].map((half) => half.toString(16).padStart(8, "0")).join("");
        const places = [PARTITIONS_MIN, PARTITIONS_DEFAULT, PARTITIONS_MAX].map((q) =>
          partitionOf(hash, q),
        );
        return `${id} ${name} ${hex} ${places.join(" ")}`;
      }),
    );
    expectGolden("key-hashes.txt", `namespace key hash Q=16 Q=1024 Q=16384\n${lines.join("\n")}\n`);
  });
});

describe("partitionOf", () => {
  test("is the top bits of the hash, so doubling Q halves each partition", () => {
    expect(partitionOf({ hi: 0xffff_ffff, lo: 0 }, 16384) as number).toBe(16383);
    expect(partitionOf({ hi: 0x8000_0000, lo: 0 }, 16) as number).toBe(8);
    expect(partitionOf({ hi: 0, lo: 0xffff_ffff }, 16) as number).toBe(0);
    for (let i = 0; i < 200; i++) {
      const { hash } = makeKey(hasher, parseNamespaceId(1), `key-${i}`);
      expect(partitionOf(hash, 1024) >> 1).toBe(partitionOf(hash, 512) as number);
    }
  });

  test("spreads keys over all partitions", () => {
    const counts = new Array<number>(16).fill(0);
    for (let i = 0; i < 16_000; i++) {
      const { hash } = makeKey(hasher, parseNamespaceId(1), `user:${i}`);
      const partition = partitionOf(hash, 16);
      counts[partition] = (counts[partition] ?? 0) + 1;
    }
    // Binomial with mean 1000: six standard deviations are 184.
    for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(184);
  });
});
