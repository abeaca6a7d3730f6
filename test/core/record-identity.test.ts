import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { equalBytes } from "../../src/core/bytes.ts";
import { equalRecords } from "../../src/core/record.ts";
import { recordIdentity } from "../../src/core/record-identity.ts";
import { arbitraryRecord } from "../support/arbitraries.ts";

describe("recordIdentity", () => {
  test("two replicas of a key have equal identities iff their records are equal", () => {
    fc.assert(
      fc.property(arbitraryRecord, arbitraryRecord, (a, b) => {
        expect(equalBytes(recordIdentity(a), recordIdentity(b))).toBe(equalRecords(a, b));
        const copy = { context: a.context.map((dot) => ({ ...dot })), siblings: [...a.siblings] };
        expect(equalBytes(recordIdentity(a), recordIdentity(copy))).toBe(true);
      }),
    );
  });
});
