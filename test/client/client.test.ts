import { beforeEach, describe, expect, test } from "bun:test";
import { createClient, type GyreClient } from "../../src/client/client.ts";
import { GyreConnectionError, GyreError } from "../../src/client/errors.ts";
import type { ClientWorld } from "../../src/client/request.ts";
import { connectionRefused } from "../support/cli-platform.ts";
import { createHttpWorld, type HttpWorld } from "../support/http-world.ts";

/** Servers as functions, and a clock that only sleeps move. */
interface Net {
  readonly world: Partial<ClientWorld>;
  readonly servers: Map<string, (target: string, init: RequestInit) => Promise<Response>>;
  /** Origins in the order they were called. */
  readonly calls: string[];
  nowMs: number;
  sleptMs: number;
}

const EU = "http://eu:1";
const US = "http://us:1";

function createNet(): Net {
  const net: Net = {
    servers: new Map(),
    calls: [],
    nowMs: 0,
    sleptMs: 0,
    world: {
      fetch: async (url, init) => {
        const { origin } = new URL(url);
        net.calls.push(origin);
        const server = net.servers.get(origin);
        if (server === undefined) throw connectionRefused(url);
        return await server(url.slice(origin.length), init);
      },
      nowMs: () => net.nowMs,
      sleep: (delayMs) => {
        net.nowMs += delayMs;
        net.sleptMs += delayMs;
        return Promise.resolve();
      },
      chance: () => 0.5,
    },
  };
  return net;
}

function refusal(
  status: number,
  code: string,
  more: object = {},
  headers: Record<string, string> = {},
) {
  return () =>
    Promise.resolve(
      Response.json(
        { status, code, detail: `because ${code}`, ...more },
        { status, headers: { "x-request-id": "r1", ...headers } },
      ),
    );
}

const stored = () => Promise.resolve(new Response(null, { status: 204 }));
const value = () => Promise.resolve(new Response("v", { headers: { etag: '"e"' } }));
const broken = () =>
  Promise.reject(new TypeError("fetch failed", { cause: new Error("socket hang up") }));

let net: Net;
let client: GyreClient;

beforeEach(() => {
  net = createNet();
  client = createClient({ endpoints: [EU, US], world: net.world });
});

async function rejection(promise: Promise<unknown>): Promise<GyreError | GyreConnectionError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof GyreError || error instanceof GyreConnectionError) return error;
  throw new Error("Not a client error", { cause: error });
}

describe("several servers", () => {
  test("the first in order is asked while it answers", async () => {
    net.servers.set(EU, value).set(US, value);
    await client.get("k");
    await client.get("k");
    expect(net.calls).toEqual([EU, EU]);
  });

  test("a server that cannot be reached is passed over at once, and for a while after", async () => {
    net.servers.set(US, value);
    await client.get("k");
    await client.get("k");
    expect(net.calls).toEqual([EU, US, US]);
    expect(net.sleptMs).toBe(0);
    net.nowMs += 5_001;
    net.servers.set(EU, value);
    await client.get("k");
    expect(net.calls.at(-1)).toBe(EU);
  });

  test("when all are out of reach the error names the last one and why", async () => {
    const error = await rejection(client.get("k"));
    expect(error).toBeInstanceOf(GyreConnectionError);
    expect(error.message).toMatch(/Cannot reach http:\/\/(eu|us):1: connect ECONNREFUSED/);
  });

  test("an address that is no URL is refused when the client is made", () => {
    expect(() => createClient({ endpoints: "eu:1" })).toThrow("Cannot use the endpoint");
    expect(() => createClient({ endpoints: [] })).toThrow("at least one URL");
  });
});

describe("what is tried again", () => {
  test("a get after a broken line", async () => {
    net.servers.set(EU, broken).set(US, value);
    expect(await client.get("k")).toMatchObject({ status: "found" });
    expect(net.calls).toEqual([EU, US]);
  });

  test("a put when nobody listens: certainly nothing was sent", async () => {
    net.servers.set(US, stored);
    await client.put("k", "v");
    expect(net.calls).toEqual([EU, US]);
  });

  test("not a put after a broken line: it may have been stored", async () => {
    net.servers.set(EU, broken).set(US, stored);
    const error = await rejection(client.put("k", "v"));
    expect(error).toMatchObject({ maybeSent: true, endpoint: EU });
    expect(net.calls).toEqual([EU]);
  });

  test("a put after a broken line if it has an Idempotency-Key, which goes along both times", async () => {
    const keys: unknown[] = [];
    net.servers.set(EU, broken).set(US, (_target, init) => {
      keys.push(new Headers(init.headers).get("idempotency-key"));
      return stored();
    });
    await client.put("k", "v", { idempotencyKey: "once" });
    expect(keys).toEqual(["once"]);
  });

  test("not an indeterminate put; yes one that was certainly not executed", async () => {
    net.servers
      .set(EU, refusal(503, "quorum_not_reached", { indeterminate: true }))
      .set(US, stored);
    expect(await rejection(client.put("k", "v"))).toMatchObject({
      code: "quorum_not_reached",
      indeterminate: true,
    });
    expect(net.calls).toEqual([EU]);
    net.servers.set(EU, refusal(503, "overloaded"));
    await client.put("k", "v");
    expect(net.calls).toEqual([EU, EU, US]);
  });

  test("not a put answered by a proxy's 503, which says nothing about the store", async () => {
    net.servers
      .set(EU, () => Promise.resolve(new Response("<html>", { status: 503 })))
      .set(US, stored);
    expect(await rejection(client.put("k", "v"))).toMatchObject({ code: "http_503", status: 503 });
    expect(net.calls).toEqual([EU]);
  });

  test.each([400, 401, 404, 409, 412, 413, 422, 500, 507])(
    "not a get answered with %d",
    async (status) => {
      net.servers.set(EU, refusal(status, "no")).set(US, value);
      await rejection(client.get("k"));
      expect(net.calls).toEqual([EU]);
    },
  );

  test("Retry-After is waited for once all servers were asked, the pause before grows at random", async () => {
    net.servers.set(EU, refusal(503, "overloaded", {}, { "retry-after": "1" }));
    net.servers.set(US, refusal(503, "overloaded", {}, { "retry-after": "1" }));
    const error = await rejection(client.get("k"));
    expect(error).toMatchObject({ retryAfterSeconds: 1 });
    expect(net.calls).toEqual([EU, US, EU, US]);
    expect(net.sleptMs).toBe(2000);
  });

  test("the time of a call bounds all its tries", async () => {
    net.servers.set(EU, refusal(503, "overloaded", {}, { "retry-after": "1" }));
    net.servers.set(US, refusal(503, "overloaded", {}, { "retry-after": "1" }));
    await rejection(client.get("k", { timeoutMs: 900 }));
    expect(net.calls).toEqual([EU, US]);
  });

  test("retries are a tenth of the requests once the budget is spent", async () => {
    net.servers.set(EU, refusal(503, "overloaded")).set(US, refusal(503, "overloaded"));
    for (let i = 0; i < 20; i++) await rejection(client.get("k"));
    net.calls.length = 0;
    for (let i = 0; i < 100; i++) await rejection(client.get("k"));
    expect(net.calls.length).toBeGreaterThanOrEqual(108);
    expect(net.calls.length).toBeLessThanOrEqual(112);
  });

  test("a caller's abort is the caller's, and is not tried again", async () => {
    const abort = new AbortController();
    net.servers.set(EU, () => {
      abort.abort(new Error("enough"));
      return broken();
    });
    expect(await client.get("k", { signal: abort.signal }).catch(String)).toBe("Error: enough");
    expect(net.calls).toEqual([EU]);
  });
});

describe("what no connection looks like", () => {
  const coded = (code: string) => Object.assign(new Error("x"), { code });
  test.each<[string, unknown, boolean]>([
    ["Node, refused", new TypeError("fetch failed", { cause: coded("ECONNREFUSED") }), false],
    [
      "Node, both addresses refused",
      new TypeError("fetch failed", { cause: new AggregateError([coded("ECONNREFUSED")]) }),
      false,
    ],
    ["Node, unknown name", new TypeError("fetch failed", { cause: coded("ENOTFOUND") }), false],
    ["Bun, refused", coded("ConnectionRefused"), false],
    [
      "Deno, refused",
      new TypeError(
        "error sending request: client error (Connect): tcp connect error: Connection refused",
      ),
      false,
    ],
    ["Node, closed", new TypeError("fetch failed", { cause: coded("ECONNRESET") }), true],
    ["Bun, closed", coded("ECONNRESET"), true],
    ["a time-out", new DOMException("timed out", "TimeoutError"), true],
  ])("%s", (_name, cause, maybeSent) => {
    expect(new GyreConnectionError(EU, { cause }).maybeSent).toBe(maybeSent);
  });
});

describe("against the real HTTP application", () => {
  let world: HttpWorld;

  beforeEach(async () => {
    world = await createHttpWorld({ url: EU });
    net.servers.set(EU, (target, init) =>
      world.call(init.method ?? "GET", target, {
        headers: init.headers as Record<string, string>,
        ...(init.body === undefined || init.body === null ? {} : { body: init.body as Uint8Array }),
      }),
    );
  });

  /** Two live values under "k", as two coordinators would leave them. */
  async function makeSiblings(): Promise<void> {
    const { context } = await client.get("k");
    const options = context === null ? {} : { context };
    await client.put("k", "one", options);
    await client.put("k", "two", options);
  }

  test("a value comes back with everything it was put with", async () => {
    const bytes = new Uint8Array([0, 255, 10]);
    const put = await client.put("a/../b", bytes, {
      metadata: { é: 1 },
      contentType: "image/png",
      expires: 1_767_225_700,
    });
    expect(put).toMatchObject({ siblings: 1 });
    const got = await client.get("a/../b");
    expect(got).toMatchObject({
      status: "found",
      siblings: 1,
      etag: put.etag,
      context: put.context,
    });
    if (got.status === "found")
      expect(got.value).toEqual({
        bytes,
        contentType: "image/png",
        metadata: { é: 1 },
        expires: 1_767_225_700,
      });
  });

  test("a missing key is an answer, a missing namespace an error", async () => {
    expect(await client.get("k")).toEqual({ status: "missing", context: null });
    expect(await rejection(client.get("k", { namespace: "nope" }))).toMatchObject({
      code: "namespace_not_found",
      status: 404,
    });
  });

  test("a deleted key is missing with a context", async () => {
    await client.put("k", "v");
    await client.delete("k");
    const got = await client.get("k");
    expect(got.status).toBe("missing");
    expect(typeof got.context).toBe("string");
  });

  test("If-None-Match: * stores once", async () => {
    await client.put("k", "1", { ifNoneMatch: "*" });
    expect(await rejection(client.put("k", "2", { ifNoneMatch: "*" }))).toMatchObject({
      code: "precondition_failed",
    });
  });

  test("update hands over all concurrent values and leaves one", async () => {
    await client.put("k", "zero");
    await makeSiblings();
    expect(await client.get("k", { conflict: "siblings" })).toMatchObject({ status: "siblings" });
    await client.update("k", (values) =>
      values
        .map(({ bytes }) => new TextDecoder().decode(bytes))
        .sort()
        .join("+"),
    );
    const got = await client.get("k", { conflict: "siblings" });
    expect(got).toMatchObject({ status: "found", siblings: 1 });
    if (got.status === "found") expect(new TextDecoder().decode(got.value.bytes)).toBe("one+two");
  });

  test("update deletes with null, and leaves the key alone with undefined", async () => {
    await client.put("k", "v");
    expect(await client.update("k", () => undefined)).toBe(undefined);
    expect((await client.get("k")).status).toBe("found");
    await client.update("k", () => null);
    expect((await client.get("k")).status).toBe("missing");
    expect(
      await client.update("k", (values) => (values.length === 0 ? "new" : undefined)),
    ).toMatchObject({ siblings: 1 });
  });

  test("list goes through all pages, each key once, in order", async () => {
    const names = Array.from({ length: 25 }, (_, i) => `p/${String(i).padStart(2, "0")}`);
    for (const name of names) await client.put(name, "v");
    await client.put("q", "v");
    const listed: string[] = [];
    for await (const { name } of client.list({ prefix: "p/", limit: 10 })) listed.push(name);
    expect(listed).toEqual(names);
    expect(world.service.lists.length).toBe(3);
  });

  test("batch gives a status for each operation", async () => {
    const results = await client.batch([
      { op: "put", key: "a", value: "AP8=", metadata: 1, ttl: 60 },
      { op: "get", key: "b" },
      { op: "delete", key: "c" },
    ]);
    expect(results.map((result) => result.status)).toEqual([204, 404, 204]);
    expect(await client.batch([{ op: "get", key: "a" }])).toMatchObject([
      { status: 200, value: "AP8=", metadata: 1 },
    ]);
  });

  test("consistency and counts go along as options", async () => {
    await client.put("k", "v", { w: 2, sloppy: false });
    await client.get("k", { consistency: "all", conflict: "latest" });
    expect(world.service.puts.at(-1)).toMatchObject({ consistency: { count: 2 }, sloppy: false });
    expect(world.service.gets.at(-1)).toMatchObject({
      consistency: { level: "all" },
      conflict: "latest",
    });
  });
});

describe("a session", () => {
  /** A server that counts its answers in the session's token, and takes a token from anywhere. */
  function counting(tokens: (string | null)[]) {
    let answers = 0;
    return (_target: string, init: RequestInit) => {
      tokens.push(new Headers(init.headers).get("gyre-session"));
      answers++;
      return Promise.resolve(
        new Response(init.method === "GET" ? "v" : null, {
          status: init.method === "GET" ? 200 : 204,
          headers: { "gyre-session": `t${answers}` },
        }),
      );
    };
  }

  test("begins with new and sends each time the token of the answer before", async () => {
    const tokens: (string | null)[] = [];
    net.servers.set(EU, counting(tokens));
    const session = client.session();
    expect(session.token).toBeNull();
    await session.put("k", "v");
    await session.get("k");
    await session.delete("k");
    expect(tokens).toEqual(["new", "t1", "t2"]);
    expect(session.token).toBe("t3");
    await client.get("k");
    expect(tokens.at(-1)).toBeNull();
  });

  test("runs calls that are made at once one after the other, and goes on after one that fails", async () => {
    const tokens: (string | null)[] = [];
    const count = counting(tokens);
    net.servers.set(EU, (target, init) =>
      target.endsWith("/bad") ? refusal(400, "bad_request")() : count(target, init),
    );
    const session = client.session();
    const [first, failed, last] = await Promise.allSettled([
      session.put("a", "v"),
      session.put("bad", "v"),
      session.get("a"),
    ]);
    expect([first.status, failed.status, last.status]).toEqual([
      "fulfilled",
      "rejected",
      "fulfilled",
    ]);
    expect(tokens).toEqual(["new", "t1"]);
  });

  test("goes on at another server from its token, and beside others from none of theirs", async () => {
    const tokens: (string | null)[] = [];
    net.servers.set(EU, counting(tokens));
    const session = client.session();
    await session.put("k", "v");
    await client.session(session.token ?? "").get("k");
    await session.session().get("k");
    expect(tokens).toEqual(["new", "t1", "new"]);
    expect(session.token).toBe("t1");
  });

  test("asks the next server when the first has less than it has seen", async () => {
    net.servers.set(EU, refusal(503, "session_not_reached")).set(US, value);
    expect(await client.session("t").get("k")).toMatchObject({ status: "found" });
    expect(net.calls).toEqual([EU, US]);
  });

  test("serves the real routes: a put and a get that asks for it", async () => {
    const server: HttpWorld = await createHttpWorld();
    net.servers.set(EU, async (target, init) =>
      server.app.fetch(new Request(`http://127.0.0.1:7070${target}`, init)),
    );
    const session = client.session();
    await session.put("k", "v");
    await session.batch([{ op: "get", key: "other" }]);
    for await (const key of session.list()) expect(key.name).toBe("k");
    expect(await session.get("k")).toMatchObject({ status: "found" });
    expect(server.service.gets.at(-1)?.session?.minimum?.dots).toHaveLength(1);
  });
});
