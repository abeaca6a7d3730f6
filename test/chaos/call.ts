/** One HTTP request, and what its outcome proves. Knows the public API only. */
import type { Outcome } from "./history.ts";

/** Above the server's own deadline of 5 s, whose answer says more. */
const TIMEOUT_MS = 7_000;

export interface Called {
  readonly outcome: Outcome;
  /** The status with the problem's code, or what went wrong on the way. */
  readonly answer: string;
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

const NO_HEADERS = new Headers();

export async function call(
  url: string,
  method: "GET" | "PUT" | "DELETE",
  headers: Readonly<Record<string, string>>,
  body?: string,
): Promise<Called> {
  let status = 0;
  try {
    const response = await fetch(url, {
      method,
      headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body === undefined ? {} : { body }),
    });
    ({ status } = response);
    const text = await response.text();
    const outcome = outcomeOf(status, text);
    const answer = status < 400 ? String(status) : `${status} ${codeOf(text)}`;
    return { outcome, answer, status, headers: response.headers, body: text };
  } catch (error) {
    const reason = reasonOf(error);
    // Nobody listened, so nothing was sent. All else may have arrived.
    const outcome = reason === "ECONNREFUSED" ? "fail" : "info";
    return { outcome, answer: reason, status, headers: NO_HEADERS, body: "" };
  }
}

/** Taken at its word: a problem says whether the write is certainly not stored, and the checkers hold it to that. */
function outcomeOf(status: number, body: string): Outcome {
  if (status < 400 || (status === 404 && codeOf(body) === "not_found")) return "ok";
  if (status < 500) return "fail";
  const problem = problemOf(body);
  if (status === 507) return "fail";
  if (status !== 503) return "info";
  if (problem["code"] === "quorum_not_reached") {
    return problem["indeterminate"] === false ? "fail" : "info";
  }
  return typeof problem["code"] === "string" ? "fail" : "info";
}

function codeOf(body: string): string {
  const { code } = problemOf(body);
  return typeof code === "string" ? code : "";
}

function problemOf(body: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function reasonOf(error: unknown): string {
  for (let each = error, depth = 0; depth < 5 && each instanceof Error; depth++) {
    const { code } = each as { readonly code?: unknown };
    if (typeof code === "string") return code;
    if (each.cause === undefined) return each.name === "Error" ? each.message : each.name;
    each = each.cause;
  }
  return String(error);
}
