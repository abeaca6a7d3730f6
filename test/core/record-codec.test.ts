import { beforeAll, describe, expect, test } from "bun:test";
import { AssertionError } from "../../src/core/assert.ts";
import { bytesToHex, hexToBytes } from "../../src/core/bytes.ts";
import { FormatError } from "../../src/core/errors.ts";
import type { Hasher } from "../../src/core/hasher.ts";
import { putSibling, withoutValues } from "../../src/core/record.ts";
import {
  decodeHead,
  decodeRecord,
  encodeBody,
  encodeHead,
  valuesIntact,
} from "../../src/core/record-codec.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import { dotOf, siblingOf } from "../support/arbitraries.ts";
import { createTestHasher } from "../support/hasher.ts";

let hasher: Hasher;
beforeAll(async () => {
  hasher = await createTestHasher();
});

const one = "01".repeat(16);
const two = "02".repeat(16);
/** counter 1, stamp 5, flags, w 2, expiry 0, type "", metadata "", 1 byte, hash. */
const sibling = (counter: string, flags = "00", valueBytes = "01") =>
  `${counter}05${flags}02000000${valueBytes}${"00".repeat(8)}`;
const refuse = (hex: string, message: string) => {
  expect(() => decodeHead(hexToBytes(hex))).toThrow(FormatError);
  expect(() => decodeHead(hexToBytes(hex))).toThrow(message);
};

describe("decodeHead", () => {
  test("reads what the grammar says", () => {
    const record = decodeHead(hexToBytes(`0101${one}03020100${sibling("02")}`));
    expect(record.context).toEqual([dotOf(1, 3, 2)]);
    expect(record.siblings[0]).toMatchObject({
      stamp: 5,
      writeQuorum: 2,
      valueBytes: 1,
      value: null,
    });
    expect(record.siblings[0]?.dot).toBe(record.context[0]);
  });

  test("refuses another version, and no bytes at all", () => {
    refuse("020000", "version");
    refuse("000000", "version");
    refuse("", "end of data");
  });

  test("refuses a context that is unsorted, has a column twice, or a counter 0", () => {
    refuse(`0102${two}0001${one}000100`, "out of order");
    refuse(`0102${one}0001${one}000200`, "out of order");
    refuse(`0101${one}000000`, "out of range");
  });

  test("refuses siblings that are unsorted, doubled, or not covered", () => {
    const head = `0102${one}0002${two}0001`;
    decodeHead(hexToBytes(`${head}0300${sibling("01")}00${sibling("02")}01${sibling("01")}`));
    refuse(`${head}0200${sibling("02")}00${sibling("01")}`, "out of order");
    refuse(`${head}0200${sibling("02")}00${sibling("02")}`, "out of order");
    refuse(`${head}0201${sibling("01")}00${sibling("02")}`, "out of order");
    refuse(`${head}0100${sibling("03")}`, "at most 2");
    refuse(`${head}0100${sibling("00")}`, "counter is 0");
    refuse(`${head}0102${sibling("01")}`, "unknown column");
  });

  test("refuses unknown flags, a tombstone with a value, and trailing bytes", () => {
    const head = `0101${one}000101`;
    decodeHead(hexToBytes(`${head}00${sibling("01", "01", "00")}`));
    refuse(`${head}00${sibling("01", "10")}`, "flags");
    refuse(`${head}00${sibling("01", "01")}`, "tombstone");
    refuse(`${head}00${sibling("01")}00`, "left over");
  });

  test("refuses an over-long number, and numbers above their limits", () => {
    refuse("01800000", "over-long");
    refuse(`0101${one}808080801001`, "at most");
    refuse(`0101${one}00${"80".repeat(8)}01`, "more than 8 bytes");
    refuse(`0101${one}0081808080808040`, "at most");
    const large = "81808010";
    refuse(`0101${one}00010100${sibling("01", "00", large)}`, "at most");
  });

  test("refuses a content type that no header may hold, and invalid UTF-8", () => {
    const rest = `0001${"00".repeat(8)}`;
    refuse(`0101${one}000101000105000200010a${rest}`, "content type");
    refuse(`0101${one}00010100010500020001ff${rest}`, "UTF-8");
  });
});

describe("encodeHead", () => {
  test("an unsorted or uncovered sibling is a bug", () => {
    const [a, b] = [siblingOf(dotOf(1, 0, 1)), siblingOf(dotOf(2, 0, 1))];
    const unsorted: CausalRecord = { context: [a.dot, b.dot], siblings: [b, a] };
    expect(() => encodeHead(unsorted)).toThrow(AssertionError);
    expect(() => encodeHead({ context: [a.dot], siblings: [b] })).toThrow(AssertionError);
    const ahead = siblingOf(dotOf(1, 0, 2));
    expect(() => encodeHead({ context: [a.dot], siblings: [ahead] })).toThrow(AssertionError);
  });
});

describe("bodies", () => {
  test("a single value is its own body, several stand one after another", () => {
    const first = siblingOf(dotOf(1, 0, 1));
    const single = putSibling(null, null, first);
    expect(encodeBody(single)).toBe(first.value as Uint8Array);
    const both = putSibling(single, [], siblingOf(dotOf(2, 0, 1)));
    expect(bytesToHex(encodeBody(both))).toBe("312f302f31322f302f31");
    expect(encodeBody({ context: [], siblings: [] }).length).toBe(0);
  });

  test("a body without a value, or of another length than the head says, is refused", () => {
    const record = putSibling(null, null, siblingOf(dotOf(1, 0, 1)));
    expect(() => encodeBody(withoutValues(record))).toThrow(AssertionError);
    expect(() => decodeRecord(encodeHead(record), new Uint8Array(4))).toThrow(FormatError);
    expect(() => decodeRecord(encodeHead(record), new Uint8Array(6))).toThrow(FormatError);
  });
});

describe("valuesIntact", () => {
  test("is true only for the very bytes that were hashed", () => {
    const value = Uint8Array.from([1, 2, 3]);
    const written = siblingOf(dotOf(1, 0, 1), {
      value,
      valueBytes: 3,
      valueHash: hasher.hash64(value),
    });
    const record = putSibling(null, null, written);
    expect(valuesIntact(hasher, record)).toBe(true);
    expect(valuesIntact(hasher, withoutValues(record))).toBe(false);
    const head = encodeHead(record);
    expect(valuesIntact(hasher, decodeRecord(head, Uint8Array.from([1, 2, 3])))).toBe(true);
    expect(valuesIntact(hasher, decodeRecord(head, Uint8Array.from([1, 2, 7])))).toBe(false);
  });
});
