import { beforeEach, describe, expect, test } from "bun:test";
import { parseStrongTags } from "../../src/http/entity-tags.ts";
import { KvRoutes } from "../../src/http/kv-routes.ts";
import {
  createHttpWorld,
  type HttpWorld,
  problemOf,
  START_MS,
  settingsWith,
} from "../support/http-world.ts";

const K = "/v1/kv/default/k";
let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
});

function put(body: string | Uint8Array, headers: Record<string, string> = {}, query = "") {
  return world.call("PUT", K + query, { body, headers });
}

async function context(): Promise<string> {
  return (await world.call("GET", K)).headers.get("gyre-context") ?? "";
}

describe("a value", () => {
  test("comes back as the bytes and the content type it was put with", async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const stored = await put(bytes, { "content-type": "image/x-test; a=b" });
    expect(stored.status).toBe(204);
    expect((await stored.arrayBuffer()).byteLength).toBe(0);
    const got = await world.call("GET", K);
    expect(got.status).toBe(200);
    expect(got.headers.get("content-type")).toBe("image/x-test; a=b");
    expect(new Uint8Array(await got.arrayBuffer())).toEqual(bytes);
  });

  test("of zero bytes is a value, not absence", async () => {
    await put("");
    const got = await world.call("GET", K);
    expect(got.status).toBe(200);
    expect(await got.text()).toBe("");
    expect((await world.call("HEAD", K)).headers.get("content-length")).toBe("0");
  });

  test("put without a content type is application/octet-stream", async () => {
    await put(new Uint8Array([1]));
    expect((await world.call("GET", K)).headers.get("content-type")).toBe(
      "application/octet-stream",
    );
  });

  test("is served so that a browser neither sniffs nor runs it", async () => {
    await put("<script>1</script>", { "content-type": "text/html" });
    const { headers } = await world.call("GET", K);
    expect(headers.get("x-content-type-options")).toBe("nosniff");
    expect(headers.get("content-security-policy")).toBe("sandbox; default-src 'none'");
  });

  test("carries every header that the API promises", async () => {
    await put("x", { "gyre-metadata": encodeURIComponent('{"a":"ü"}') }, "?ttl=60");
    const { headers } = await world.call("GET", K);
    expect(headers.get("etag")).toMatch(/^"[0-9a-f]{32}"$/);
    expect(headers.get("gyre-context")).toMatch(/^[A-Za-z0-9_-]{40,}$/);
    expect(headers.get("gyre-siblings")).toBe("1");
    expect(headers.get("gyre-acks")).toBe("primary=2 fallback=1 of=3");
    expect(headers.get("gyre-metadata")).toBe("%7B%22a%22%3A%22%C3%BC%22%7D");
    expect(headers.get("gyre-expires")).toBe(String(START_MS / 1000 + 60));
    expect(headers.get("last-modified")).toBe("Thu, 01 Jan 2026 00:00:00 GMT");
    expect(headers.get("server-timing")).toMatch(/^total;dur=\d/);
    expect(headers.get("x-request-id")).toMatch(/^[0-9a-f]{10}-[0-9a-z]+$/);
    expect(headers.get("vary")).toBe("Accept, Authorization, Origin, Gyre-Session");
  });
});

describe("HEAD", () => {
  test("has the headers of GET and its length, without a body", async () => {
    await put("hello");
    const get = await world.call("GET", K);
    const head = await world.call("HEAD", K);
    expect(head.status).toBe(200);
    expect(head.headers.get("content-length")).toBe("5");
    expect(await head.text()).toBe("");
    for (const name of ["etag", "gyre-context", "content-type", "gyre-siblings", "cache-control"]) {
      expect(head.headers.get(name)).toBe(get.headers.get(name));
    }
  });

  test("of an absent key is 404 with the length that GET's problem has", async () => {
    const get = await (await world.call("GET", K)).text();
    const head = await world.call("HEAD", K);
    expect(head.status).toBe(404);
    expect(head.headers.get("content-length")).toBe(String(get.length));
    expect(await head.text()).toBe("");
  });
});

describe("absence", () => {
  test("is 404 not_found, without a context when nothing was ever there", async () => {
    const got = await world.call("GET", K);
    expect(got.headers.has("gyre-context")).toBe(false);
    expect((await problemOf(got))["code"]).toBe("not_found");
  });

  test("by a tombstone is 404 with its context and 0 siblings", async () => {
    await put("x");
    expect((await world.call("DELETE", K)).status).toBe(204);
    const got = await world.call("GET", K);
    expect(got.status).toBe(404);
    expect(got.headers.get("gyre-context")).toMatch(/^[\w-]+$/);
    expect(got.headers.get("gyre-siblings")).toBe("0");
    expect(got.headers.get("gyre-deleted-siblings")).toBe("1");
  });

  test("by expiry is 404 with the context", async () => {
    await put("x", {}, "?ttl=10");
    world.advance(9_999);
    expect((await world.call("GET", K)).status).toBe(200);
    world.advance(1);
    const got = await world.call("GET", K);
    expect(got.status).toBe(404);
    expect(got.headers.has("gyre-context")).toBe(true);
  });

  test("DELETE is idempotent: 204 also when there was nothing", async () => {
    expect((await world.call("DELETE", K)).status).toBe(204);
    expect((await world.call("DELETE", K)).status).toBe(204);
  });
});

describe("a context", () => {
  test("from a put with a single sibling replaces that value", async () => {
    const token = (await put("1")).headers.get("gyre-context") ?? "";
    const second = await put("2", { "gyre-context": token });
    expect(second.headers.get("gyre-siblings")).toBe("1");
    expect(second.headers.has("gyre-context")).toBe(true);
  });

  test("is absent from the answer of a put that left two siblings, and the count says why", async () => {
    await put("0");
    const base = await context();
    await put("1", { "gyre-context": base });
    const second = await put("2", { "gyre-context": base });
    expect(second.status).toBe(204);
    expect(second.headers.get("gyre-siblings")).toBe("2");
    expect(second.headers.has("gyre-context")).toBe(false);
  });

  test("that was changed, cut or made up is 422 invalid_context and nothing is stored", async () => {
    await put("1");
    const token = await context();
    for (const bad of ["", "x", token.slice(1), `${token}A`, "A".repeat(20_000)]) {
      const answer = await put("2", { "gyre-context": bad });
      expect(answer.status).toBe(422);
      expect((await problemOf(answer))["code"]).toBe("invalid_context");
    }
    expect(await (await world.call("GET", K)).text()).toBe("1");
  });

  test("carries the newest stamp of what it covers to the coordinator", async () => {
    await put("1");
    await put("2", { "gyre-context": await context() });
    const [first, second] = world.service.puts;
    expect(first?.context).toBe(null);
    expect(second?.context?.newestStamp).toBe(START_MS * 1000 + 1);
    expect(second?.context?.entries.length).toBe(1);
  });
});

describe("conditional requests", () => {
  test("GET and HEAD answer 304 to If-None-Match, weak or strong or *", async () => {
    const etag = (await put("x")).headers.get("etag") ?? "";
    for (const value of [etag, `W/${etag}`, `"other", ${etag}`, "*"]) {
      for (const method of ["GET", "HEAD"]) {
        const got = await world.call(method, K, { headers: { "if-none-match": value } });
        expect(got.status).toBe(304);
        expect(await got.text()).toBe("");
        expect(got.headers.get("etag")).toBe(etag);
        expect(got.headers.has("gyre-context")).toBe(true);
        expect(got.headers.get("gyre-siblings")).toBe("1");
        expect(got.headers.get("cache-control")).toBe("private, no-cache");
      }
    }
    const other = await world.call("GET", K, { headers: { "if-none-match": '"other"' } });
    expect(other.status).toBe(200);
  });

  test("the ETag of the put is that of the get, and a change of content type alone changes it", async () => {
    const etag = (await put("x", { "content-type": "text/a" })).headers.get("etag");
    expect((await world.call("GET", K)).headers.get("etag")).toBe(etag);
    await put("x", { "content-type": "text/b" });
    expect((await world.call("GET", K)).headers.get("etag")).not.toBe(etag);
  });

  test("If-None-Match: * creates once, then 412 with the present ETag", async () => {
    const first = await put("1", { "if-none-match": "*" });
    expect(first.status).toBe(204);
    const second = await put("2", { "if-none-match": "*" });
    expect(second.status).toBe(412);
    expect(second.headers.get("etag")).toBe(first.headers.get("etag"));
    expect((await problemOf(second))["code"]).toBe("precondition_failed");
  });

  test("If-Match compares strongly: W/ never matches", async () => {
    const etag = (await put("1")).headers.get("etag") ?? "";
    expect((await put("2", { "if-match": `W/${etag}` })).status).toBe(412);
    expect((await put("2", { "if-match": `"a", ${etag}` })).status).toBe(204);
    expect((await world.call("DELETE", K, { headers: { "if-match": etag } })).status).toBe(412);
  });

  test("a malformed tag list is 400, not ignored", async () => {
    for (const bad of ["abc", '"a', "", "* , *", 'w/"a"']) {
      expect((await put("2", { "if-match": bad })).status).toBe(400);
    }
    await put("1");
    const got = await world.call("GET", K, { headers: { "if-none-match": "abc" } });
    expect(got.status).toBe(400);
  });
});

describe("caching", () => {
  test("is private, no-cache on 200 and no-store on all else", async () => {
    await put("x");
    expect((await world.call("GET", K)).headers.get("cache-control")).toBe("private, no-cache");
    const others = [
      await world.call("GET", "/v1/kv/default/none"),
      await put("y"),
      await world.call("DELETE", K),
      await world.call("GET", `${K}?x=1`),
      await world.call("PATCH", K),
    ];
    for (const other of others) expect(other.headers.get("cache-control")).toBe("no-store");
  });

  test("follows the namespace's max-age on 200 only", async () => {
    world.settings.set(1, settingsWith({ maxAgeSeconds: 60 }));
    await put("x");
    expect((await world.call("GET", K)).headers.get("cache-control")).toBe("max-age=60");
    const none = await world.call("GET", "/v1/kv/default/none");
    expect(none.headers.get("cache-control")).toBe("no-store");
  });
});

describe("expiry", () => {
  const expiryOf = async (query: string): Promise<number | string> => {
    const answer = await put("x", {}, query);
    return answer.status === 204 ? (world.service.puts.at(-1)?.expiresAtMs ?? -1) : answer.status;
  };

  test("ttl takes fractions, is rounded up to a millisecond, and 0 is never", async () => {
    expect(await expiryOf("?ttl=0.5")).toBe(START_MS + 500);
    expect(await expiryOf("?ttl=0.0001")).toBe(START_MS + 1);
    expect(await expiryOf("?ttl=0")).toBe(0);
    expect(await expiryOf("")).toBe(0);
  });

  test("ttl=0 overrides the namespace's default, which holds otherwise", async () => {
    world.settings.set(1, settingsWith({ defaultTtlSeconds: 30 }));
    expect(await expiryOf("")).toBe(START_MS + 30_000);
    expect(await expiryOf("?ttl=0")).toBe(0);
    expect(await expiryOf("?ttl=5")).toBe(START_MS + 5_000);
  });

  test("expires is unix seconds and must be to come", async () => {
    expect(await expiryOf(`?expires=${START_MS / 1000 + 1.25}`)).toBe(START_MS + 1_250);
    expect(await expiryOf(`?expires=${START_MS / 1000}`)).toBe(400);
    expect(await expiryOf("?expires=0")).toBe(400);
  });

  test("both, negative, words, exponents and the far future are 400", async () => {
    const bad = [
      "?ttl=1&expires=9999999999",
      "?ttl=-1",
      "?ttl=abc",
      "?ttl=1e3",
      "?ttl=",
      "?ttl=999999999999",
    ];
    for (const query of bad) expect(await expiryOf(query)).toBe(400);
  });

  test("a delete takes no ttl", async () => {
    expect((await world.call("DELETE", `${K}?ttl=1`)).status).toBe(400);
  });
});

describe("consistency", () => {
  test("comes from the namespace unless the request names one", async () => {
    world.settings.set(1, settingsWith({ consistency: "local-quorum", conflict: "latest" }));
    await world.call("GET", K);
    await world.call("GET", `${K}?consistency=one&conflict=siblings`);
    await world.call("GET", `${K}?r=2&sloppy=false`);
    const terms = world.service.gets.map(({ consistency, sloppy, conflict }) => ({
      consistency,
      sloppy,
      conflict,
    }));
    expect(terms).toEqual([
      { consistency: { level: "local-quorum" }, sloppy: true, conflict: "latest" },
      { consistency: { level: "one" }, sloppy: true, conflict: "siblings" },
      { consistency: { count: 2 }, sloppy: false, conflict: "latest" },
    ]);
    await put("x", {}, "?w=3");
    expect(world.service.puts[0]?.consistency).toEqual({ count: 3 });
  });

  test("all and each-quorum imply sloppy=false and refuse sloppy=true", async () => {
    for (const level of ["all", "each-quorum"]) {
      await world.call("GET", `${K}?consistency=${level}`);
      expect(world.service.gets.at(-1)?.sloppy).toBe(false);
      expect((await world.call("GET", `${K}?consistency=${level}&sloppy=true`)).status).toBe(400);
    }
  });

  test("a strict namespace makes sloppy=false the default and refuses sloppy=true", async () => {
    world.settings.set(1, settingsWith({ strict: true }));
    await world.call("GET", K);
    await put("x");
    expect(world.service.gets[0]?.sloppy).toBe(false);
    expect(world.service.puts[0]?.sloppy).toBe(false);
    expect((await put("x", {}, "?sloppy=true")).status).toBe(400);
  });

  test("an unknown, malformed, repeated or contradictory option is 400 and names itself", async () => {
    const bad = [
      ["GET", "?w=1", "w"],
      ["GET", "?consistency=most", "consistency"],
      ["GET", "?r=0", "r=0"],
      ["GET", "?r=1.5", "r=1.5"],
      ["GET", "?r=17", "r=17"],
      ["GET", "?r=1&consistency=one", "r="],
      ["GET", "?sloppy=yes", "sloppy"],
      ["GET", "?sloppy", "sloppy"],
      ["GET", "?conflict=newest", "conflict"],
      ["GET", "?r=1&r=1", "twice"],
      ["GET", "?%zz=1", "%zz"],
      ["GET", "?__proto__=1", "__proto__"],
      ["PUT", "?r=1", "r"],
      ["DELETE", "?expires=1", "expires"],
    ] as const;
    for (const [method, query, name] of bad) {
      const problem = await problemOf(await world.call(method, K + query));
      expect(problem["code"]).toBe("bad_request");
      expect(problem["detail"]).toContain(name);
    }
    expect(world.service.gets.length + world.service.puts.length).toBe(0);
  });
});

describe("Idempotency-Key", () => {
  test("reaches the coordinator as a digest, with that of the body", async () => {
    await put("a", { "idempotency-key": "x".repeat(64) });
    await put("b", { "idempotency-key": "x".repeat(64) });
    await put("b");
    const [first, second, third] = world.service.puts;
    expect(first?.idempotencyKey).toHaveLength(16);
    expect(second?.idempotencyKey).toBe(first?.idempotencyKey ?? "");
    expect(second?.bodyDigest).not.toBe(first?.bodyDigest ?? "");
    expect(third?.idempotencyKey).toBe("");
    expect(third?.bodyDigest).toBe("");
  });

  test("above 64 bytes or empty is 400", async () => {
    expect((await put("a", { "idempotency-key": "x".repeat(65) })).status).toBe(400);
    expect((await put("a", { "idempotency-key": "" })).status).toBe(400);
  });
});

test("durability=process is told in every answer to a write", async () => {
  world = await createHttpWorld({ durability: "process" });
  expect((await put("x")).headers.get("gyre-durability")).toBe("process");
  expect(KvRoutes.name).toBe("KvRoutes");
});

describe("the tags of a condition", () => {
  const list = (count: number): string => Array.from({ length: count }, (_, i) => `"${i}"`).join();

  // At a node that is no home the forwarded put was refused as unreadable, with 503.
  test("are as many as a forwarded put can carry, and too many are a 400", () => {
    expect(parseStrongTags("If-Match", list(64))).toMatchObject({ tags: { length: 64 } });
    expect(() => parseStrongTags("If-Match", list(65))).toThrow("want at most 64");
  });

  test("match nothing when they are longer than any of ours", () => {
    const long = `"${"x".repeat(300)}"`;
    expect(parseStrongTags("If-None-Match", `${long}, "a"`)).toEqual({ tags: ['"a"'] });
  });
});
