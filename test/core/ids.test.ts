import { describe, expect, test } from "bun:test";
import {
  actorIdFromBytes,
  actorIdToHex,
  parseClusterId,
  parseNamespaceId,
  parseNodeId,
  parseRegionId,
  parseZoneId,
} from "../../src/core/ids.ts";

describe("ids", () => {
  test("node and cluster ids are 32 lower-case hex digits", () => {
    const id = "0123456789abcdef0123456789abcdef";
    expect(parseNodeId(id) as string).toBe(id);
    expect(parseClusterId(id) as string).toBe(id);
    for (const text of ["", id.slice(1), `${id}0`, id.toUpperCase(), `${id}\n`]) {
      expect(() => parseNodeId(text)).toThrow(TypeError);
      expect(() => parseClusterId(text)).toThrow(TypeError);
    }
  });

  test("regions and zones are 1 to 63 of a-z 0-9 -, without a dash at either end", () => {
    for (const text of ["e", "eu-west-1", "a".repeat(63)]) {
      expect(parseRegionId(text) as string).toBe(text);
      expect(parseZoneId(text) as string).toBe(text);
    }
    for (const text of ["", "-eu", "eu-", "EU", "eu_1", "a".repeat(64)]) {
      expect(() => parseRegionId(text)).toThrow(TypeError);
      expect(() => parseZoneId(text)).toThrow(TypeError);
    }
  });

  test("an actor id holds its bytes in order, and its string order is byte order", () => {
    const bytes = Uint8Array.from({ length: 18 }, (_, i) => 0xf0 + i);
    const actor = actorIdFromBytes(bytes, 1);
    expect(actorIdToHex(actor)).toBe("f1f2f3f4f5f6f7f8f9fafbfcfdfeff00");
    const low = actorIdFromBytes(new Uint8Array(16).fill(0x7f));
    const high = actorIdFromBytes(new Uint8Array(16).fill(0x80));
    expect(low < high).toBe(true);
    expect(() => actorIdFromBytes(bytes, 3)).toThrow(TypeError);
  });

  test("a namespace id is an integer from 1 to 2^32-1", () => {
    expect(parseNamespaceId(0xffff_ffff) as number).toBe(0xffff_ffff);
    for (const value of [0, -1, 1.5, 2 ** 32, Number.NaN]) {
      expect(() => parseNamespaceId(value)).toThrow(TypeError);
    }
  });
});
