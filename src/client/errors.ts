/** What the client throws. A server's refusal is told apart from a server that could not be reached. */

/** The server answered with an error; fields as in its problem document (RFC 9457). */
export class GyreError extends Error {
  override readonly name = "GyreError";
  readonly status: number;
  /** Stable, such as `quorum_not_reached`; `http_<status>` when the answer was no problem document (a proxy's). */
  readonly code: string;
  readonly requestId: string | null;
  /** True when the write may have taken effect or may yet do so: read before you decide, or repeat the same bytes. */
  readonly indeterminate: boolean;
  readonly retryAfterSeconds: number | null;
  /** The whole problem document. */
  readonly problem: Readonly<Record<string, unknown>>;

  constructor(status: number, problem: Readonly<Record<string, unknown>>, headers: Headers) {
    const code = typeof problem["code"] === "string" ? problem["code"] : `http_${status}`;
    const detail = problem["detail"] ?? problem["title"];
    super(typeof detail === "string" ? detail : `The server answered ${status}`);
    this.status = status;
    this.code = code;
    this.requestId = headers.get("x-request-id");
    this.indeterminate = problem["indeterminate"] === true;
    const retryAfter = Number(headers.get("retry-after") ?? Number.NaN);
    this.retryAfterSeconds = Number.isFinite(retryAfter) ? retryAfter : null;
    this.problem = problem;
  }
}

/** No answer came: nobody listens, the line broke, or the time was over. */
export class GyreConnectionError extends Error {
  override readonly name = "GyreConnectionError";
  readonly endpoint: string;
  /** True unless it is certain that the server got nothing: a write may then have taken effect. */
  readonly maybeSent: boolean;

  constructor(endpoint: string, options: { cause: unknown }) {
    super(`Cannot reach ${endpoint}: ${reasonOf(options.cause)}`, options);
    this.endpoint = endpoint;
    this.maybeSent = !isCertainlyNotSent(options.cause);
  }
}

/** The codes with which runtimes say that no connection was made, so that no byte of the request left. */
const NOT_SENT_CODES: ReadonlySet<unknown> = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_CONNECT_TIMEOUT",
  // Bun
  "ConnectionRefused",
  "FailedToOpenSocket",
]);

/** Deno tells it only in words. */
const NOT_SENT_WORDS = /tcp connect error|connection refused|dns error|failed to lookup address/i;

/** True only if it is certain that no byte of the request reached a server. */
function isCertainlyNotSent(error: unknown): boolean {
  for (const each of withCauses(error)) {
    if (NOT_SENT_CODES.has((each as { readonly code?: unknown }).code)) return true;
    if (each instanceof Error && NOT_SENT_WORDS.test(each.message)) return true;
  }
  return false;
}

function reasonOf(error: unknown): string {
  if (error instanceof DOMException && error.name === "TimeoutError") return "no answer in time";
  let deepest = "";
  for (const each of withCauses(error)) {
    if (each instanceof Error && each.message !== "") deepest = each.message;
    else if (typeof (each as { code?: unknown }).code === "string")
      deepest = String((each as { code: string }).code);
  }
  return deepest === "" ? String(error) : deepest;
}

function* withCauses(error: unknown): Generator<object> {
  let each = error;
  for (let depth = 0; depth < 8 && typeof each === "object" && each !== null; depth++) {
    yield each;
    // Node tries all addresses of a name and collects what went wrong with each.
    if (each instanceof AggregateError)
      yield* each.errors.filter((inner) => typeof inner === "object");
    each = (each as { cause?: unknown }).cause;
  }
}
