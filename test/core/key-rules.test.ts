import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  checkContentType,
  checkKeyText,
  checkMetadataText,
  decodeKeyPath,
  decodeMetadata,
  encodeMetadata,
  isKeyTooLong,
  parseNamespaceName,
} from "../../src/core/key-rules.ts";

/** The decoded key, or undefined when it is refused. */
function keyOf(rawPath: string): string | undefined {
  const parsed = decodeKeyPath(rawPath);
  return parsed.ok ? parsed.text : undefined;
}

describe("decodeKeyPath", () => {
  test("decodes exactly once, leaves a plus alone, and keeps every slash", () => {
    expect(keyOf("cart:7")).toBe("cart:7");
    expect(keyOf("a%2541")).toBe("a%41");
    expect(keyOf("a+b%2Bc")).toBe("a+b+c");
    expect(keyOf("//a//b/")).toBe("//a//b/");
    expect(keyOf("a%2Fb")).toBe("a/b");
    expect(keyOf("%00%F0%9F%98%80")).toBe("\u0000😀");
    expect(keyOf("%ef%bb%bfk")).toBe("\ufeffk");
  });

  test("refuses malformed escapes and invalid UTF-8", () => {
    for (const raw of [
      "%",
      "%z",
      "%zz",
      "%4",
      "a%",
      "%C0%AF",
      "%ED%A0%80",
      "%FF",
      "%E2%82",
      "%80",
    ]) {
      expect(keyOf(raw)).toBe(undefined);
    }
  });

  test("refuses raw characters that cannot stand in a request target", () => {
    for (const raw of ["a b", "é", "a\tb", "a\nb", "a\u0000", "a?b", "a#b"]) {
      expect(keyOf(raw)).toBe(undefined);
    }
  });

  test("refuses dot segments and backslashes, however they are written, and names the other way", () => {
    for (const raw of [
      ".",
      "..",
      "a/..",
      "./a",
      "a/%2e/b",
      "a%2F..%2Fb",
      "%2E%2e",
      "a\\b",
      "a%5Cb",
    ]) {
      const parsed = decodeKeyPath(raw);
      expect(parsed.ok).toBe(false);
      if (!parsed.ok) expect(parsed.reason).toContain("?key=");
    }
    for (const raw of ["...", ".a", "a.", "a..b", "a/.b/c..", ".well-known/x"])
      expect(keyOf(raw)).toBe(raw);
  });

  test("takes 1 to 512 bytes of UTF-8, not characters", () => {
    expect(keyOf("")).toBe(undefined);
    expect(keyOf("a".repeat(512))).toBe("a".repeat(512));
    expect(keyOf("a".repeat(513))).toBe(undefined);
    expect(keyOf("%C3%A9".repeat(256))).toBe("é".repeat(256));
    expect(keyOf("%C3%A9".repeat(257))).toBe(undefined);
  });

  test("gives back every key that was percent-encoded, unless it must go through ?key=", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }), (text) => {
        const viaQuery = text.includes("\\") || /(^|\/)\.{1,2}(\/|$)/.test(text);
        expect(keyOf(encodeURIComponent(text))).toBe(viaQuery ? undefined : text);
      }),
      { numRuns: 200 },
    );
  });
});

describe("checkKeyText", () => {
  test("allows anything well-formed of 1 to 512 bytes, dot segments included", () => {
    for (const text of ["..", "a\\b", "\u0000", "é".repeat(256), " "])
      expect(checkKeyText(text)).toBe(null);
  });

  test("says what is wrong", () => {
    expect(checkKeyText("")).toContain("empty");
    expect(checkKeyText("é".repeat(257))).toContain("512 bytes");
    expect(checkKeyText("a\ud800")).toContain("surrogate");
    expect(isKeyTooLong("é".repeat(257))).toBe(true);
    expect(isKeyTooLong("é".repeat(256))).toBe(false);
  });
});

describe("parseNamespaceName", () => {
  test("takes 1 to 63 characters of a-z 0-9 _ -, beginning with a letter or digit", () => {
    for (const name of ["a", "0", "shop", "a_b-c", "a".repeat(63)]) {
      expect(parseNamespaceName(name)).toEqual({ ok: true, text: name });
    }
    for (const name of ["", "_a", "-a", "A", "a.b", "a/b", "é", "a\n", "a".repeat(64)]) {
      expect(parseNamespaceName(name).ok).toBe(false);
    }
  });
});

describe("metadata", () => {
  test("is JSON, percent-decoded once and kept as it was written", () => {
    expect(decodeMetadata("%7B%22a%22:%201%7D")).toEqual({ ok: true, text: '{"a": 1}' });
    expect(decodeMetadata("%22100%25%22")).toEqual({ ok: true, text: '"100%"' });
    expect(decodeMetadata("1")).toEqual({ ok: true, text: "1" });
  });

  test("refuses what is not JSON, not UTF-8, not encoded, or too long after decoding", () => {
    for (const header of ["", "%7B", "a", "%zz", "%22%FF%22", '{"a": 1}', '"é"']) {
      expect(decodeMetadata(header).ok).toBe(false);
    }
    expect(decodeMetadata(`%22${"%41".repeat(1022)}%22`).ok).toBe(true);
    expect(decodeMetadata(`%22${"%41".repeat(1023)}%22`).ok).toBe(false);
    expect(decodeMetadata(`%22${"%C3%A9".repeat(511)}%22`).ok).toBe(true);
    expect(decodeMetadata(`%22${"%C3%A9".repeat(512)}%22`).ok).toBe(false);
  });

  test("survives the way out and in again", () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 2 }), (text) => {
        if (checkMetadataText(text) !== null) return;
        const header = encodeMetadata(text);
        expect(/^[\x21-\x7e]+$/.test(header)).toBe(true);
        expect(decodeMetadata(header)).toEqual({ ok: true, text });
      }),
      { numRuns: 200 },
    );
  });
});

test("a content type is at most 256 bytes that a header may hold", () => {
  for (const text of ["", "text/plain; charset=utf-8", "a/b;\tc", "x".repeat(256)]) {
    expect(checkContentType(text)).toBe(null);
  }
  for (const text of ["a\nb", "a\r", "\u0000", "\u007f", "€", "x".repeat(257)]) {
    expect(checkContentType(text)).not.toBe(null);
  }
});
