import type { RequestInfo } from "./call.ts";
import { orNull } from "./or-null.ts";
import { badRequest, HttpProblem } from "./problem.ts";

/** Room for a key of 512 bytes, all percent-encoded, beside a cursor and two bounds of the same length. */
const TARGET_CHARS_MAX = 8192;

export interface Target {
  readonly path: string;
  readonly query: string;
}

/**
 * Path and query as they stood on the wire, or as the URL parser left them where the wire cannot be seen (Bun). No `URL`
 * object is made: it costs more than the rest of a get.
 * @throws HttpProblem when it is too long or not an origin-form or absolute-form target.
 */
export function targetOf(url: string, info: RequestInfo | undefined): Target {
  const wire = info?.rawTarget;
  const text = typeof wire === "string" ? wire : url;
  if (text.length > TARGET_CHARS_MAX) {
    throw new HttpProblem(
      "uri_too_long",
      `Cannot read a request target of ${text.length} characters, want at most ${TARGET_CHARS_MAX}`,
    );
  }
  if (text.charCodeAt(0) === SLASH) {
    // A fragment never goes over the wire; accepting one would let two parsers disagree on where the query begins.
    if (text.includes("#"))
      throw badRequest('Cannot read a request target with a "#": encode it as %23');
    return split(text, 0);
  }
  const authority = text.indexOf("://");
  if (authority === -1) throw badRequest("Cannot read the request target: it begins with no slash");
  const hash = text.indexOf("#");
  const whole = hash === -1 ? text : text.slice(0, hash);
  const start = whole.indexOf("/", authority + 3);
  return start === -1 ? { path: "/", query: "" } : split(whole, start);
}

const SLASH = 0x2f;

function split(text: string, start: number): Target {
  const mark = text.indexOf("?", start);
  if (mark === -1) return { path: start === 0 ? text : text.slice(start), query: "" };
  return { path: text.slice(start, mark), query: text.slice(mark + 1) };
}

/** Query options by name, form-decoded. */
export type Query = ReadonlyMap<string, string>;

const NO_OPTIONS: Query = new Map();

/**
 * Strict: an option that the call does not know, or has twice, is refused rather than ignored, because an ignored
 * `w=` or `ttl=` is a promise the client believes in.
 * @throws HttpProblem 400, naming the option.
 */
export function parseQuery(query: string, known: readonly string[]): Query {
  if (query === "") return NO_OPTIONS;
  const options = new Map<string, string>();
  for (const pair of query.split("&")) {
    if (pair === "") continue;
    const equals = pair.indexOf("=");
    const name = formDecode(equals === -1 ? pair : pair.slice(0, equals));
    if (!known.includes(name)) {
      throw badRequest(
        `Unknown query option "${name}": ${known.length === 0 ? "this call takes none" : `want one of ${known.join(", ")}`}`,
      );
    }
    if (options.has(name)) throw badRequest(`The query option "${name}" is given twice`);
    if (equals === -1) throw badRequest(`The query option "${name}" has no value`);
    options.set(name, formDecode(pair.slice(equals + 1)));
  }
  return options;
}

/** application/x-www-form-urlencoded as URLSearchParams writes it: `+` is a space. Strict about `%` and UTF-8. */
function formDecode(text: string): string {
  const spaced = text.includes("+") ? text.replaceAll("+", " ") : text;
  const decoded = orNull(() => decodeURIComponent(spaced));
  if (decoded !== null) return decoded;
  throw badRequest(`Cannot decode "${text}" in the query: malformed percent-encoding or UTF-8`);
}
