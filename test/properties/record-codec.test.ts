import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { equalBytes } from "../../src/core/bytes.ts";
import { FormatError } from "../../src/core/errors.ts";
import { equalRecords, withoutValues } from "../../src/core/record.ts";
import { decodeHead, decodeRecord, encodeBody, encodeHead } from "../../src/core/record-codec.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import { arbitraryWildRecord } from "../support/arbitraries.ts";

const runs = { numRuns: 300 };

/** Decodes, and if that succeeds insists that encoding gives back the very bytes. */
function decodesToItself(head: Uint8Array): boolean {
  let record: CausalRecord;
  try {
    record = decodeHead(head);
  } catch (error) {
    if (error instanceof FormatError) return false;
    throw error;
  }
  expect(encodeHead(record)).toEqual(head);
  return true;
}

describe("record codec", () => {
  test("a record comes back from its bytes", () => {
    fc.assert(
      fc.property(arbitraryWildRecord, (record) => {
        const head = encodeHead(record);
        const body = encodeBody(record);
        expect(decodeRecord(head, body)).toEqual(record);
        expect(decodeHead(head)).toEqual(withoutValues(record));
        expect(encodeHead(withoutValues(record))).toEqual(head);
      }),
      runs,
    );
  });

  test("equal records have equal bytes, different ones have not", () => {
    fc.assert(
      fc.property(arbitraryWildRecord, arbitraryWildRecord, (a, b) => {
        expect(equalBytes(encodeHead(a), encodeHead(structuredClone(a)))).toBe(true);
        expect(equalBytes(encodeHead(a), encodeHead(b))).toBe(equalRecords(a, b));
      }),
      runs,
    );
  });

  test("a head with one byte changed is refused, or is the only form of another record", () => {
    let accepted = 0;
    fc.assert(
      fc.property(
        arbitraryWildRecord,
        fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 20 }),
        (record, changes) => {
          const original = encodeHead(record);
          for (const [at, byte] of changes) {
            const head = original.slice();
            head[at % head.length] = byte;
            if (decodesToItself(head)) accepted++;
          }
        },
      ),
      runs,
    );
    // Bytes of digests, hashes and numbers may change: a fuzz that is always refused would test one check only.
    expect(accepted).toBeGreaterThan(0);
  });

  test("a head cut short, lengthened, or with a byte taken out or put in is refused or canonical", () => {
    fc.assert(
      fc.property(arbitraryWildRecord, fc.nat(), fc.nat(255), (record, at, byte) => {
        const head = encodeHead(record);
        const cut = at % head.length;
        expect(() => decodeHead(head.subarray(0, cut))).toThrow(FormatError);
        expect(() => decodeHead(Uint8Array.from([...head, byte]))).toThrow(FormatError);
        decodesToItself(Uint8Array.from([...head.subarray(0, cut), ...head.subarray(cut + 1)]));
        decodesToItself(Uint8Array.from([...head.subarray(0, cut), byte, ...head.subarray(cut)]));
      }),
      runs,
    );
  });

  test("random bytes never do anything but a format error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        decodesToItself(bytes);
        decodesToItself(Uint8Array.from([1, ...bytes]));
      }),
      runs,
    );
  });

  test("a body of any other length is refused", () => {
    fc.assert(
      fc.property(arbitraryWildRecord, (record) => {
        const head = encodeHead(record);
        const body = encodeBody(record);
        expect(() => decodeRecord(head, Uint8Array.from([...body, 0]))).toThrow(FormatError);
        if (body.length > 0)
          expect(() => decodeRecord(head, body.subarray(1))).toThrow(FormatError);
      }),
      runs,
    );
  });
});
