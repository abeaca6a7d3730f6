import { describe, expect, test } from "bun:test";
import { ByteReader } from "../../src/core/byte-reader.ts";
import { ByteWriter } from "../../src/core/byte-writer.ts";
import {
  base64Decode,
  base64Encode,
  base64UrlDecode,
  base64UrlEncode,
  byteString,
  bytesFromByteString,
  bytesToHex,
  compareBytes,
  concatBytes,
  equalBytes,
  hexToBytes,
  isWellFormed,
  utf8Decode,
  utf8Encode,
  utf8Length,
} from "../../src/core/bytes.ts";
import { FormatError } from "../../src/core/errors.ts";

describe("utf8", () => {
  test("a byte order mark survives decoding", () => {
    const text = "\ufeffkey";
    expect(utf8Decode(utf8Encode(text))).toBe(text);
  });

  test("invalid, over-long, surrogate and truncated sequences are refused", () => {
    for (const hex of ["ff", "c0af", "eda080", "e282", "f8888080", "80"]) {
      expect(() => utf8Decode(hexToBytes(hex))).toThrow(TypeError);
    }
  });

  test("length is that of the encoding, short or long, at every width", () => {
    for (const text of ["", "a", "é", "€", "😀", "😀".repeat(40), "a".repeat(48), "a".repeat(49)]) {
      expect(utf8Length(text)).toBe(utf8Encode(text).length);
      expect(utf8Decode(utf8Encode(text))).toBe(text);
    }
  });

  test("a lone surrogate is not well-formed", () => {
    expect(isWellFormed("a\ud800")).toBe(false);
    expect(isWellFormed("\udc00\ud800")).toBe(false);
    expect(isWellFormed("😀")).toBe(true);
  });
});

describe("base64", () => {
  test("the vectors of RFC 4648 section 10", () => {
    const vectors = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
    vectors.forEach((text, length) => {
      const bytes = utf8Encode("foobar".slice(0, length));
      expect(base64Encode(bytes)).toBe(text);
      expect(base64Decode(text)).toEqual(bytes);
      expect(base64UrlEncode(bytes)).toBe(text.replaceAll("=", ""));
      expect(base64UrlDecode(text.replaceAll("=", ""))).toEqual(bytes);
    });
  });

  test("the alphabets differ in their last two digits only", () => {
    const bytes = hexToBytes("fbeff0ffff");
    expect(base64Encode(bytes)).toBe("++/w//8=");
    expect(base64UrlEncode(bytes)).toBe("--_w__8");
  });

  test("standard form refuses missing padding, white space, stray bits and foreign digits", () => {
    for (const text of [
      "Zg",
      "Zg=",
      "Z===",
      "====",
      "Zg= =",
      "Zm9v\n",
      "Zh==",
      "Zm9=",
      "Zm9-",
      "Zg==Zg==",
      "Zm9\u0141",
    ]) {
      expect(() => base64Decode(text)).toThrow(TypeError);
    }
  });

  test("url form refuses padding, stray bits and foreign digits", () => {
    for (const text of ["Zg==", "Z", "Zh", "Zm9", "Zm9+", "Zm 9"]) {
      expect(() => base64UrlDecode(text)).toThrow(TypeError);
    }
  });
});

describe("hex and byte strings", () => {
  test("hex is lower case, whole bytes only", () => {
    expect(bytesToHex(hexToBytes("00ff7f80"))).toBe("00ff7f80");
    for (const text of ["0", "0G", "FF", "+1", " 1"]) {
      expect(() => hexToBytes(text)).toThrow(TypeError);
    }
  });

  test("a byte string holds every byte and refuses wider characters", () => {
    const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => i & 255);
    expect(bytesFromByteString(byteString(bytes))).toEqual(bytes);
    expect(() => bytesFromByteString("\u0100")).toThrow(TypeError);
  });

  test("bytes compare as unsigned numbers, a prefix first", () => {
    const ordered = ["", "00", "00ff", "01", "7f", "80", "ff", "ff00"].map(hexToBytes);
    for (let i = 0; i < ordered.length; i++) {
      for (let j = 0; j < ordered.length; j++) {
        const [a, b] = [ordered[i] as Uint8Array, ordered[j] as Uint8Array];
        expect(Math.sign(compareBytes(a, b))).toBe(Math.sign(i - j));
        expect(equalBytes(a, b)).toBe(i === j);
      }
    }
    expect(concatBytes(...ordered)).toEqual(hexToBytes("0000ff017f80ffff00"));
  });
});

describe("ByteWriter and ByteReader", () => {
  test("what one writes the other reads, across growth", () => {
    const writer = new ByteWriter(1);
    writer.u8(255);
    writer.u16(0xfffe);
    writer.u32(0xfffffffd);
    writer.varint(Number.MAX_SAFE_INTEGER);
    writer.text("é😀");
    writer.byteString("\u00ff\u0000");
    writer.bytes(hexToBytes("0102"));
    const reader = new ByteReader(writer.finish());
    expect(reader.u8()).toBe(255);
    expect(reader.u16()).toBe(0xfffe);
    expect(reader.u32()).toBe(0xfffffffd);
    expect(reader.varint()).toBe(Number.MAX_SAFE_INTEGER);
    expect(reader.text(6)).toBe("é😀");
    expect(bytesToHex(reader.bytes(4))).toBe("ff000102");
    reader.expectEnd();
  });

  test("reading past the end and leaving bytes over are format errors", () => {
    const three = hexToBytes("000102");
    expect(() => new ByteReader(three).u32()).toThrow(FormatError);
    expect(() => new ByteReader(three).bytes(4)).toThrow(FormatError);
    expect(() => new ByteReader(three).expectEnd()).toThrow(FormatError);
    expect(() => new ByteReader(hexToBytes("05")).text(10)).toThrow(FormatError);
  });

  test("a varint has one form only", () => {
    for (const hex of [
      "8000",
      "808000",
      "ff00",
      "8080808080808000",
      "ffffffffffffff7f",
      "ffffffffffffffff01",
    ]) {
      expect(() => new ByteReader(hexToBytes(hex)).varint()).toThrow(FormatError);
    }
    expect(new ByteReader(hexToBytes("ffffffffffffff0f")).varint()).toBe(Number.MAX_SAFE_INTEGER);
    expect(() => new ByteReader(hexToBytes("ffffffffffffff10")).varint()).toThrow(FormatError);
  });

  test("text beyond its limit or with invalid UTF-8 is refused", () => {
    expect(() => new ByteReader(hexToBytes("026161")).text(1)).toThrow(FormatError);
    expect(() => new ByteReader(hexToBytes("01ff")).text(1)).toThrow(FormatError);
  });
});
