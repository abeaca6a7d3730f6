import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type BulkFormat, parseItem, type RawItem } from "../../src/cli/bulk-item.ts";
import { readItems } from "../../src/cli/bulk-read.ts";
import { streamOf } from "../support/cli-platform.ts";

const encoder = new TextEncoder();

async function read(text: string | Uint8Array, chunkBytes = 5, given: BulkFormat | null = null) {
  const bytes = typeof text === "string" ? encoder.encode(text) : text;
  const items: RawItem[] = [];
  let format: BulkFormat | undefined;
  const stream = readItems(streamOf(bytes, chunkBytes), given, (found) => {
    format = found;
  });
  for await (const raw of stream) items.push(raw);
  return { format, items, texts: items.map((raw) => new TextDecoder().decode(raw.text)) };
}

/** Everything that could fool a splitter: brackets, quotes, backslashes and newlines inside of strings. */
const value = fc.string({
  unit: fc.constantFrom("a", '"', "\\", "{", "}", "[", "]", ",", "\n", "é", "😀"),
  maxLength: 12,
});
const objects = fc.array(
  fc.record({ key: value, value, metadata: fc.constantFrom([1, { a: [] }], { b: "}]" }) }),
  {
    maxLength: 6,
  },
);

describe("cutting a stream into items", () => {
  test("NDJSON: the same items, lines and indices however the bytes are cut", async () => {
    await fc.assert(
      fc.asyncProperty(objects, fc.integer({ min: 1, max: 40 }), async (list, chunkBytes) => {
        const lines = list.map((object) => JSON.stringify(object));
        const { texts, items } = await read(
          lines.map((line) => `${line}\r\n`).join("\n"),
          chunkBytes,
          "ndjson",
        );
        expect(texts.map((text) => text.trimEnd())).toEqual(lines);
        expect(items.map((raw) => [raw.index, raw.line])).toEqual(
          lines.map((_, i) => [i, 1 + 2 * i]),
        );
      }),
      { numRuns: 200 },
    );
  });

  test("wrangler: the same items however the array is cut and laid out", async () => {
    await fc.assert(
      fc.asyncProperty(
        objects,
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(0, 2),
        async (list, chunkBytes, indent) => {
          const { texts, format } = await read(
            ` ${JSON.stringify(list, null, indent)}\n`,
            chunkBytes,
          );
          expect(format).toBe("wrangler");
          expect(texts.map((text) => JSON.parse(text) as unknown)).toEqual(list);
        },
      ),
      { numRuns: 200 },
    );
  });

  test("the first byte tells the format, behind a byte order mark and white space", async () => {
    const mark = [0xef, 0xbb, 0xbf];
    for (const chunkBytes of [1, 2, 3, 100]) {
      const array = await read(
        new Uint8Array([...mark, ...encoder.encode('\n [{"key":"a"}]')]),
        chunkBytes,
      );
      expect([array.format, array.texts]).toEqual(["wrangler", ['{"key":"a"}']]);
      const lines = await read(
        new Uint8Array([...mark, ...encoder.encode('{"key":"a"}')]),
        chunkBytes,
      );
      expect([lines.format, lines.texts]).toEqual(["ndjson", ['{"key":"a"}']]);
    }
  });

  test("a last line without a newline counts, empty files have no items", async () => {
    expect((await read('{"key":"a"}\n{"key":"b"}')).texts).toEqual(['{"key":"a"}', '{"key":"b"}']);
    for (const empty of ["", "\n", " \n\n", "[]", " [ ] \n"])
      expect((await read(empty)).texts).toEqual([]);
  });

  test("an item of the array knows the line it begins in", async () => {
    const { items } = await read('[\n{"key":"a",\n"value":"1"},\n\n{"key":"b"}\n]');
    expect(items.map((raw) => raw.line)).toEqual([2, 5]);
  });

  test.each([
    ['[{"key":"a"}\n{"key":"b"}]', "line 2", "want , or ]"],
    ['[\n\n"a"]', "line 3", "want { to open an item"],
    ['[{"key":"a"},]', "line 1", "want { to open an item"],
    ['[{"key":"a"}', "line 1", "the end of the file"],
    ['[{"key":"a"', "line 1", "the end of the file"],
    ['[{"key":"a"}]\nx', "line 2", "want nothing behind the array"],
  ])("%j is refused with its line", async (text, line, want) => {
    const failure = await read(text).catch((error: unknown) => String(error));
    expect(failure).toContain(line);
    expect(failure).toContain(want);
  });
});

describe("one item", () => {
  const raw = (text: string): RawItem => ({ text: encoder.encode(text), line: 9, index: 3 });
  const faultOf = (text: string, format: BulkFormat): string => {
    const parsed = parseItem(raw(text), format);
    if (parsed.status === "item") throw new Error("It was accepted");
    expect(parsed.fault.line).toBe(9);
    return parsed.fault.reason;
  };

  test("NDJSON has text or base64, expiry, metadata and content type", () => {
    const text =
      '{"key":"k","value":"é","expiration":1893456000,"metadata":[1],"content_type":"text/plain"}';
    const parsed = parseItem(raw(text), "ndjson");
    expect(parsed).toMatchObject({
      status: "item",
      item: {
        key: "k",
        value: "w6k=",
        expires: 1893456000,
        metadata: [1],
        contentType: "text/plain",
      },
    });
    expect(parseItem(raw('{"key":"k","value_b64":"AP8="}'), "ndjson")).toMatchObject({
      item: { value: "AP8=" },
    });
    expect(parseItem(raw('{"key":"k","value":""}'), "ndjson")).toMatchObject({
      item: { value: "" },
    });
  });

  test("wrangler marks base64 and knows a lifetime", () => {
    const parsed = parseItem(
      raw('{"key":"k","value":"AP8=","base64":true,"expiration_ttl":60}'),
      "wrangler",
    );
    expect(parsed).toMatchObject({ item: { value: "AP8=", ttl: 60 } });
    expect(parseItem(raw('{"key":"k","value":"AP8=","base64":false}'), "wrangler")).toMatchObject({
      item: { value: "QVA4PQ==" },
    });
  });

  test.each<[string, BulkFormat, string]>([
    ["{", "ndjson", "JSON"],
    ["[1]", "ndjson", "want a JSON object"],
    ['{"value":"v"}', "ndjson", "want a key"],
    ['{"key":"","value":"v"}', "ndjson", "want a key"],
    ['{"key":7,"value":"v"}', "ndjson", "want a key"],
    ['{"key":"\\ud800","value":"v"}', "ndjson", "want a key"],
    ['{"key":"k"}', "ndjson", "want either value"],
    ['{"key":"k","value":"v","value_b64":""}', "ndjson", "want either value"],
    ['{"key":"k","value":7}', "ndjson", "want value to be a string"],
    ['{"key":"k","value_b64":"A"}', "ndjson", "want value_b64 to be base64"],
    ['{"key":"k","value":"v","expires":1}', "ndjson", 'unknown field "expires"'],
    ['{"key":"k","value":"v","base64":true}', "ndjson", 'unknown field "base64"'],
    ['{"key":"k","value":"v","expiration":"1"}', "ndjson", "want expiration"],
    ['{"key":"k","value":"v","base64":"yes"}', "wrangler", "want base64 to be true or false"],
    ['{"key":"k","value":"é","base64":true}', "wrangler", "want value to be base64"],
    ['{"key":"k","value":"v","expiration":9,"expiration_ttl":9}', "wrangler", "not both"],
  ])("%s as %s is a fault", (text, format, reason) => {
    expect(faultOf(text, format)).toContain(reason);
  });

  test("bytes that are no UTF-8 are a fault, not question marks", () => {
    const bytes = new Uint8Array([
      ...encoder.encode('{"key":"k","value":"'),
      0xff,
      ...encoder.encode('"}'),
    ]);
    expect(parseItem({ text: bytes, line: 1, index: 0 }, "ndjson").status).toBe("fault");
  });
});
