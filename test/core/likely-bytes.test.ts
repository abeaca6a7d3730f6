import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { ByteReader } from "../../src/core/byte-reader.ts";
import { ByteWriter } from "../../src/core/byte-writer.ts";
import { FormatError } from "../../src/core/errors.ts";
import { actorIdFromBytes, meetActorId } from "../../src/core/ids.ts";

describe("what is likely to come again", () => {
  test("an actor met before is the one that its bytes say, whoever else shares its place in the table", () => {
    const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(sixteen, fc.nat(15), fc.nat(255), (bytes, at, byte) => {
        expect(meetActorId(bytes)).toBe(actorIdFromBytes(bytes));
        const other = bytes.slice();
        other[at] = byte;
        expect(meetActorId(other)).toBe(actorIdFromBytes(other));
        expect(meetActorId(new Uint8Array([7, ...bytes]), 1)).toBe(actorIdFromBytes(bytes));
      }),
    );
    expect(() => meetActorId(new Uint8Array(15))).toThrow(TypeError);
    expect(() => new ByteReader(new Uint8Array(15)).actorId()).toThrow(FormatError);
  });

  test("a text is read as it stands, whatever was expected", () => {
    const texts = fc.oneof(fc.string({ unit: "grapheme", maxLength: 12 }), fc.constant("é"));
    fc.assert(
      fc.property(texts, texts, (text, likely) => {
        const writer = new ByteWriter();
        writer.text(text);
        writer.u8(9);
        for (const expected of [likely, text, `${text}a`, text.slice(1)]) {
          const reader = new ByteReader(writer.finish());
          expect(reader.text(200, expected)).toBe(text);
          expect(reader.u8()).toBe(9);
        }
      }),
    );
  });

  test("bytes that are no text are not taken for one of the same character codes", () => {
    const reader = new ByteReader(new Uint8Array([1, 0xe9]));
    expect(() => reader.text(10, "\u00e9")).toThrow(FormatError);
  });
});
