import { describe, expect, test } from "bun:test";
import { Slab } from "../../src/core/slab.ts";

describe("a slab", () => {
  test("gives arrays that are zero, as long as asked for, and share no byte", () => {
    const slab = new Slab(64, 32);
    const taken = [0, 1, 31, 32, 32, 1, 33, 64, 65, 7].map((length) => {
      const bytes = slab.take(length);
      expect([...bytes]).toEqual(new Array(length).fill(0));
      return bytes;
    });
    for (const [i, bytes] of taken.entries()) bytes.fill(i + 1);
    for (const [i, bytes] of taken.entries()) {
      expect([...bytes]).toEqual(new Array(bytes.length).fill(i + 1));
    }
  });

  test("gives what is above its limit a buffer of its own, which ends with it", () => {
    const slab = new Slab(64, 32);
    expect(slab.take(33).buffer.byteLength).toBe(33);
    expect(slab.take(32).buffer.byteLength).toBe(64);
  });

  test("copies", () => {
    const slab = new Slab(64, 32);
    const source = new Uint8Array([1, 2, 3]);
    const copied = slab.copy(source);
    source.fill(9);
    expect([...copied]).toEqual([1, 2, 3]);
  });
});
