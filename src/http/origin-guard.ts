import type { HeaderRecord } from "./call.ts";
import type { HeaderReader } from "./header-reader.ts";
import { HttpProblem } from "./problem.ts";

/** Spelled out one by one: `*` does not cover a request that carries credentials, and old browsers do not know it. */
const EXPOSED_HEADERS =
  "ETag, Gyre-Context, Gyre-Session, Gyre-Siblings, Gyre-Deleted-Siblings, Gyre-Acks, Gyre-Metadata, Gyre-Expires, Gyre-Durability, Last-Modified, Retry-After, Server-Timing, X-Request-Id";
const ALLOWED_METHODS = "GET, HEAD, PUT, DELETE, POST";
const ALLOWED_HEADERS =
  "Accept, Authorization, Content-Type, Gyre-Context, Gyre-Metadata, Gyre-Session, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID";
const PREFLIGHT_MAX_AGE_SECONDS = "600";

/** An address, which no name server can point elsewhere: digits and dots, or brackets. */
const IP_LITERAL = /^(?:\d{1,3}(?:\.\d{1,3}){3}|\[[0-9a-f:.]+\])$/;

export interface OriginGuard {
  /** Response headers to add (null for none). @throws HttpProblem 403. */
  check(url: string, method: string, headers: HeaderReader): HeaderRecord | null;
  preflightHeaders(cors: HeaderRecord): HeaderRecord;
}

/**
 * Keeps web pages of strangers away from a node that trusts whoever reaches its port (reliability 5.4): a page may not
 * reach it under a name of its own (DNS rebinding), nor send it writes from its own origin (CSRF). The dashboard's
 * origin is the node's, and `--cors-origin` names those that are welcome.
 *
 * Names are checked only while the node calls itself by a loopback address: who advertises another one has put it on a
 * network on purpose, behind names that this node cannot know.
 */
export function createOriginGuard(options: {
  readonly ownUrl: string;
  readonly corsOrigins: readonly string[];
}): OriginGuard {
  const ownHost = authorityOf(options.ownUrl);
  const checksNames = isLocalName(hostnameOf(ownHost));
  const anyOrigin = options.corsOrigins.includes("*");
  const welcome = new Set(options.corsOrigins);
  // Nearly all requests name the host that the last one named.
  let acceptedPrefix = "";

  const checkHost = (url: string): void => {
    if (url.startsWith(acceptedPrefix) && acceptedPrefix !== "") return;
    const host = authorityOf(url);
    const name = hostnameOf(host);
    if (checksNames && host !== ownHost && !isLocalName(name) && !IP_LITERAL.test(name)) {
      throw new HttpProblem(
        "forbidden",
        `This node does not answer as "${host}": call it by a loopback address, or start it with --advertise and that name`,
      );
    }
    acceptedPrefix = `${url.slice(0, url.indexOf("://") + 3)}${host}/`;
  };

  const corsHeaders = (origin: string): HeaderRecord => ({
    "access-control-allow-origin": anyOrigin ? "*" : origin,
    "access-control-expose-headers": EXPOSED_HEADERS,
  });

  return {
    check: (url, method, headers) => {
      checkHost(url);
      const origin = headers.get("origin");
      if (origin === null) {
        refuseCrossSite(method, headers);
        return null;
      }
      if (anyOrigin || welcome.has(origin)) return corsHeaders(origin);
      if (authorityOf(origin) === authorityOf(url)) return null;
      throw new HttpProblem(
        "forbidden",
        `This node does not answer pages of ${origin.slice(0, 200)}: start it with --cors-origin to allow them`,
      );
    },
    preflightHeaders: (cors) => ({
      ...cors,
      "access-control-allow-methods": ALLOWED_METHODS,
      "access-control-allow-headers": ALLOWED_HEADERS,
      "access-control-max-age": PREFLIGHT_MAX_AGE_SECONDS,
    }),
  };
}

/** Browsers leave Origin out of plain cross-site gets (images, scripts) but tell in this header; following a link is fine. */
function refuseCrossSite(method: string, headers: HeaderReader): void {
  if (headers.get("sec-fetch-site") !== "cross-site") return;
  const navigates = headers.get("sec-fetch-mode") === "navigate";
  if (navigates && (method === "GET" || method === "HEAD")) return;
  throw new HttpProblem(
    "forbidden",
    "This node does not answer requests that pages of another site make",
  );
}

/** `host:port` of a URL or an origin; "" when there is none, as in the origin `null`. */
function authorityOf(url: string): string {
  const scheme = url.indexOf("://");
  if (scheme === -1) return "";
  const start = scheme + 3;
  const end = url.indexOf("/", start);
  return (end === -1 ? url.slice(start) : url.slice(start, end)).toLowerCase();
}

function hostnameOf(authority: string): string {
  const port = authority.lastIndexOf(":");
  const hasPort = port !== -1 && !authority.endsWith("]");
  return hasPort ? authority.slice(0, port) : authority;
}

function isLocalName(name: string): boolean {
  return (
    name === "localhost" ||
    name.endsWith(".localhost") ||
    name === "[::1]" ||
    (name.startsWith("127.") && IP_LITERAL.test(name))
  );
}
