import { describe, expect, test } from "bun:test";
import { decodeEntry, encodeEntry, isAddress } from "../../src/cluster/member-entry.ts";
import { PeerError, type WireFields, type WireValue } from "../../src/cluster/peer-channel.ts";
import {
  asFields,
  readArray,
  readBoolean,
  readBytes,
  readBytesOrNull,
  readInt,
  readNumber,
  readString,
} from "../../src/cluster/wire-read.ts";
import { parseNodeId, parseRegionId, parseZoneId } from "../../src/core/ids.ts";

function refusalOf(act: () => unknown): string {
  try {
    act();
    return "accepted";
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    return `${error.outcome} ${error.code}: ${error.message}`;
  }
}

describe("readers of peer messages", () => {
  test("give the field when it is of the type and within the bounds", () => {
    const fields: WireFields = ["text", 5, 1.5, true, new Uint8Array([1]), null, [1, 2]];
    expect(readString(fields, 0, "f", 4)).toBe("text");
    expect(readInt(fields, 1, "f", 5, 5)).toBe(5);
    expect(readNumber(fields, 2, "f", 0, 2)).toBe(1.5);
    expect(readBoolean(fields, 3, "f")).toBe(true);
    expect(readBytes(fields, 4, "f", 1)).toEqual(new Uint8Array([1]));
    expect(readBytesOrNull(fields, 5, "f", 1)).toBeNull();
    expect(readArray(fields, 6, "f", 2)).toEqual([1, 2]);
  });

  test("refuse everything else as bad_message, and name the field", () => {
    const wrong: readonly (() => unknown)[] = [
      () => readString([], 0, "f", 4),
      () => readString(["12345"], 0, "f", 4),
      () => readString(["\ud800"], 0, "f", 4),
      () => readInt([1.5], 0, "f", 0, 9),
      () => readInt([Number.NaN], 0, "f", 0, 9),
      () => readInt([10], 0, "f", 0, 9),
      () => readInt([-1], 0, "f", 0, 9),
      () => readInt(["1"], 0, "f", 0, 9),
      () => readNumber([Number.NaN], 0, "f", 0, 9),
      () => readNumber([Number.POSITIVE_INFINITY], 0, "f", 0, 9),
      () => readBoolean([1], 0, "f"),
      () => readBytes([new Uint8Array(2)], 0, "f", 1),
      () => readBytes([[1]], 0, "f", 1),
      () => readBytesOrNull([undefined as unknown as null], 0, "f", 1),
      () => readArray([{ length: 0 }], 0, "f", 1),
      () => readArray([[1, 2]], 0, "f", 1),
      () => asFields(undefined, "f"),
    ];
    for (const act of wrong) expect(refusalOf(act)).toMatch(/^refused bad_message: .*\bf\b/);
  });
});

describe("member entries", () => {
  const entry = {
    id: parseNodeId("a".repeat(32)),
    incarnation: 1,
    nonce: 2,
    counter: 3,
    url: "http://10.0.0.1:7070",
    peerUrl: "https://[::1]:7071",
    region: parseRegionId("eu"),
    zone: parseZoneId("a"),
    role: "gateway" as const,
    weight: 1.5,
    keys: 4,
    bytes: 5,
    hints: { count: 6, bytes: 7 },
    wantsToJoin: true,
    leaving: true,
    clockIsOff: true,
  };

  test("come back from the wire as they were", () => {
    expect(decodeEntry(encodeEntry(entry))).toEqual(entry);
    const plain = { ...entry, url: "", wantsToJoin: false, leaving: false, clockIsOff: false };
    expect(decodeEntry(encodeEntry(plain))).toEqual(plain);
  });

  test("with any field of the wrong kind are refused", () => {
    const encoded = encodeEntry(entry);
    const junk: readonly WireValue[] = [null, {}, "ftp://x", -1, [], "x".repeat(300), 1e300];
    for (let at = 0; at < encoded.length; at++) {
      for (const value of junk) {
        const fields = encoded.map((field, i) => (i === at ? value : field));
        expect(refusalOf(() => decodeEntry(fields))).toContain("bad_message");
      }
    }
    expect(refusalOf(() => decodeEntry(encoded.slice(1)))).toContain("bad_message");
  });

  test("carry only http and https addresses of bounded length", () => {
    for (const good of ["http://a", "https://a.b-c:1/x", "http://[fe80::1%25eth0]:7071"]) {
      expect(isAddress(good)).toBe(true);
    }
    for (const bad of [
      "",
      "ftp://a",
      "file:///etc/passwd",
      "http://",
      "http://user:pw@host",
      "http://a b",
      "http://a\n",
      "http://a?x=1",
      "http://a#b",
      `http://${"a".repeat(250)}`,
      "javascript:alert(1)",
    ]) {
      expect(isAddress(bad)).toBe(false);
    }
  });
});
