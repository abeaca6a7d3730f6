import { beforeEach, describe, expect, test } from "bun:test";
import { decode, encode } from "@msgpack/msgpack";
import { BATCH_BYTES_MAX } from "../../src/core/limits.ts";
import { batchFormOf } from "../../src/http/batch-codec.ts";
import { operationOf } from "../../src/http/batch-item.ts";
import { batchRoute } from "../../src/http/batch-routes.ts";
import { dotOf, siblingOf } from "../support/arbitraries.ts";
import {
  createHttpWorld,
  type HttpWorld,
  problemOf,
  START_MS,
  settingsWith,
} from "../support/http-world.ts";

type Result = { status: number; error?: { code: string; detail: string } } & Record<
  string,
  unknown
>;

const JSON_TYPE = { "content-type": "application/json" };
let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
});

function post(body: unknown, query = "") {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return world.call("POST", `/v1/batch/default${query}`, { body: text, headers: JSON_TYPE });
}

async function run(ops: readonly unknown[], query = ""): Promise<Result[]> {
  const answer = await post({ ops }, query);
  expect(answer.status).toBe(200);
  return ((await answer.json()) as { results: Result[] }).results;
}

describe("a batch", () => {
  test("metadata nested deeper than a stack is too long, and no bug", async () => {
    const deep = "[".repeat(200_000) + "]".repeat(200_000);
    const op = `{ "op": "put", "key": "k", "value": "", "metadata": ${deep} }`;
    const answer = await post(`{ "ops": [${op}] }`);
    const { results } = (await answer.json()) as { results: Result[] };
    expect(results).toMatchObject([{ status: 413, error: { code: "payload_too_large" } }]);
  });

  test("puts, gets and deletes, and answers in the order it was asked", async () => {
    const stored = await run([
      { op: "put", key: "a", value: "AAEC", contentType: "x/y", metadata: { m: 1 }, ttl: 60 },
      { op: "put", key: "b", value: "" },
      { op: "delete", key: "c" },
    ]);
    expect(stored.map((result) => result.status)).toEqual([204, 204, 204]);
    expect(stored[0]?.["context"]).toMatch(/^[\w-]+$/);
    const [c, a, b] = await run([
      { op: "get", key: "c" },
      { op: "get", key: "a" },
      { op: "get", key: "b" },
    ]);
    expect(c?.status).toBe(404);
    expect(c?.error?.code).toBe("not_found");
    expect(c?.["context"]).toMatch(/^[\w-]+$/);
    expect(a).toMatchObject({
      status: 200,
      value: "AAEC",
      contentType: "x/y",
      metadata: { m: 1 },
      expires: START_MS / 1000 + 60,
      siblingCount: 1,
    });
    expect(b).toMatchObject({ status: 200, value: "", contentType: "application/octet-stream" });
  });

  test("in MessagePack carries values as bytes, which stored values do not keep alive", async () => {
    const headers = { "content-type": "application/msgpack" };
    const ops = [{ op: "put", key: "a", value: Uint8Array.of(0, 255, 1) }];
    const stored = await world.call("POST", "/v1/batch/default", {
      body: encode({ ops }),
      headers,
    });
    expect(stored.headers.get("content-type")).toBe("application/msgpack");
    expect(world.service.puts[0]?.value.buffer.byteLength).toBe(3);
    const got = await world.call("POST", "/v1/batch/default", {
      body: encode({ ops: [{ op: "get", key: "a" }] }),
      headers,
    });
    const { results } = decode(await got.arrayBuffer()) as { results: Result[] };
    expect(results[0]?.["value"]).toEqual(Uint8Array.of(0, 255, 1));
  });

  test("gives each item the code of the single call, and one failure does not touch the others", async () => {
    await run([{ op: "put", key: "have", value: "MQ==" }]);
    const results = await run([
      { op: "put", key: "ok", value: "MQ==" },
      { op: "put", key: "", value: "MQ==" },
      { op: "put", key: "k".repeat(513), value: "MQ==" },
      { op: "put", key: "v", value: "not base64!" },
      { op: "put", key: "m", value: "MQ==", metadata: "x".repeat(1024) },
      { op: "put", key: "t", value: "MQ==", ttl: -1 },
      { op: "put", key: "c", value: "MQ==", context: "forged" },
      { op: "put", key: "have", value: "MQ==", ifNoneMatch: "*" },
      { op: "get", key: "g", value: "MQ==" },
      { op: "increment", key: "i" },
      { key: "n" },
      { op: "put", key: "\ud800", value: "MQ==" },
    ]);
    expect(results.map((result) => result.error?.code ?? result.status)).toEqual([
      204,
      "bad_request",
      "uri_too_long",
      "bad_request",
      "payload_too_large",
      "bad_request",
      "invalid_context",
      "precondition_failed",
      "bad_request",
      "bad_request",
      "bad_request",
      "bad_request",
    ]);
    expect(results.map((result) => result.status)).toEqual([
      204, 400, 414, 400, 413, 400, 422, 412, 400, 400, 400, 400,
    ]);
  });

  test("takes terms for all its items from the query", async () => {
    world.settings.set(1, settingsWith({ valueBytesMax: 2 }));
    const ops = [
      { op: "get", key: "g" },
      { op: "put", key: "p", value: "MQ==" },
      { op: "put", key: "large", value: "MTIz" },
    ];
    const results = await run(ops, "?r=1&w=2&sloppy=false&conflict=siblings");
    expect(results.map((result) => result.status)).toEqual([404, 204, 413]);
    expect(world.service.gets[0]).toMatchObject({
      consistency: { count: 1 },
      sloppy: false,
      conflict: "siblings",
    });
    expect(world.service.puts[0]).toMatchObject({ consistency: { count: 2 }, sloppy: false });
  });

  test("shows several live siblings as 300", async () => {
    for (const actor of [1, 2]) {
      const dot = dotOf(actor, 0, 1);
      world.service.merge(world.key("s"), { context: [dot], siblings: [siblingOf(dot)] });
    }
    const [result] = await run([{ op: "get", key: "s" }], "?conflict=siblings");
    expect(result?.status).toBe(300);
    expect(result?.["siblingCount"]).toBe(2);
    expect(result?.["siblings"]).toHaveLength(2);
  });

  test("of nothing is answered with nothing", async () => {
    expect(await run([])).toEqual([]);
  });

  test("passes a failure of the floors below on, item by item", async () => {
    world.service.failures.push({ status: "disk-full" });
    const [first, second] = await run([
      { op: "put", key: "a", value: "MQ==" },
      { op: "put", key: "b", value: "MQ==" },
    ]);
    expect(first?.error?.code).toBe("disk_full");
    expect(first?.status).toBe(507);
    expect(second?.status).toBe(204);
  });
});

describe("a refused batch", () => {
  test("malformed as a whole is 400", async () => {
    const bad = [
      "",
      "{",
      "null",
      "[]",
      "{}",
      '{"ops":{}}',
      '{"ops":[1]}',
      '{"ops":[null]}',
      '{"ops":[],"x":1}',
      '{"ops":[[]]}',
    ];
    for (const body of bad) expect((await post(body)).status).toBe(400);
    const latin = Uint8Array.of(0x7b, 0xff, 0x7d);
    const answer = await world.call("POST", "/v1/batch/default", {
      body: latin,
      headers: JSON_TYPE,
    });
    expect(answer.status).toBe(400);
  });

  test("with the same key twice is 400 and does nothing", async () => {
    const ops = [
      { op: "put", key: "a", value: "MQ==" },
      { op: "get", key: "a" },
    ];
    const problem = await problemOf(await post({ ops }));
    expect(problem["detail"]).toContain("same key");
    expect(world.service.puts).toEqual([]);
  });

  test("of more than 1000 operations is 400", async () => {
    const ops = Array.from({ length: 1001 }, (_, i) => ({ op: "get", key: `k${i}` }));
    expect((await post({ ops })).status).toBe(400);
    expect((await post({ ops: ops.slice(1) })).status).toBe(200);
  });

  test("as a type that is neither JSON nor MessagePack is 415", async () => {
    const init = { body: "{}", headers: { "content-type": "text/plain" } };
    expect((await world.call("POST", "/v1/batch/default", init)).status).toBe(415);
    expect(batchFormOf("application/json; charset=utf-8").contentType).toBe("application/json");
  });

  test("beyond 64 MiB is 413 by its length alone", async () => {
    const headers = { ...JSON_TYPE, "content-length": String(BATCH_BYTES_MAX + 1) };
    const answer = await world.call("POST", "/v1/batch/default", { body: "{}", headers });
    expect(answer.status).toBe(413);
  });

  test("broken MessagePack is 400: cut, with a length beyond the end, nested, extension, bad UTF-8", async () => {
    const bodies = [
      [0x81, 0xa3, 0x6f, 0x70],
      [0xdd, 0xff, 0xff, 0xff, 0xff],
      Array.from({ length: 40 }, () => 0x91),
      [0xd4, 0x00, 0x00],
      [0x81, 0xa2, 0xff, 0xfe, 0x90],
    ];
    for (const bytes of bodies) {
      const answer = await world.call("POST", "/v1/batch/default", {
        body: Uint8Array.from(bytes),
        headers: { "content-type": "application/x-msgpack" },
      });
      expect(answer.status).toBe(400);
    }
  });

  test("names and prototypes of objects are not confused", async () => {
    const [result] = await run([JSON.parse('{"op":"get","key":"a","__proto__":{"x":1}}')]);
    expect(result?.status).toBe(400);
    expect(operationOf({ op: "get", key: "a" })).toBe("get");
    expect(batchRoute.length).toBe(1);
  });
});

test("an answer stays within 64 MiB: later items are 413", async () => {
  const value = new Uint8Array(20 * 1024 * 1024);
  const dot = dotOf(1, 0, 1);
  const keys = ["a", "b", "c", "d"];
  for (const key of keys) {
    const sibling = siblingOf(dot, { value, valueBytes: value.length });
    world.service.merge(world.key(key), { context: [dot], siblings: [sibling] });
  }
  const body = encode({ ops: keys.map((key) => ({ op: "get", key })) });
  const headers = { "content-type": "application/msgpack" };
  const answer = await world.call("POST", "/v1/batch/default", { body, headers });
  const { results } = decode(await answer.arrayBuffer()) as { results: Result[] };
  expect(results.map((result) => result.status)).toEqual([200, 200, 200, 413]);
});
