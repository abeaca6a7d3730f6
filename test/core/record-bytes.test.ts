/**
 * The bytes of records on disk and between peers. A change here is a change of the format: raise the version byte, keep
 * reading the old one, write it into the changelog and docs/storage-format.md.
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { byteString, bytesToHex, hexToBytes, utf8Encode } from "../../src/core/bytes.ts";
import type { Hasher } from "../../src/core/hasher.ts";
import { EMPTY_RECORD, mergeRecords, putSibling } from "../../src/core/record.ts";
import { decodeRecord, encodeBody, encodeHead, valuesIntact } from "../../src/core/record-codec.ts";
import type { CausalRecord, Dot, Sibling } from "../../src/core/version.ts";
import { dotOf, siblingOf, tombstoneOf } from "../support/arbitraries.ts";
import { expectGolden } from "../support/golden.ts";
import { createTestHasher } from "../support/hasher.ts";

let hasher: Hasher;
beforeAll(async () => {
  hasher = await createTestHasher();
});

const STAMP = 1_700_000_000_000_000;

function put(dot: Dot, text: string, changes: Partial<Sibling> = {}): Sibling {
  const value = utf8Encode(text);
  const written = { value, valueBytes: value.length, valueHash: hasher.hash64(value) };
  return siblingOf(dot, { stamp: STAMP, ...written, ...changes });
}

function deletion(dot: Dot): Sibling {
  return tombstoneOf(dot, { stamp: STAMP + 1, valueHash: hasher.hash64(new Uint8Array(0)) });
}

function examples(): Record<string, CausalRecord> {
  const hello = putSibling(null, null, put(dotOf(0xa1, 1, 1), "hello"));
  const world = putSibling(null, null, put(dotOf(0xb2, 7, 300), "world!"));
  const most = put(dotOf(0xff, 2 ** 32 - 1, 2 ** 48), "", {
    stamp: 2 ** 53 - 1,
    sloppy: false,
    writeQuorum: 16,
    expiresAtMs: 2 ** 53 - 1,
    contentType: "text/plain; charset=utf-8",
    metadata: '{"é":"😀"}',
    idempotencyKey: byteString(new Uint8Array(16).fill(0xcc)),
    bodyDigest: byteString(new Uint8Array(16).fill(0xdd)),
  });
  return {
    empty: EMPTY_RECORD,
    "one value": hello,
    "two siblings": mergeRecords(hello, world),
    "a tombstone that has seen them": putSibling(
      mergeRecords(hello, world),
      mergeRecords(hello, world).context,
      deletion(dotOf(0xa1, 1, 2)),
    ),
    "every field at its most": putSibling(null, null, most),
  };
}

describe("record bytes", () => {
  test("are those of the golden file on every runtime", () => {
    const blocks = Object.entries(examples()).map(
      ([name, record]) =>
        `${name}\n  head ${bytesToHex(encodeHead(record))}\n  body ${bytesToHex(encodeBody(record))}\n`,
    );
    expectGolden("record-bytes.txt", blocks.join("\n"));
  });

  test("of the golden file decode to the records they were made from", () => {
    const file = readFileSync(new URL("../golden/record-bytes.txt", import.meta.url), "utf8");
    const found = [...file.matchAll(/^(\S.*)\n {2}head ([0-9a-f]+)\n {2}body ([0-9a-f]*)$/gm)];
    const expected = examples();
    expect(found.map(([, name]) => name)).toEqual(Object.keys(expected));
    for (const [, name, head, body] of found) {
      const record = decodeRecord(hexToBytes(head ?? ""), hexToBytes(body ?? ""));
      expect(record).toEqual(expected[name ?? ""] as CausalRecord);
      expect(valuesIntact(hasher, record)).toBe(true);
    }
  });

  test("worked example of docs/storage-format.md is the golden one", () => {
    const docs = readFileSync(new URL("../../docs/storage-format.md", import.meta.url), "utf8");
    const worked = docs.match(/<!-- golden: one value -->\n+((?: {4}.*\n)+)/)?.[1] ?? "";
    const hex = worked
      .split("\n")
      .map((line) => line.slice(4, 40).replaceAll(" ", ""))
      .join("");
    const record = examples()["one value"] as CausalRecord;
    expect(hex).toBe(bytesToHex(encodeHead(record)) + bytesToHex(encodeBody(record)));
  });
});
