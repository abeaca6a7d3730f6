import { beforeEach, describe, expect, test } from "bun:test";
import { utf8Encode } from "../../src/core/bytes.ts";
import { Representations } from "../../src/http/representation.ts";
import { dotOf, siblingOf, tombstoneOf } from "../support/arbitraries.ts";
import { createHttpWorld, type HttpWorld } from "../support/http-world.ts";

const K = "/v1/kv/default/k?conflict=siblings";
const JSON_ONLY = { accept: "application/json" };
let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
});

/** Two coordinators wrote without knowing of each other. */
function conflict(values: readonly (string | null)[] = ["one", "two"]): void {
  values.forEach((text, index) => {
    const dot = dotOf(10 + index, 0, 1);
    const value = utf8Encode(text ?? "");
    const sibling =
      text === null
        ? tombstoneOf(dot)
        : siblingOf(dot, {
            value,
            valueBytes: value.length,
            contentType: `text/${index}`,
            metadata: `{"i":${index}}`,
            expiresAtMs: index === 0 ? 0 : 4_000_000_000_500,
          });
    world.service.merge(world.key("k"), { context: [dot], siblings: [sibling] });
  });
}

describe("two live siblings", () => {
  test("are 300 multipart/mixed with the headers of each part, by default", async () => {
    conflict();
    const got = await world.call("GET", K);
    expect(got.status).toBe(300);
    expect(got.headers.get("cache-control")).toBe("no-store");
    expect(got.headers.get("gyre-siblings")).toBe("2");
    expect(got.headers.has("gyre-context")).toBe(true);
    const type = got.headers.get("content-type") ?? "";
    const boundary = /^multipart\/mixed; boundary=([\w-]+)$/.exec(type)?.[1] ?? "";
    const text = await got.text();
    const parts = text.split(`--${boundary}`);
    expect(parts).toHaveLength(4);
    expect(parts[3]).toBe("--\r\n");
    expect(parts[1]?.startsWith("\r\nContent-Type: text/0\r\nContent-Length: 3\r\n")).toBe(true);
    expect(parts[1]?.endsWith("\r\n\r\none\r\n")).toBe(true);
    expect(parts[2]).toContain(
      "Gyre-Metadata: %7B%22i%22%3A1%7D\r\nGyre-Expires: 4000000000.5\r\n",
    );
  });

  test("are JSON with base64 values for Accept: application/json", async () => {
    conflict();
    const got = await world.call("GET", K, { headers: JSON_ONLY });
    expect(got.status).toBe(300);
    expect(got.headers.get("content-type")).toBe("application/json");
    const body = (await got.json()) as { context: string; siblings: Record<string, unknown>[] };
    expect(body.context).toBe(got.headers.get("gyre-context") ?? "");
    expect(body.siblings).toEqual([
      {
        value: "b25l",
        contentType: "text/0",
        metadata: { i: 0 },
        expires: null,
        stamp: 1_700_000_000_000_001,
        dot: `${"0a".repeat(16)}:0:1`,
      },
      {
        value: "dHdv",
        contentType: "text/1",
        metadata: { i: 1 },
        expires: 4_000_000_000.5,
        stamp: 1_700_000_000_000_001,
        dot: `${"0b".repeat(16)}:0:1`,
      },
    ]);
  });

  test("have one ETag for each form, and each is honoured", async () => {
    conflict();
    const multipart = (await world.call("GET", K)).headers.get("etag") ?? "";
    const json = (await world.call("GET", K, { headers: JSON_ONLY })).headers.get("etag") ?? "";
    expect(multipart).not.toBe(json);
    const known = { ...JSON_ONLY, "if-none-match": json };
    expect((await world.call("GET", K, { headers: known })).status).toBe(304);
    expect((await world.call("GET", K, { headers: { "if-none-match": json } })).status).toBe(300);
  });

  test("have GET's length in HEAD", async () => {
    conflict();
    const body = await (await world.call("GET", K)).arrayBuffer();
    const head = await world.call("HEAD", K);
    expect(head.status).toBe(300);
    expect(head.headers.get("content-length")).toBe(String(body.byteLength));
  });

  test("are one value by majority and latest, with the count and a context that covers both", async () => {
    conflict();
    const got = await world.call("GET", "/v1/kv/default/k");
    expect(got.status).toBe(200);
    expect(got.headers.get("gyre-siblings")).toBe("2");
    const token = got.headers.get("gyre-context") ?? "";
    await world.call("PUT", "/v1/kv/default/k", { body: "3", headers: { "gyre-context": token } });
    expect((await world.call("GET", K)).headers.get("gyre-siblings")).toBe("1");
  });

  test("are weighed by the q of the two forms", async () => {
    conflict();
    const accepts = [
      ["*/*", "multipart"],
      ["application/json;q=0.1, multipart/mixed", "multipart"],
      ["multipart/mixed;q=0.5, application/json", "application/json"],
      ["application/json;q=0", "multipart"],
    ] as const;
    for (const [accept, want] of accepts) {
      const got = await world.call("GET", K, { headers: { accept } });
      expect(got.headers.get("content-type")?.startsWith(want)).toBe(true);
    }
  });
});

describe("one live sibling", () => {
  test("beside a tombstone is 200 in siblings mode, and the tombstone is counted apart", async () => {
    conflict(["one", null]);
    const got = await world.call("GET", K);
    expect(got.status).toBe(200);
    expect(await got.text()).toBe("one");
    expect(got.headers.get("gyre-siblings")).toBe("1");
    expect(got.headers.get("gyre-deleted-siblings")).toBe("1");
  });

  test("none at all is 404", async () => {
    conflict([null, null]);
    const got = await world.call("GET", K);
    expect(got.status).toBe(404);
    expect(got.headers.get("gyre-deleted-siblings")).toBe("2");
  });
});

describe("Representations", () => {
  test("a boundary never occurs in a value, even in one that foresaw it", () => {
    const representations = new Representations(world.env.hasher);
    const dots = [dotOf(1, 0, 1), dotOf(2, 0, 1)] as const;
    const plain = dots.map((dot) => siblingOf(dot));
    const foreseen = boundaryOf(representations.multipart(plain).contentType);
    const value = utf8Encode(`a${foreseen}z`);
    const hostile = dots.map((dot) => siblingOf(dot, { value, valueBytes: value.length }));
    const chosen = boundaryOf(representations.multipart(hostile).contentType);
    expect(chosen).not.toBe(foreseen);
  });

  test("a stored type that no header can hold is served as octet-stream", () => {
    const representations = new Representations(world.env.hasher);
    const head = representations.headOf(siblingOf(dotOf(1, 0, 1), { contentType: "a\r\nb: c" }));
    expect(head.contentType).toBe("application/octet-stream");
  });
});

function boundaryOf(contentType: string): string {
  return contentType.split("boundary=")[1] ?? "";
}
