import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseNamespaceId } from "../../src/core/ids.ts";
import { locateKey } from "../../src/http/key-target.ts";
import { createHttpWorld, type HttpWorld, layoutOf, problemOf } from "../support/http-world.ts";

let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
});

/** The key that a raw path or query reaches, or the status that refuses it. */
async function reached(tail: string): Promise<string | number> {
  const before = world.service.gets.length;
  const answer = await world.call("GET", `/v1/kv/${tail}`);
  const get = world.service.gets[before];
  return get === undefined ? answer.status : get.key.text;
}

describe("a key in the path", () => {
  test("is percent-decoded exactly once", async () => {
    expect(await reached("default/a%2Fb")).toBe("a/b");
    expect(await reached("default/a%252Fb")).toBe("a%2Fb");
    expect(await reached("default/%C3%BC%00")).toBe("ü\0");
    expect(await reached("default/a+b")).toBe("a+b");
  });

  test("keeps its slashes, leading, doubled and trailing", async () => {
    expect(await reached("default//a//b/")).toBe("/a//b/");
    expect(await reached("default//")).toBe("/");
  });

  test("malformed in encoding or UTF-8 is 400", async () => {
    for (const bad of ["%", "%z", "%zz", "a%2", "%ff", "%C3", "%ED%A0%80", "%C0%AF"]) {
      expect(await reached(`default/${bad}`)).toBe(400);
    }
  });

  test("with a dot segment or a backslash is 400, whatever its encoding", async () => {
    for (const bad of [
      "..",
      ".",
      "a/../b",
      "a/%2e%2e/b",
      "a/%2E/b",
      ".%2e",
      "a\\b",
      "a%5Cb",
      "a/..",
    ]) {
      expect(await reached(`default/${bad}`)).toBe(400);
    }
    expect(await reached("default/...")).toBe("...");
    expect(await reached("default/a.b/.c")).toBe("a.b/.c");
  });

  test("is 1 to 512 bytes: empty is 400 and longer is 414, counted after decoding", async () => {
    expect(await reached("default/")).toBe(400);
    expect(await reached("default")).toBe(400);
    expect(await reached(`default/${"k".repeat(512)}`)).toBe("k".repeat(512));
    expect(await reached(`default/${"%6b".repeat(512)}`)).toBe("k".repeat(512));
    expect(await reached(`default/${"k".repeat(513)}`)).toBe(414);
    expect(await reached(`default/${"%C3%BC".repeat(257)}`)).toBe(414);
    expect(await reached(`default/${"k".repeat(9000)}`)).toBe(414);
  });
});

describe("a key in ?key=", () => {
  test("reaches what no path can, form-decoded", async () => {
    expect(await reached("default?key=..")).toBe("..");
    expect(await reached("default?key=a%5Cb%2F..")).toBe("a\\b/..");
    expect(await reached("default?key=a+b%2B")).toBe("a b+");
    expect(await reached("default?key=a&consistency=one")).toBe("a");
  });

  test("is what URLSearchParams writes, for any text", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }),
        async (text) => {
          expect(await reached(`default?${new URLSearchParams({ key: text })}`)).toBe(text);
        },
      ),
      { numRuns: 100 },
    );
  });

  test("beside a key in the path, empty, too long or malformed is refused", async () => {
    expect(await reached("default/a?key=a")).toBe(400);
    expect(await reached("default/?key=a")).toBe(400);
    expect(await reached("default?key=")).toBe(400);
    expect(await reached("default?key=%ff")).toBe(400);
    expect(await reached(`default?key=${"k".repeat(513)}`)).toBe(414);
  });
});

describe("a namespace", () => {
  test("that no key can be in is 400", async () => {
    for (const bad of ["Default", "-a", "_a", "", "..", "%64efault", "a".repeat(64)]) {
      expect(await reached(`${bad}/k`)).toBe(400);
    }
  });

  test("unknown is 404 namespace_not_found after peers were asked for a newer layout", async () => {
    const answer = await world.call("GET", "/v1/kv/shop/k");
    expect(answer.status).toBe(404);
    expect((await problemOf(answer))["code"]).toBe("namespace_not_found");
    expect(world.refreshes).toBe(1);
  });

  test("created elsewhere a moment ago is found by asking", async () => {
    world.onRefresh = () => {
      world.layout = layoutOf([{ id: parseNamespaceId(2), name: "shop", policy: "default" }]);
    };
    expect(await reached("shop/k")).toBe("k");
    expect(world.service.gets[0]?.key.namespace).toBe(parseNamespaceId(2));
  });

  test("before there is any layout is 503 not_formed with Retry-After", async () => {
    world.layout = undefined;
    const answer = await world.call("GET", "/v1/kv/default/k");
    expect(answer.headers.get("retry-after")).toBe("1");
    expect((await problemOf(answer))["code"]).toBe("not_formed");
  });
});

test("without the raw target (Bun) the key is what the URL parser left", async () => {
  await world.call("GET", "/v1/kv/default/a%2Fb//c?consistency=one", { hidesTarget: true });
  expect(world.service.gets[0]?.key.text).toBe("a/b//c");
  expect(locateKey.name).toBe("locateKey");
});

test("a path that only a URL parser leads to a key is refused", async () => {
  const answer = await world.call("GET", "/v1/x/../kv/default/k");
  expect(answer.status).toBe(400);
  expect(world.service.gets).toEqual([]);
});
