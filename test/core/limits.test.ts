import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import * as limits from "../../src/core/limits.ts";

test("every limit is a positive exact integer", () => {
  for (const value of Object.values(limits)) {
    expect(Number.isSafeInteger(value)).toBe(true);
    expect(value).toBeGreaterThan(0);
  }
});

test("every limit says in a comment what it is for", () => {
  const source = readFileSync(new URL("../../src/core/limits.ts", import.meta.url), "utf8");
  for (const name of Object.keys(limits)) {
    expect(source).toMatch(new RegExp(`\\*/\\nexport const ${name} `));
  }
});

test("Q is a power of two at its least, its most and by default", () => {
  const { PARTITIONS_MIN, PARTITIONS_MAX, PARTITIONS_DEFAULT } = limits;
  for (const q of [PARTITIONS_MIN, PARTITIONS_MAX, PARTITIONS_DEFAULT]) {
    expect(q & (q - 1)).toBe(0);
  }
});
