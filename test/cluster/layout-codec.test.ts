import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { decode, encode } from "@msgpack/msgpack";
import {
  decodeLayout,
  decodePolicy,
  encodeLayout,
  encodePolicy,
  layoutHash,
} from "../../src/cluster/layout-codec.ts";
import { BadMessageError } from "../../src/cluster/wire-read.ts";
import { parseClusterId, parseNodeId, parseRegionId, parseZoneId } from "../../src/core/ids.ts";
import type { LayoutDocument, LayoutMember } from "../../src/core/layout.ts";
import { firstLayout, withMembers, withNamespace } from "../../src/core/layout-rules.ts";
import type { Crypto } from "../../src/env/crypto.ts";
import { expectGolden } from "../support/golden.ts";

const sha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash("sha256").update(bytes).digest());
const crypto = { sha256 } as unknown as Crypto;

function member(index: number): LayoutMember {
  return {
    id: parseNodeId(`${index}`.repeat(32)),
    region: parseRegionId(["eu", "us", "ap"][index % 3] as string),
    zone: parseZoneId("a"),
    weight: index === 2 ? 1.5 : 1,
    role: index === 4 ? "gateway" : "storage",
  };
}

function example(): LayoutDocument {
  const first = firstLayout({
    clusterId: parseClusterId("c".repeat(32)),
    member: member(1),
    expect: 3,
    partitions: 16,
    policy: { n: 3 },
  });
  const joins = [member(2), member(3), member(4)];
  const four = withMembers(first, joins, [], layoutHash(crypto, encodeLayout(first)));
  if (four.status !== "next") throw new Error(four.status);
  const hash = layoutHash(crypto, encodeLayout(four.document));
  const named = withNamespace(four.document, "shop", { regions: { us: 1, ap: 1 } }, hash);
  if (named.status !== "next") throw new Error(named.status);
  return named.document;
}

function hex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

describe("layout codec", () => {
  test("a document comes back from its bytes as it was", () => {
    const document = example();
    expect(decodeLayout(encodeLayout(document))).toEqual(document);
  });

  test("the bytes are those of the golden file", () => {
    const bytes = encodeLayout(example());
    const lines = hex(bytes).match(/.{1,120}/g) ?? [];
    expectGolden(
      "layout-document.txt",
      `${lines.join("\n")}\nsha256 ${layoutHash(crypto, bytes)}\n`,
    );
  });

  test("equal documents have equal bytes, in whatever order their policies were added", () => {
    const document = example();
    const reversed = (of: object): never =>
      Object.fromEntries(Object.entries(of).reverse()) as never;
    const other = {
      ...document,
      policies: reversed(document.policies),
      assignments: reversed(document.assignments),
    };
    expect(hex(encodeLayout(other))).toBe(hex(encodeLayout(document)));
  });

  test("every single changed, cut or added byte is refused or decodes to other bytes' document", () => {
    const bytes = encodeLayout(example());
    for (let at = 0; at < bytes.length; at++) {
      for (const flip of [0x01, 0x80, 0xff]) {
        const broken = bytes.slice();
        broken[at] = (broken[at] ?? 0) ^ flip;
        try {
          // What is accepted is canonical: one document, one encoding.
          expect(hex(encodeLayout(decodeLayout(broken)))).toBe(hex(broken));
        } catch (error) {
          expect(error).toBeInstanceOf(BadMessageError);
        }
      }
      expect(() => decodeLayout(bytes.slice(0, at))).toThrow(BadMessageError);
    }
    expect(() => decodeLayout(Uint8Array.from([...bytes, 0]))).toThrow(BadMessageError);
  });

  test("refusals name the field", () => {
    const fields = decode(encodeLayout(example())) as unknown[];
    const refusal = (at: number, value: unknown): string => {
      try {
        decodeLayout(encode(fields.map((field, i) => (i === at ? value : field))));
        return "accepted";
      } catch (error) {
        return (error as Error).message;
      }
    };
    expect(refusal(0, 2)).toContain("layout.format");
    expect(refusal(1, "C".repeat(32))).toContain("layout.clusterId");
    expect(refusal(2, 1.5)).toContain("layout.version");
    expect(refusal(5, "copying")).toContain("layout.phase");
    expect(refusal(8, 8)).toContain("layout.partitions");
    expect(refusal(9, [["x", "eu", "a", 1, 0]])).toContain("member.id");
    expect(refusal(10, [9])).toContain("layout.elector");
    expect(refusal(15, [[]])).toContain("layout.assignments");
    expect(refusal(15, [[], []])).toContain("layout.assignment");
  });

  test("policies travel as they are, regions sorted", () => {
    for (const policy of [{ n: 3 }, { regions: { ap: 1, eu: 2 } }]) {
      expect(decodePolicy(encodePolicy(policy))).toEqual(policy);
    }
    expect(encodePolicy({ regions: { us: 1, ap: 2 } })).toEqual([
      ["ap", 2],
      ["us", 1],
    ]);
    expect(() =>
      decodePolicy([
        ["us", 1],
        ["ap", 2],
      ]),
    ).toThrow(BadMessageError);
    expect(() => decodePolicy("three")).toThrow(BadMessageError);
  });
});
