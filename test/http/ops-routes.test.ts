import { beforeEach, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { docsPage } from "../../src/http/docs-page.ts";
import { HttpCounters } from "../../src/http/http-counters.ts";
import { httpDate } from "../../src/http/http-date.ts";
import { renderMetrics } from "../../src/http/metrics-text.ts";
import { OpsRoutes } from "../../src/http/ops-routes.ts";
import { PROBLEM_CODES } from "../../src/http/problem.ts";
import { createHttpWorld, type HttpWorld, problemOf } from "../support/http-world.ts";

let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
});

describe("health", () => {
  test("livez is 200 whatever the state", async () => {
    world.readiness = { ready: false };
    world.layout = undefined;
    const answer = await world.call("GET", "/livez");
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe("ok\n");
  });

  test("readyz is 503 with the reason until the node is ready", async () => {
    world.readiness = { ready: false, reason: "waiting for members: 1 of 3" };
    const answer = await world.call("GET", "/readyz");
    expect(answer.status).toBe(503);
    expect(await problemOf(answer)).toMatchObject({
      code: "not_ready",
      detail: world.readiness.reason,
    });
    world.readiness = { ready: true };
    expect((await world.call("GET", "/readyz")).status).toBe(200);
  });
});

describe("metrics", () => {
  test("are Prometheus text: the sources' and http's own", async () => {
    world.metrics = [
      { name: "gyre_a_total", help: "A\nB\\", type: "counter", value: 1, labels: { x: 'q"\n' } },
      { name: "gyre_b", help: "B.", type: "gauge", value: Number.POSITIVE_INFINITY },
      { name: "gyre_a_total", help: "A", type: "counter", value: 2 },
    ];
    await world.call("GET", "/v1/kv/default/k");
    await world.call("PUT", "/v1/kv/default/k", { body: "x" });
    await world.call("GET", "/v1/kv/default/k?bad=1");
    const answer = await world.call("GET", "/metrics");
    expect(answer.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    const text = await answer.text();
    expect(text).toContain(
      '# HELP gyre_a_total A\\nB\\\\\n# TYPE gyre_a_total counter\ngyre_a_total{x="q\\"\\n"} 1\ngyre_a_total 2\n# HELP gyre_b B.\n# TYPE gyre_b gauge\ngyre_b +Inf\n',
    );
    expect(text).toContain('gyre_http_requests_total{operation="get",status="4xx"} 2\n');
    expect(text).toContain('gyre_http_requests_total{operation="put",status="2xx"} 1\n');
    expect(text).toContain('gyre_http_request_duration_seconds_count{operation="get"} 2\n');
    for (const line of text.trimEnd().split("\n")) {
      expect(line).toMatch(/^(# (HELP|TYPE) \S+ .+|[a-z_]+(\{.*\})? (-?[\d.e+-]+|\+Inf))$/);
    }
    expect(HttpCounters.name).toBe("HttpCounters");
  });

  test("histograms are cumulative and end at +Inf", () => {
    const text = renderMetrics([
      () => [
        { name: "h", help: "H.", type: "histogram", value: 6.5, bounds: [1, 2], counts: [3, 0, 2] },
      ],
    ]);
    expect(text).toBe(
      '# HELP h H.\n# TYPE h histogram\nh_bucket{le="1"} 3\nh_bucket{le="2"} 3\nh_bucket{le="+Inf"} 5\nh_sum 6.5\nh_count 5\n',
    );
  });
});

describe("pages", () => {
  for (const path of ["/", "/docs"]) {
    test(`${path} runs only its own script and style, by their hashes, and loads nothing from elsewhere`, async () => {
      const answer = await world.call("GET", path);
      expect(answer.status).toBe(200);
      expect(answer.headers.get("content-type")).toBe("text/html; charset=utf-8");
      const html = await answer.text();
      const policy = answer.headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain("unsafe");
      for (const [tag, directive] of [
        ["script", "script-src"],
        ["style", "style-src"],
      ] as const) {
        const inner = [...html.matchAll(new RegExp(`<${tag}>([\\s\\S]*?)</${tag}>`, "g"))];
        for (const [, source = ""] of inner) {
          const hash = createHash("sha256").update(source).digest("base64");
          expect(policy).toContain(`${directive} 'sha256-${hash}'`);
        }
        expect(html.match(new RegExp(`<${tag}[ >]`, "g"))?.length ?? 0).toBe(inner.length);
      }
      expect(html).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
      expect(html).not.toMatch(/ on\w+="| style="/);
    });
  }

  test("/docs shows every route, and is the target of every problem's type", async () => {
    const html = await (await world.call("GET", "/docs")).text();
    for (const route of world.app.routes) {
      expect(html).toContain(`<span class="path">${route.path}</span>`);
    }
    for (const code of Object.keys(PROBLEM_CODES)) expect(html).toContain(`id="${code}"`);
    expect(docsPage.length).toBe(1);
  });

  test("/openapi.json says what version answers", async () => {
    const document = (await (await world.call("GET", "/openapi.json")).json()) as {
      info: { version: string };
    };
    expect(document.info.version).toBe("9.9.9");
    expect(OpsRoutes.name).toBe("OpsRoutes");
  });
});

test("httpDate writes what Date writes, over five centuries and every leap rule", () => {
  for (let day = -20_000; day < 160_000; day += 17) {
    const seconds = day * 86_400 + ((day * 7_919) % 86_400);
    expect(httpDate(seconds)).toBe(new Date(seconds * 1000).toUTCString());
  }
  expect(httpDate(784_111_777)).toBe("Sun, 06 Nov 1994 08:49:37 GMT");
});
