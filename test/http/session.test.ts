import { beforeEach, describe, expect, test } from "bun:test";
import { createHttpWorld, type HttpWorld, problemOf } from "../support/http-world.ts";

const K = "/v1/kv/default/k";
let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
});

/** One call of a session; the token is that of its answer, or the one before when it brings none. */
async function call(method: string, path: string, token: string, body?: string) {
  const answer = await world.call(method, path, {
    headers: { "gyre-session": token, "content-type": "application/json" },
    ...(body === undefined ? {} : { body }),
  });
  return { answer, token: answer.headers.get("gyre-session") ?? token };
}

function demand(at = -1) {
  return world.service.gets.at(at)?.session ?? null;
}

describe("Gyre-Session", () => {
  test("is in no answer to a request without one, and such a request asks for nothing", async () => {
    const put = await world.call("PUT", K, { body: "v" });
    const got = await world.call("GET", K);
    expect([put, got].map((answer) => answer.headers.get("gyre-session"))).toEqual([null, null]);
    expect([world.service.puts[0]?.session, demand()]).toEqual([null, null]);
  });

  test("begins with the word new, and grows with every answer", async () => {
    const put = await call("PUT", K, "new", "v");
    expect(put.answer.status).toBe(204);
    expect(put.token).toMatch(/^[\w-]{40,}$/);
    const got = await call("GET", K, put.token);
    expect(got.answer.status).toBe(200);
    expect(await got.answer.text()).toBe("v");
    expect(demand()?.minimum?.dots).toHaveLength(1);
    expect(demand()?.newestStamp).toBeGreaterThan(0);
    const other = await call("GET", "/v1/kv/default/other", got.token);
    expect(other.answer.status).toBe(404);
    expect(demand()?.minimum).toBeNull();
  });

  test("comes with GET, HEAD, 304, 300, DELETE and the 404 of what was deleted", async () => {
    let { token } = await call("PUT", K, "new", "v");
    const steps = [
      ["GET", K, 200],
      ["HEAD", K, 200],
      ["DELETE", K, 204],
      ["GET", K, 404],
      ["HEAD", K, 404],
    ] as const;
    for (const [method, path, status] of steps) {
      const { answer } = await call(method, path, token);
      expect([method, answer.status]).toEqual([method, status]);
      token = answer.headers.get("gyre-session") ?? "none";
      expect(token).toMatch(/^[\w-]{40,}$/);
    }
    expect(demand()?.minimum?.goneFromMs).toBe(0);
    const { answer } = await call("PUT", K, token, "w");
    const etag = answer.headers.get("etag") ?? "";
    const same = await world.call("GET", K, {
      headers: { "gyre-session": token, "if-none-match": etag },
    });
    expect([same.status, same.headers.has("gyre-session")]).toEqual([304, true]);
  });

  test("is given by no answer that failed: the session goes on from its last token", async () => {
    const { token } = await call("PUT", K, "new", "v");
    for (const failure of ["overloaded", "disk-full"] as const) {
      world.service.failures.push({ status: failure });
      const { answer } = await call("PUT", K, token, "w");
      expect(answer.headers.get("gyre-session")).toBeNull();
    }
    await call("GET", K, token);
    expect(demand()?.minimum?.dots).toHaveLength(1);
  });

  test("that no replica in reach can serve is 503 session_not_reached with Retry-After", async () => {
    const { token } = await call("PUT", K, "new", "v");
    world.service.failures.push({
      status: "session-not-reached",
      acks: { primary: 2, fallback: 0, of: 3 },
    });
    const { answer } = await call("GET", K, token);
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(await problemOf(answer)).toMatchObject({
      code: "session_not_reached",
      acks: { primary: 2, fallback: 0, of: 3 },
    });
  });

  test("that nobody issued is 400 invalid_session on every call about data, before anything is done", async () => {
    const { token } = await call("PUT", K, "new", "v");
    const before = world.service.puts.length;
    const forged = [token.slice(0, -1), `${token}A`, `${token}, ${token}`, "", "NEW", "x"];
    for (const text of [...forged, "A".repeat(9_000)]) {
      const calls = [
        call("GET", K, text),
        call("HEAD", K, text),
        call("PUT", K, text, "x"),
        call("DELETE", K, text),
        call("GET", "/v1/keys/default", text),
        call("POST", "/v1/batch/default", text, "{}"),
      ];
      for (const { answer } of await Promise.all(calls)) {
        expect(answer.status).toBe(400);
        if (answer.headers.has("content-length")) continue;
        expect((await problemOf(answer))["code"]).toBe("invalid_session");
      }
    }
    expect(world.service.puts).toHaveLength(before);
  });

  test("spans namespaces: the same key of another one was not seen", async () => {
    await world.call("PUT", "/v1/namespaces/shop", { body: "{}" });
    const { token } = await call("PUT", K, "new", "v");
    await call("GET", "/v1/kv/shop/k", token);
    expect(demand()?.minimum).toBeNull();
  });
});

describe("a batch of a session", () => {
  const batch = (ops: readonly unknown[], token: string) =>
    call("POST", "/v1/batch/default", token, JSON.stringify({ ops }));

  test("takes one session in and gives one out that knows all its items", async () => {
    const { token } = await batch(
      [
        { op: "put", key: "a", value: "AA==" },
        { op: "put", key: "b", value: "AA==" },
        { op: "delete", key: "c" },
        { op: "get", key: "d" },
      ],
      "new",
    );
    const { answer } = await batch(
      ["a", "b", "c", "d"].map((key) => ({ op: "get", key })),
      token,
    );
    expect(answer.status).toBe(200);
    const dots = world.service.gets.slice(-4).map(({ session }) => session?.minimum?.dots.length);
    expect(dots).toEqual([1, 1, 1, undefined]);
  });

  test("that only reads teaches the session what it found", async () => {
    await world.call("PUT", K, { body: "v" });
    const { token } = await batch([{ op: "get", key: "k" }], "new");
    await call("GET", K, token);
    expect(demand()?.minimum?.dots).toHaveLength(1);
  });

  test("hands the session's stamp to its puts, and fails item by item", async () => {
    const { token } = await call("PUT", K, "new", "v");
    world.service.failures.push({
      status: "session-not-reached",
      acks: { primary: 1, fallback: 0, of: 3 },
    });
    const { answer } = await batch(
      [
        { op: "get", key: "k" },
        { op: "put", key: "b", value: "" },
      ],
      token,
    );
    const { results } = (await answer.json()) as { results: { status: number; error?: object }[] };
    expect(results).toMatchObject([
      { status: 503, error: { code: "session_not_reached" } },
      { status: 204 },
    ]);
    expect(world.service.puts.at(-1)?.session?.newestStamp).toBeGreaterThan(0);
  });
});

test("a list is asked for with the whole session, and leaves it as it is", async () => {
  const { token } = await call("PUT", K, "new", "v");
  const { answer } = await call("GET", "/v1/keys/default", token);
  expect([answer.status, answer.headers.get("gyre-session")]).toEqual([200, null]);
  expect(world.service.lists[0]?.session?.entries).toHaveLength(1);
});
