import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { createSystemHasher } from "../../runtimes/shared/system-hasher.ts";
import { bytesToHex, utf8Encode } from "../../src/core/bytes.ts";
import {
  digestFromBytes,
  digestToBytes,
  equalDigests,
  RowDigester,
} from "../../src/storage/row-digest.ts";

const hasher = await createSystemHasher();
const docs = readFileSync(new URL("../../docs/storage-format.md", import.meta.url), "utf8");
const SECRET = new Uint8Array(32).fill(3);
/** The head of the page's worked example: all of its hex but the last five bytes, which are the body. */
const HEAD = new Uint8Array(
  Buffer.from(
    (docs.match(/<!-- golden: one value -->\n+((?: {4}.*\n)+)/)?.[1] ?? "")
      .split("\n")
      .map((line) => line.slice(4, 40).replaceAll(" ", ""))
      .join("")
      .slice(0, -10),
    "hex",
  ),
);

function hex(secret: Uint8Array, namespace: number, key: string, head: Uint8Array): string {
  return bytesToHex(
    digestToBytes(new RowDigester(hasher, secret).digest(namespace, utf8Encode(key), head)),
  );
}

test("the digest of the worked example is the one in docs/storage-format.md", () => {
  const golden = docs.match(/<!-- golden: row digest -->\n`([0-9a-f]{32})`/)?.[1];
  expect(hex(SECRET, 1, "k", HEAD)).toBe(golden as string);
});

test("each part of the row and the secret change the digest, and so does where one part ends", () => {
  const one = hex(SECRET, 1, "k", HEAD);
  const others = [
    hex(SECRET, 2, "k", HEAD),
    hex(SECRET, 1, "l", HEAD),
    hex(SECRET, 1, "k", HEAD.slice(1)),
    hex(SECRET.slice().fill(4, 31), 1, "k", HEAD),
    hex(SECRET, 1, `k${String.fromCharCode(HEAD[0] ?? 0)}`, HEAD.slice(1)),
  ];
  expect(new Set([one, ...others]).size).toBe(6);
});

test("a head longer than the buffer has the same digest before and after a short one", () => {
  const digester = new RowDigester(hasher, SECRET);
  const long = new Uint8Array(5000).fill(7);
  const fresh = new RowDigester(hasher, SECRET).digest(1, utf8Encode("k"), HEAD);
  const first = digester.digest(1, utf8Encode("k"), long);
  expect(equalDigests(digester.digest(1, utf8Encode("k"), HEAD), fresh)).toBe(true);
  expect(equalDigests(digester.digest(1, utf8Encode("k"), long), first)).toBe(true);
  expect(equalDigests(digestFromBytes(digestToBytes(first)), first)).toBe(true);
});
