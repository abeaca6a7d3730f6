/** What operators and browsers ask for: health, metrics, the description of the API, and the dashboard. */
import { base64Encode, utf8Encode } from "../core/bytes.ts";
import { dashboardPage } from "../dashboard/page.ts";
import { answer, type Call, plainHeaders } from "./call.ts";
import { docsPage } from "./docs-page.ts";
import type { HttpParts } from "./http-parts.ts";
import { METRICS_CONTENT_TYPE, renderMetrics } from "./metrics-text.ts";
import { openApiDocument } from "./openapi.ts";
import { HttpProblem } from "./problem.ts";
import type { Route } from "./route.ts";
import { parseQuery } from "./target.ts";

const TEXT = "text/plain; charset=utf-8";

/** A page whose only script and style are the ones in it. */
export interface Page {
  readonly html: string;
  readonly script: string;
  readonly style: string;
}

export class OpsRoutes {
  readonly #parts: HttpParts;

  constructor(parts: HttpParts) {
    this.#parts = parts;
  }

  routes(): readonly Route[] {
    const { deps, counters } = this.#parts;
    // Made when first asked for: most nodes never are, and a simulated cluster starts thousands of nodes.
    const document = once(() => openApiDocument(deps.nodeInfo().version));
    const openApi = once(() => `${JSON.stringify(document(), null, 2)}\n`);
    const sources = [...deps.counters, () => counters.metrics()];
    return [
      { method: "GET", path: "/livez", handler: text(TEXT, () => "ok\n") },
      { method: "GET", path: "/readyz", handler: (call) => this.#ready(call) },
      {
        method: "GET",
        path: "/metrics",
        handler: text(METRICS_CONTENT_TYPE, () => renderMetrics(sources)),
      },
      { method: "GET", path: "/openapi.json", handler: text("application/json", openApi) },
      { method: "GET", path: "/docs", handler: this.#page(() => docsPage(document())) },
      { method: "GET", path: "/", handler: this.#page(dashboardPage) },
    ];
  }

  /** Alive is answered by whoever answers; ready means that this node would serve a request well. */
  #ready(call: Call): Response {
    parseQuery(call.query, []);
    const { ready, reason } = this.#parts.deps.ready();
    if (ready) return answer(call, 200, plainHeaders(call, TEXT), "ok\n");
    throw new HttpProblem("not_ready", reason ?? "The node has not finished starting", {
      headers: { "retry-after": "1" },
    });
  }

  /** The policy names the page's own script and style by hash: a stored value can never run as a script of this origin. */
  #page(make: () => Page): Route["handler"] {
    const page = once(make);
    const policy = once(() => this.#policyOf(page()));
    return (call) => {
      const headers = plainHeaders(call, "text/html; charset=utf-8");
      headers["content-security-policy"] = policy();
      headers["referrer-policy"] = "no-referrer";
      headers["cross-origin-opener-policy"] = "same-origin";
      return answer(call, 200, headers, page().html);
    };
  }

  #policyOf(page: Page): string {
    const { crypto } = this.#parts.deps.env;
    const hash = (source: string): string =>
      source === "" ? "'none'" : `'sha256-${base64Encode(crypto.sha256(utf8Encode(source)))}'`;
    return [
      "default-src 'none'",
      `script-src ${hash(page.script)}`,
      `style-src ${hash(page.style)}`,
      "connect-src 'self'",
      "img-src data:",
      "base-uri 'none'",
      "form-action 'none'",
      "frame-ancestors 'none'",
    ].join("; ");
  }
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}

function text(contentType: string, render: () => string): Route["handler"] {
  return (call) => {
    parseQuery(call.query, []);
    return answer(call, 200, plainHeaders(call, contentType), render());
  };
}
