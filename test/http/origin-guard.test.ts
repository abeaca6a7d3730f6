import { describe, expect, test } from "bun:test";
import { createOriginGuard } from "../../src/http/origin-guard.ts";
import { createHttpWorld, ORIGIN, problemOf, type WorldOptions } from "../support/http-world.ts";

const LOCAL = { ownUrl: ORIGIN, corsOrigins: [] };

/** True when a request to the URL with these headers passes. */
function passes(
  options: Parameters<typeof createOriginGuard>[0],
  url: string,
  headers: Record<string, string> = {},
  method = "GET",
): boolean {
  try {
    createOriginGuard(options).check(url, method, new Headers(headers));
    return true;
  } catch {
    return false;
  }
}

describe("the name a node is called by", () => {
  test("is a loopback name, an address or its own, while it is on loopback", () => {
    const good = [
      "127.0.0.1:7070",
      "localhost:7070",
      "localhost",
      "127.9.9.9",
      "[::1]:1",
      "10.0.0.5:80",
    ];
    for (const host of good) expect(passes(LOCAL, `http://${host}/v1/cluster`)).toBe(true);
    expect(passes(LOCAL, "http://a.localhost:7070/")).toBe(true);
  });

  test("of a stranger is refused: a page could have pointed its name here", () => {
    for (const host of [
      "evil.test",
      "127.0.0.1.evil.test",
      "localhost.evil.test",
      "1.2.3.4.test",
    ]) {
      expect(passes(LOCAL, `http://${host}:7070/v1/cluster`)).toBe(false);
    }
  });

  test("is not judged once the node advertises another address", () => {
    const open = { ownUrl: "http://gyre-eu:7070", corsOrigins: [] };
    expect(passes(open, "http://gyre.example/v1/cluster")).toBe(true);
  });

  test("is judged again after a good one", () => {
    const guard = createOriginGuard(LOCAL);
    const none = new Headers();
    guard.check(`${ORIGIN}/a`, "GET", none);
    expect(() => guard.check("http://127.0.0.1.evil.test:7070/a", "GET", none)).toThrow();
  });
});

describe("the page that asks", () => {
  test("may be the node's own, also behind a proxy that adds TLS", () => {
    expect(passes(LOCAL, `${ORIGIN}/v1/kv/a/b`, { origin: ORIGIN }, "PUT")).toBe(true);
    const tls = { origin: "https://127.0.0.1:7070" };
    expect(passes(LOCAL, `${ORIGIN}/v1/kv/a/b`, tls, "PUT")).toBe(true);
  });

  test("of any other origin is refused by default", () => {
    for (const origin of ["http://evil.test", "null", "http://127.0.0.1:9999", "file://"]) {
      expect(passes(LOCAL, `${ORIGIN}/v1/kv/a/b`, { origin }, "PUT")).toBe(false);
      expect(passes(LOCAL, `${ORIGIN}/v1/kv/a/b`, { origin })).toBe(false);
    }
  });

  test("of another site is refused where browsers say so, but a link may be followed", () => {
    const embedded = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors" };
    const followed = { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate" };
    expect(passes(LOCAL, `${ORIGIN}/v1/kv/a/b`, embedded)).toBe(false);
    expect(passes(LOCAL, `${ORIGIN}/`, followed)).toBe(true);
    expect(passes(LOCAL, `${ORIGIN}/v1/batch/a`, followed, "POST")).toBe(false);
    const own = { "sec-fetch-site": "same-origin", "sec-fetch-mode": "cors" };
    expect(passes(LOCAL, `${ORIGIN}/v1/kv/a/b`, own)).toBe(true);
  });
});

describe("CORS", () => {
  const ask = async (options: WorldOptions, method: string, headers: Record<string, string>) =>
    (await createHttpWorld(options)).call(method, "/v1/kv/default/k", { headers });
  const allowed = { corsOrigins: ["https://app.test"] };

  test("is off by default: 403 and no header", async () => {
    const answer = await ask({}, "GET", { origin: "https://app.test" });
    expect(answer.headers.has("access-control-allow-origin")).toBe(false);
    expect((await problemOf(answer))["code"]).toBe("forbidden");
  });

  test("names the origin and every header of ours one by one, on problems too", async () => {
    const answer = await ask(allowed, "GET", { origin: "https://app.test" });
    expect(answer.status).toBe(404);
    expect(answer.headers.get("access-control-allow-origin")).toBe("https://app.test");
    const exposed = answer.headers.get("access-control-expose-headers")?.split(", ") ?? [];
    for (const name of ["ETag", "Gyre-Context", "Gyre-Siblings", "Gyre-Acks", "X-Request-Id"]) {
      expect(exposed).toContain(name);
    }
    expect(answer.headers.has("access-control-allow-credentials")).toBe(false);
  });

  test("a preflight is answered 204 with methods and headers, or 403 to others", async () => {
    const asking = { "access-control-request-method": "PUT" };
    const good = await ask(allowed, "OPTIONS", { ...asking, origin: "https://app.test" });
    expect(good.status).toBe(204);
    expect(good.headers.get("access-control-allow-methods")).toContain("PUT");
    expect(good.headers.get("access-control-allow-headers")).toContain("Gyre-Context");
    expect(
      (await ask(allowed, "OPTIONS", { ...asking, origin: "https://other.test" })).status,
    ).toBe(403);
  });

  test("* allows any origin by that very sign", async () => {
    const answer = await ask({ corsOrigins: ["*"] }, "GET", { origin: "https://any.test" });
    expect(answer.headers.get("access-control-allow-origin")).toBe("*");
  });
});
