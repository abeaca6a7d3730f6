import { beforeEach, describe, expect, test } from "bun:test";
import { PROBLEM_CODES, problemOfFailure } from "../../src/http/problem.ts";
import type { Failure } from "../../src/replication/requests.ts";
import { createHttpWorld, type HttpWorld, problemOf } from "../support/http-world.ts";

const K = "/v1/kv/default/k";
const ACKS = { primary: 1, fallback: 0, of: 3 };
let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
});

describe("a failure of the floors below", () => {
  const cases: [Failure, number, string, Record<string, unknown>][] = [
    [
      { status: "quorum-not-reached", acks: ACKS, needed: 2, indeterminate: true },
      503,
      "quorum_not_reached",
      { indeterminate: true, needed: 2, acks: ACKS },
    ],
    [{ status: "not-formed" }, 503, "not_formed", {}],
    [{ status: "overloaded" }, 503, "overloaded", {}],
    [{ status: "disk-full" }, 507, "disk_full", {}],
    [{ status: "namespace-not-found" }, 404, "namespace_not_found", {}],
    [{ status: "too-many-siblings", siblings: 101 }, 409, "too_many_siblings", { siblings: 101 }],
    [{ status: "precondition-failed", etag: '"x"' }, 412, "precondition_failed", {}],
    [{ status: "idempotency-mismatch" }, 422, "idempotency_mismatch", {}],
    [{ status: "count-above-policy", asked: 4, copies: 3 }, 400, "bad_request", {}],
    [
      { status: "count-above-owners", asked: 3, owners: 1 },
      503,
      "quorum_not_reached",
      { indeterminate: false, owners: 1 },
    ],
  ];

  for (const [failure, status, code, extra] of cases) {
    test(`${failure.status} is ${status} ${code}, to a put and to a get`, async () => {
      world.service.failures.push(failure, failure);
      const put = await world.call("PUT", K, { body: "x" });
      expect(put.status).toBe(status);
      expect(await problemOf(put)).toMatchObject({ code, ...extra });
      const get = await world.call("GET", K);
      expect(get.status).toBe(status);
      expect(PROBLEM_CODES[problemOfFailure(failure, "default").code].status).toBe(status);
    });
  }

  test("that time may cure carries Retry-After", async () => {
    for (const status of ["overloaded", "not-formed"] as const) {
      world.service.failures.push({ status });
      expect((await world.call("GET", K)).headers.get("retry-after")).toBe("1");
    }
  });
});

describe("a bug", () => {
  test("is 500 with a requestId, logged with its stack, and tells nothing of itself", async () => {
    world.service.bug = new Error("secret detail");
    const problem = await problemOf(await world.call("GET", K));
    expect(problem["code"]).toBe("internal");
    expect(JSON.stringify(problem)).not.toContain("secret");
    expect(world.errors).toHaveLength(1);
    expect(JSON.stringify(world.errors[0])).toContain("secret detail");
    expect(JSON.stringify(world.errors[0])).toContain(String(problem["requestId"]));
  });

  test("in one item of a batch is that item's 500", async () => {
    world.service.bug = new Error("secret detail");
    const answer = await world.call("POST", "/v1/batch/default", {
      body: '{"ops":[{"op":"get","key":"a"},{"op":"bad"}]}',
      headers: { "content-type": "application/json" },
    });
    const text = await answer.text();
    expect(text).not.toContain("secret");
    expect(JSON.parse(text)).toMatchObject({ results: [{ status: 500 }, { status: 400 }] });
  });
});

describe("a request for nothing", () => {
  test("is 404 as a problem, also for the calls that are not built yet", async () => {
    for (const path of ["/nope", "/v1", "/v1/watch/default", "/v1/cluster/apply", "/v1/kv", "//"]) {
      const problem = await problemOf(await world.call("GET", path));
      expect(problem["code"]).toBe("not_found");
    }
  });

  test("by a method that does not apply is 405 with Allow", async () => {
    const allowed = [
      ["PATCH", K, "GET, HEAD, PUT, DELETE"],
      ["POST", K, "GET, HEAD, PUT, DELETE"],
      ["OPTIONS", K, "GET, HEAD, PUT, DELETE"],
      ["PUT", "/v1/keys/default", "GET, HEAD"],
      ["GET", "/v1/batch/default", "POST"],
      ["POST", "/v1/namespaces/default", "DELETE, GET, HEAD, PUT"],
      ["DELETE", "/livez", "GET, HEAD"],
    ] as const;
    for (const [method, path, allow] of allowed) {
      const answer = await world.call(method, path);
      expect(answer.status).toBe(405);
      expect(answer.headers.get("allow")).toBe(allow);
      expect((await problemOf(answer))["code"]).toBe("method_not_allowed");
    }
  });

  test("by HEAD has the headers of GET and no body, on every route", async () => {
    for (const path of ["/livez", "/v1/cluster", "/v1/namespaces", "/nope", "/v1/keys/default"]) {
      const head = await world.call("HEAD", path);
      const get = await world.call("GET", path);
      expect(head.status).toBe(get.status);
      expect(await head.text()).toBe("");
      const body = await get.text();
      const length = new TextEncoder().encode(body).length;
      expect(head.headers.get("content-length")).toBe(String(length));
    }
  });
});

test("request ids differ", async () => {
  const ids = new Set<string | null>();
  for (let i = 0; i < 50; i++) ids.add((await world.call("GET", K)).headers.get("x-request-id"));
  expect(ids.size).toBe(50);
});
