import { utf8Length } from "../core/bytes.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import type { HeaderReader, WireHeaders } from "./header-reader.ts";
import { HttpProblem, PROBLEM_CODES } from "./problem.ts";

/** What the runtime's adapter knows of a request beyond the Request itself. */
export interface RequestInfo {
  /**
   * Path and query as they stood on the wire, where the adapter can see them (Node, Deno): URL parsers resolve `..` and
   * turn backslashes around, which would make one key into another.
   */
  readonly rawTarget?: string;
  /** The request's header fields, where the adapter has them at hand in this form (Node). */
  readonly wireHeaders?: WireHeaders;
  /** Makes the answers, where the runtime has a faster way than `new Response` with a plain object of headers (Bun). */
  readonly respond?: Respond;
}

/** Names of headers are in lower case. */
export type Respond = (
  status: number,
  headers: HeaderRecord,
  body: string | Uint8Array | null,
) => Response;

/** What `respond` is where the adapter brings none. */
export function respondPlainly(
  status: number,
  headers: HeaderRecord,
  body: string | Uint8Array | null,
): Response {
  return new Response(body as Uint8Array<ArrayBuffer> | string | null, { status, headers });
}

/** One request on its way through http. */
export interface Call {
  readonly request: Request;
  readonly method: string;
  readonly headers: HeaderReader;
  /** Raw, not decoded, begins with a slash. */
  readonly path: string;
  /** Raw, without the question mark; "" for none. */
  readonly query: string;
  readonly requestId: string;
  readonly startedMs: number;
  readonly respond: Respond;
  readonly env: Env;
  /** How long a large body may take to arrive. */
  readonly bodyTimeoutMs: number;
  /** Added to every answer; null unless the request came from another, allowed origin. */
  readonly cors: Readonly<Record<string, string>> | null;
}

export type HeaderRecord = Record<string, string>;

/** One string for all answers: what an answer may depend on besides its URL. */
export const VARY = "Accept, Authorization, Origin, Gyre-Session";

/** Most answers take less than ten milliseconds: writing a fraction costs more than looking one up. */
const SHORT_TIMINGS: readonly string[] = Array.from(
  { length: 1_000 },
  (_, hundredths) => `total;dur=${hundredths / 100}`,
);

/** Milliseconds in this node, to hundredths. */
export function serverTiming(call: Call): string {
  const elapsedMs = call.env.clock.monotonicMs() - call.startedMs;
  const hundredths = Math.round(elapsedMs * 100);
  return SHORT_TIMINGS[hundredths] ?? `total;dur=${hundredths / 100}`;
}

/** Headers of every answer that is not a stored value. */
export function plainHeaders(call: Call, contentType: string | null): HeaderRecord {
  const headers: HeaderRecord = {
    "cache-control": "no-store",
    vary: VARY,
    "x-content-type-options": "nosniff",
    "server-timing": serverTiming(call),
    "x-request-id": call.requestId,
  };
  if (contentType !== null) headers["content-type"] = contentType;
  if (call.cors !== null) Object.assign(headers, call.cors);
  return headers;
}

/**
 * An answer with a body, or to HEAD the same headers without one. Content-Length is given for HEAD only: the adapters
 * count bodies themselves, but a body that is not there they count as nothing (Node) or 0 (Bun, Deno).
 */
export function answer(
  call: Call,
  status: number,
  headers: HeaderRecord,
  body: string | Uint8Array,
): Response {
  if (call.method !== "HEAD") return call.respond(status, headers, body);
  const bytes = typeof body === "string" ? utf8Length(body) : body.length;
  headers["content-length"] = String(bytes);
  return call.respond(status, headers, null);
}

export function answerEmpty(call: Call, status: number, headers: HeaderRecord): Response {
  return call.respond(status, headers, null);
}

export function answerJson(call: Call, status: number, value: unknown): Response {
  return answer(call, status, plainHeaders(call, "application/json"), `${JSON.stringify(value)}\n`);
}

export function answerProblem(
  call: Call,
  problem: HttpProblem,
  moreHeaders: HeaderRecord = {},
): Response {
  const { status, title } = PROBLEM_CODES[problem.code];
  const headers = plainHeaders(call, "application/problem+json");
  Object.assign(headers, problem.headers, moreHeaders);
  const body = {
    type: `/docs#${problem.code}`,
    title,
    status,
    code: problem.code,
    detail: problem.message,
    requestId: call.requestId,
    ...problem.extra,
  };
  return answer(call, status, headers, `${JSON.stringify(body)}\n`);
}

/** A thrown problem is the client's, a full disk the operator's; anything else is a bug, told without its stack. */
export function answerThrown(call: Call, error: unknown): Response {
  if (error instanceof HttpProblem) return answerProblem(call, error);
  if (error instanceof DiskFullError) {
    const detail = "The disk of this node is full: free space, or ask another node";
    return answerProblem(call, new HttpProblem("disk_full", detail));
  }
  call.env.logger.error("request-failed", {
    requestId: call.requestId,
    method: call.method,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
  });
  return answerProblem(
    call,
    new HttpProblem("internal", "The node met a bug and logged it under this requestId"),
  );
}
