import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fromBase64, keyPath, toBase64, withQuery } from "../../src/client/wire.ts";

describe("key paths", () => {
  test.each([
    ["a", "/v1/kv/ns/a"],
    ["a/b", "/v1/kv/ns/a/b"],
    ["a b?#%+", "/v1/kv/ns/a%20b%3F%23%25%2B"],
    ["é/日", "/v1/kv/ns/%C3%A9/%E6%97%A5"],
    ["...", "/v1/kv/ns/..."],
    [".", "/v1/kv/ns?key=."],
    ["a/..", "/v1/kv/ns?key=a%2F.."],
    ["/a", "/v1/kv/ns?key=%2Fa"],
    ["a/", "/v1/kv/ns?key=a%2F"],
    ["a//b", "/v1/kv/ns?key=a%2F%2Fb"],
    ["a\\b", "/v1/kv/ns?key=a%5Cb"],
  ])("%j is reached at %s", (key, path) => {
    expect(keyPath("ns", key)).toBe(path);
  });

  test("no URL parser changes any of them", () => {
    const unit = fc.constantFrom("a", "/", ".", "\\", "%", "+", " ", "?", "#", "é", "\n", "😀");
    fc.assert(
      fc.property(fc.string({ unit, minLength: 1, maxLength: 12 }), (key) => {
        const path = keyPath("ns", key);
        const url = new URL(`http://h${path}`);
        expect(url.pathname + url.search).toBe(path);
        const inQuery = url.searchParams.get("key");
        expect(inQuery ?? decodeURIComponent(url.pathname.slice("/v1/kv/ns/".length))).toBe(key);
      }),
      { numRuns: 300 },
    );
  });

  test("a key without a UTF-8 form is refused before it is sent", () => {
    expect(() => keyPath("ns", "a\ud800")).toThrow("lone surrogate");
  });

  test("options join a path or another query, undefined ones are left out", () => {
    expect(withQuery("/a", { x: 1, y: undefined, z: "é&" })).toBe("/a?x=1&z=%C3%A9%26");
    expect(withQuery("/a?key=b", { sloppy: false })).toBe("/a?key=b&sloppy=false");
  });
});

test("base64 goes both ways, also for values larger than one chunk", () => {
  for (const length of [0, 1, 2, 3, 8191, 8192, 100_000]) {
    const bytes = Uint8Array.from({ length }, (_, i) => (i * 31) & 255);
    expect(toBase64(bytes)).toBe(Buffer.from(bytes).toString("base64"));
    expect(fromBase64(toBase64(bytes))).toEqual(bytes);
  }
});
