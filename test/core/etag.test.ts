import { beforeAll, describe, expect, test } from "bun:test";
import { etagOf } from "../../src/core/etag.ts";
import type { Hasher } from "../../src/core/hasher.ts";
import { dotOf } from "../support/arbitraries.ts";
import { createTestHasher } from "../support/hasher.ts";

let hasher: Hasher;
beforeAll(async () => {
  hasher = await createTestHasher();
});

describe("etagOf", () => {
  const base = {
    kind: "value",
    dots: [dotOf(1, 0, 1), dotOf(2, 0, 1)],
    contentType: "text/plain",
    expiresAtMs: 0,
  } as const;

  test("is strong, quoted, 128 bits, and the same for the same representation", () => {
    expect(etagOf(hasher, base)).toMatch(/^"[0-9a-f]{32}"$/);
    expect(etagOf(hasher, base)).toBe(etagOf(hasher, structuredClone(base)));
    // The bytes of a running cluster must not change with an upgrade: every client would refetch everything.
    expect(etagOf(hasher, base)).toBe('"f18166228a3b4429d4df749510c53ade"');
  });

  test("differs with the kind, each dot, their order, the content type and the expiry", () => {
    const others = [
      base,
      { ...base, kind: "json" as const },
      { ...base, kind: "multipart" as const },
      { ...base, kind: "none" as const },
      { ...base, dots: [dotOf(2, 0, 1), dotOf(1, 0, 1)] },
      { ...base, dots: [dotOf(1, 0, 1)] },
      { ...base, dots: [dotOf(1, 1, 1), dotOf(2, 0, 1)] },
      { ...base, dots: [dotOf(1, 0, 2), dotOf(2, 0, 1)] },
      { ...base, contentType: "text/html" },
      { ...base, expiresAtMs: 1 },
    ].map((representation) => etagOf(hasher, representation));
    expect(new Set(others).size).toBe(others.length);
  });

  test("its two halves are not one hash twice", () => {
    const tag = etagOf(hasher, base);
    expect(tag.slice(1, 17)).not.toBe(tag.slice(17, 33));
  });
});
