import { describe, expect, test } from "bun:test";
import { decode, encode } from "@msgpack/msgpack";
import fc from "fast-check";
import { MsgpackReader } from "../../src/cluster/msgpack-reader.ts";
import { MsgpackWriter } from "../../src/cluster/msgpack-writer.ts";
import type { WireFields, WireValue } from "../../src/cluster/peer-channel.ts";
import {
  decodeAnswer,
  decodeRequest,
  decodeWire,
  encodeAnswer,
  encodeRequest,
  UnsupportedVersionError,
} from "../../src/cluster/peer-codec.ts";
import { bytesToHex, equalBytes, hexToBytes } from "../../src/core/bytes.ts";
import { FormatError } from "../../src/core/errors.ts";

const { value: wireValue } = fc.letrec<{ value: WireValue }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small", maxDepth: 6 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }),
    fc.string({ unit: "grapheme", maxLength: 40 }),
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie("value"), { maxLength: 20 }),
    fc.dictionary(
      fc.string({ unit: "grapheme" }).filter((name) => name !== "__proto__"),
      tie("value"),
      { maxKeys: 5, noNullPrototype: true },
    ),
  ),
}));

/** Floats without a fraction come back as integers, and -0 as 0: the wire knows only numbers. */
function normal(value: WireValue): WireValue {
  if (Object.is(value, -0)) return 0;
  if (value instanceof Uint8Array) return [...value];
  if (Array.isArray(value)) return (value as readonly WireValue[]).map(normal);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, normal(item)]));
}

/** What decoding the bytes does: nothing else than a value or a FormatError may come of them. */
function attempt(bytes: Uint8Array): "value" | "refused" {
  try {
    decodeWire(bytes);
    return "value";
  } catch (error) {
    if (error instanceof FormatError) return "refused";
    throw error;
  }
}

describe("the writer", () => {
  const written = (value: WireValue): Uint8Array => {
    const writer = new MsgpackWriter(16);
    writer.start();
    writer.value(value);
    return writer.finish();
  };

  test("writes the very bytes of @msgpack/msgpack", () => {
    fc.assert(
      fc.property(wireValue, (value) => {
        expect(bytesToHex(written(value))).toBe(bytesToHex(encode(value)));
      }),
      { numRuns: 300 },
    );
  });

  test("writes every length and every number in the library's form, at each edge", () => {
    const lengths = [0, 1, 15, 16, 31, 32, 47, 48, 255, 256, 65_535, 65_536];
    const values: WireValue[] = [-0, 0.5, -1e300, Number.MIN_SAFE_INTEGER, 2 ** 60];
    for (let power = 4; power <= 53; power++) {
      for (const edge of [2 ** power - 1, 2 ** power]) values.push(edge, -edge, -edge - 1);
    }
    for (const length of lengths) {
      values.push("a".repeat(length), "é".repeat(length), `${"a".repeat(length)}é`);
      values.push(new Uint8Array(length).fill(7), new Array<number>(length).fill(1));
      values.push(Object.fromEntries(Array.from({ length }, (_, i) => [`name-${i}`, i])));
    }
    for (const value of values) {
      const bytes = encode(value);
      expect(equalBytes(written(value), bytes)).toBe(true);
      expect(equalBytes(encode(decodeWire(bytes)), bytes)).toBe(true);
    }
  });

  test("copies what is the same object as the value before, and nothing else", () => {
    const fields: WireFields = [new Uint8Array([1, 2, 3]), "text"];
    const alike: WireFields = [new Uint8Array([1, 2, 3]), "text"];
    const flat: WireFields = [
      0,
      fields,
      0,
      fields,
      0,
      alike,
      1,
      ["code", "message", null],
      0,
      fields,
    ];
    expect(bytesToHex(encodeAnswer(flat))).toBe(bytesToHex(encode([1, ...flat])));
  });

  test("refuses what is no wire value and what is nested too deep", () => {
    let deep: WireValue = 1;
    for (let i = 0; i < 17; i++) deep = [deep];
    expect(() => written(deep)).toThrow();
    expect(() => written(undefined as unknown as WireValue)).toThrow();
    expect(() => written([() => 1] as unknown as WireValue)).toThrow();
  });
});

describe("the reader", () => {
  test("reads what the library reads, numbers of any form too", () => {
    for (const hex of [
      "cf0020000000000000",
      "d3ffe0000000000000",
      "d2ffffff00",
      "d1ff00",
      "d080",
      "ca3fc00000",
      "cb3ff8000000000000",
      "cd0001",
      "dc000101",
      "de0001a16101",
      "d90161",
      "da000161",
      "db0000000161",
      "e0",
      "ff",
    ]) {
      expect([hex, decodeWire(hexToBytes(hex))]).toEqual([
        hex,
        decode(hexToBytes(hex)) as WireValue,
      ]);
    }
  });

  test("gives equal neighbours among the answers one object, and takes one apart that only begins alike", () => {
    const flat: WireFields = [
      0,
      [1, "ab"],
      0,
      [1, "ab"],
      0,
      [1, "ac"],
      0,
      [1],
      0,
      [1, "ab"],
      0,
      [1, "ab"],
    ];
    const decoded = decodeAnswer(encode([1, ...flat]), 6);
    expect(decoded).toEqual(flat);
    expect(decoded[3]).toBe(decoded[1] as WireValue);
    const cut = encode([1, 0, ["abcdef"], 0, ["abcdef"]]);
    expect(() => decodeAnswer(cut.subarray(0, cut.length - 1), 2)).toThrow(FormatError);
  });
});

describe("what is read strictly", () => {
  test("passes whatever the encoder makes, which then decodes to the same value", () => {
    fc.assert(
      fc.property(wireValue, (value) => {
        expect(normal(decodeWire(encode(value)))).toEqual(normal(value));
      }),
      { numRuns: 200 },
    );
  });

  test("agrees with the decoder on every single first byte", () => {
    for (let head = 0; head < 256; head++) {
      const padded = new Uint8Array(20);
      padded[0] = head;
      // With zeros behind it every type is complete at some length; nothing may be accepted twice.
      const accepted = Array.from({ length: 20 }, (_, i) => attempt(padded.slice(0, i + 1))).filter(
        (outcome) => outcome === "value",
      );
      const extension = head >= 0xc7 && head <= 0xc9;
      const fixedExtension = head >= 0xd4 && head <= 0xd8;
      // A non-empty map of one byte keys needs text keys, and zeros are numbers.
      const fullMap = head > 0x80 && head < 0x90;
      const textLongerThanBytes = head > 0xb3 && head < 0xc0;
      const refused =
        extension || fixedExtension || fullMap || head === 0xc1 || textLongerThanBytes;
      expect([head, accepted.length]).toEqual([head, refused ? 0 : 1]);
    }
  });

  test("never lets changed bytes do anything but decode or be refused", () => {
    fc.assert(
      fc.property(
        wireValue,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        fc.nat(),
        (value, changes, cut) => {
          const bytes = encode(value).slice();
          for (const [at, byte] of changes) bytes[at % bytes.length] = byte;
          attempt(bytes);
          attempt(bytes.subarray(0, cut % (bytes.length + 1)));
        },
      ),
      { numRuns: 400 },
    );
  });

  test("never lets random bytes do anything but decode or be refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void attempt(bytes)),
      { numRuns: 400 },
    );
  });

  test("refuses lengths that the bytes do not keep, before anything is allocated", () => {
    for (const hostile of [
      "ddffffffff", // an array of 2^32-1
      "ddffffffff00",
      "dfffffffff", // a map of 2^32-1
      "dbffffffff", // a string
      "c6ffffffff", // bytes
      "dcffff".repeat(20), // arrays in arrays, each within the limit of the level above
      "92".repeat(20_000),
    ]) {
      expect(() => decodeWire(hexToBytes(hostile))).toThrow(FormatError);
    }
  });

  test("counts all values together: arrays side by side cannot exceed the budget", () => {
    const many = new Uint8Array(70_003).fill(0xc0);
    many.set([0xdd, 0, 1, 0x11, 0x6e], 0);
    const read = (elementsMax: number) => () =>
      new MsgpackReader(many.subarray(0, 5 + 69_998), {
        ...{ elementsMax, depthMax: 16, textBytesMax: 100 },
      }).value(0);
    expect(read(69_999)).not.toThrow();
    expect(read(69_998)).toThrow(FormatError);
  });

  test("refuses what is nested too deep", () => {
    const nested = (depth: number): Uint8Array => {
      const bytes = new Uint8Array(depth + 1).fill(0x91);
      bytes[depth] = 0xc0;
      return bytes;
    };
    expect(attempt(nested(16))).toBe("value");
    expect(attempt(nested(17))).toBe("refused");
    expect(attempt(nested(5_000))).toBe("refused");
  });

  test("refuses a second value behind the first, other keys than text, and text that is not UTF-8", () => {
    for (const hostile of ["c0c0", "8101c0", "81c0c0", "a1ff", "a2c080", "a3eda080", "81a1ffc0"]) {
      expect(() => decodeWire(hexToBytes(hostile))).toThrow(FormatError);
    }
    expect(() => decodeWire(hexToBytes("81a95f5f70726f746f5f5fc0"))).toThrow(FormatError);
  });
});

describe("the envelope", () => {
  test("has the bytes of the worked example in docs/protocol.md", () => {
    const request = encodeRequest("d".repeat(32), [1, 250, [7, new Uint8Array([1, 2])]]);
    expect(bytesToHex(request)).toBe(`9501d920${"64".repeat(32)}01ccfa9207c4020102`);
    const answer = encodeAnswer([0, [42], 1, ["stale_layout", "newer", null]]);
    expect(bytesToHex(answer)).toBe("950100912a0193ac7374616c655f6c61796f7574a56e65776572c0");
  });

  test("carries messages and answers there and back", () => {
    fc.assert(
      fc.property(
        fc.array(fc.array(wireValue, { maxLength: 5 }), { maxLength: 20 }),
        (messages) => {
          const flat: WireValue[] = messages.flatMap((fields, i) => [i, 100 + i, fields]);
          const request = decodeRequest(encodeRequest("abc", flat));
          expect(request.clusterId).toBe("abc");
          expect(normal(request.flat)).toEqual(normal(flat));
          const answers: WireValue[] = messages.flatMap((fields) => [0, fields]);
          const body = encodeAnswer(answers);
          expect(normal(decodeAnswer(body, messages.length))).toEqual(normal(answers));
        },
      ),
      { numRuns: 100 },
    );
  });

  test("refuses requests of another shape", () => {
    const refused: WireFields[] = [
      [],
      [1],
      [1, 2],
      [1, "c", 1],
      [1, "c", 1, 100],
      [1, "c", 1, 100, null],
      [1, "c", -1, 100, []],
      [1, "c", 1, -1, []],
      [1, "c", 1.5, 100, []],
      [1, "c", "write", 100, []],
      [1, "c", 1, 100, {}],
      [1, "c", ...Array.from({ length: 1_025 }, () => [1, 1, []]).flat()],
    ];
    for (const envelope of refused.slice(1)) {
      expect(() => decodeRequest(encode(envelope))).toThrow(FormatError);
    }
    for (const envelope of [[], [2, "c"], ["1", "c"]]) {
      expect(() => decodeRequest(encode(envelope))).toThrow(UnsupportedVersionError);
    }
    for (const other of [null, 1, "x", { 0: 1 }]) {
      expect(() => decodeRequest(encode(other))).toThrow(FormatError);
    }
  });

  test("refuses answers of another shape or number", () => {
    for (const envelope of [
      [1, 0],
      [1, 0, [], 0, []],
      [1, 2, []],
      [1, 0, null],
      [1, 1, []],
      [1, 1, ["code"]],
      [1, 1, [1, 2, null]],
      [1],
    ]) {
      expect(() => decodeAnswer(encode(envelope), 1)).toThrow(FormatError);
    }
  });

  test("does not keep the buffer of a large body", () => {
    const large = new Uint8Array(5 << 20).fill(1);
    const first = encodeRequest("c", [1, 1, [large]]);
    const second = encodeRequest("c", [1, 1, [7]]);
    expect(first.length).toBeGreaterThan(5 << 20);
    expect(second.buffer).not.toBe(first.buffer);
    expect(second.buffer.byteLength).toBeLessThan(100_000);
  });
});
