import { beforeEach, describe, expect, test } from "bun:test";
import { utf8Encode } from "../../src/core/bytes.ts";
import { listRoute } from "../../src/http/list-routes.ts";
import { createHttpWorld, type HttpWorld, problemOf, START_MS } from "../support/http-world.ts";

interface Page {
  readonly keys: { name: string; expiration?: number; metadata?: unknown; size: number }[];
  readonly complete: boolean;
  readonly cursor?: string;
}

let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
});

async function put(key: string, body = "x", query = "", headers: Record<string, string> = {}) {
  const path = `/v1/kv/default?${new URLSearchParams({ key })}${query}`;
  expect((await world.call("PUT", path, { body, headers })).status).toBe(204);
}

async function page(options: Record<string, string>): Promise<Page> {
  const answer = await world.call("GET", `/v1/keys/default?${new URLSearchParams(options)}`);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Page;
}

/** All pages, following cursors. */
async function names(options: Record<string, string>): Promise<string[]> {
  const all: string[] = [];
  let cursor: string | undefined = "";
  while (cursor !== undefined) {
    const next: Page = await page({ ...options, cursor });
    all.push(...next.keys.map((key) => key.name));
    if (all.length > 1_000) throw new Error("The pages do not end");
    expect(next.complete).toBe(next.cursor === undefined);
    cursor = next.cursor;
  }
  return all;
}

describe("a list", () => {
  test("is in the order of UTF-8 bytes, not of UTF-16 units", async () => {
    const sorted = ["a", "a\0", "a/", "b", "ü", "\uffff", "\u{10000}"];
    for (const key of sorted.toReversed()) await put(key);
    expect(await names({})).toEqual(sorted);
    expect(await names({ reverse: "true", limit: "2" })).toEqual(sorted.toReversed());
  });

  test("shows metadata, expiry and size, and leaves out what is not there", async () => {
    await put("a", "12345", "&ttl=60", { "gyre-metadata": "%5B1%5D" });
    await put("b", "");
    expect(await page({})).toEqual({
      keys: [
        { name: "a", expiration: START_MS / 1000 + 60, metadata: [1], size: 5 },
        { name: "b", size: 0 },
      ],
      complete: true,
    });
  });

  test("of nothing is complete", async () => {
    expect(await page({})).toEqual({ keys: [], complete: true });
  });

  test("pages by cursor to every key once, in both directions, past deleted ones", async () => {
    const keys = Array.from({ length: 23 }, (_, i) => `k${String(i).padStart(2, "0")}`);
    for (const key of keys) await put(key);
    for (const gone of ["k03", "k04", "k05", "k22"]) {
      await world.call("DELETE", `/v1/kv/default/${gone}`);
    }
    const left = keys.filter((key) => !["k03", "k04", "k05", "k22"].includes(key));
    expect(await names({ limit: "3" })).toEqual(left);
    expect(await names({ limit: "3", reverse: "true" })).toEqual(left.toReversed());
  });

  test("takes a prefix, an inclusive start and an exclusive end, together", async () => {
    for (const key of ["a", "b", "ba", "bb", "bc", "c"]) await put(key);
    expect(await names({ prefix: "b" })).toEqual(["b", "ba", "bb", "bc"]);
    expect(await names({ start: "b", end: "c" })).toEqual(["b", "ba", "bb", "bc"]);
    expect(await names({ prefix: "b", start: "ba", end: "bc" })).toEqual(["ba", "bb"]);
    expect(await names({ prefix: "b", end: "x", limit: "1" })).toEqual(["b", "ba", "bb", "bc"]);
    expect(await names({ start: "c", end: "b" })).toEqual([]);
    expect(await names({ prefix: "b", start: "c" })).toEqual([]);
  });

  test("asks for bounds that a prefix of the last code point has too", async () => {
    await page({ prefix: "\u{10ffff}" });
    const asked = world.service.lists[0];
    expect(asked?.start).toEqual(utf8Encode("\u{10ffff}"));
    expect([...(asked?.end ?? [])]).toEqual([0xf4, 0x8f, 0xbf, 0xc0]);
  });

  test("goes on where it was when a page brought nothing", async () => {
    for (const key of ["a", "b"]) await put(key);
    const first = await page({ limit: "1" });
    world.service.list = () =>
      Promise.resolve({ status: "ok", keys: [], complete: false, lastKey: null });
    const second = await page({ limit: "1", cursor: first.cursor ?? "" });
    expect(second.keys).toEqual([]);
    expect(second.complete).toBe(false);
    const again = await page({ limit: "1", cursor: second.cursor ?? "" });
    expect(again.complete).toBe(false);
  });
});

describe("a refused list", () => {
  test("limit is 1 to 1000", async () => {
    for (const limit of ["0", "1001", "-1", "1.5", "", "a", "1e2"]) {
      expect((await world.call("GET", `/v1/keys/default?limit=${limit}`)).status).toBe(400);
    }
    await page({ limit: "1000" });
    await page({});
    expect(world.service.lists.map((list) => list.limit)).toEqual([1000, 1000]);
  });

  test("options it does not know, or knows in another form, are 400", async () => {
    const bad = ["consistency=one", "reverse=1", "conflict=x", `prefix=${"p".repeat(513)}`];
    for (const query of bad) {
      expect((await world.call("GET", `/v1/keys/default?${query}`)).status).toBe(400);
    }
  });

  test("a cursor of another list is 422 invalid_cursor", async () => {
    for (const key of ["a", "b"]) await put(key);
    const { cursor = "" } = await page({ limit: "1" });
    const answer = await world.call("GET", `/v1/keys/default?prefix=b&cursor=${cursor}`);
    expect(answer.status).toBe(422);
    expect((await problemOf(answer))["code"]).toBe("invalid_cursor");
  });

  test("too few owners are 503, never a partial page", async () => {
    world.service.failures.push({
      status: "quorum-not-reached",
      acks: { primary: 1, fallback: 0, of: 3 },
      needed: 2,
      indeterminate: false,
    });
    const problem = await problemOf(await world.call("GET", "/v1/keys/default"));
    expect(problem["code"]).toBe("quorum_not_reached");
    expect(problem["acks"]).toEqual({ primary: 1, fallback: 0, of: 3 });
  });

  test("an unknown namespace is 404", async () => {
    expect((await world.call("GET", "/v1/keys/nope")).status).toBe(404);
    expect((await world.call("GET", "/v1/keys/Nope")).status).toBe(400);
    expect(listRoute.length).toBe(1);
  });
});
