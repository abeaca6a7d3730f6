/** The pieces that /openapi.json is put together from: parameters, headers, schemas, answers. */
import { LIST_LIMIT_MAX, VALUE_BYTES_MAX } from "../core/limits.ts";
import { PROBLEM_CODES, type ProblemCode } from "./problem.ts";

export type Json = Readonly<Record<string, unknown>>;

export const ref = (
  kind: "parameters" | "headers" | "schemas" | "responses",
  name: string,
): Json => ({
  $ref: `#/components/${kind}/${name}`,
});

const text = (description: string): Json => ({ description, schema: { type: "string" } });
const query = (name: string, description: string, schema: Json): Json => ({
  name,
  in: "query",
  required: false,
  description,
  schema,
});
const path = (name: string, description: string, schema: Json): Json => ({
  name,
  in: "path",
  required: true,
  description,
  schema,
});
const header = (name: string, description: string): Json => ({
  name,
  in: "header",
  required: false,
  description,
  schema: { type: "string" },
});

const LEVELS = ["one", "local-quorum", "quorum", "each-quorum", "all"];
const CONFLICTS = ["majority", "latest", "siblings"];

export const PARAMETERS: Json = {
  ns: path("ns", "A namespace.", { type: "string", pattern: "^[a-z0-9][a-z0-9_-]{0,62}$" }),
  key: path(
    "key",
    "All that follows the namespace and a slash, percent-encoded, 1 to 512 bytes of UTF-8; slashes count. A key with a segment . or .. or a backslash is given as ?key= instead, without this part.",
    { type: "string" },
  ),
  keyOption: query("key", "The key, form-encoded, in place of the path.", { type: "string" }),
  consistency: query("consistency", "Which replicas must answer. Not together with r or w.", {
    type: "string",
    enum: LEVELS,
  }),
  r: query("r", "How many replicas must answer a read.", { type: "integer", minimum: 1 }),
  w: query("w", "How many replicas must have a write.", { type: "integer", minimum: 1 }),
  sloppy: query("sloppy", "Whether stand-ins count for replicas that are down.", {
    type: "boolean",
  }),
  conflict: query("conflict", "How a read chooses among siblings.", {
    type: "string",
    enum: CONFLICTS,
  }),
  ttl: query("ttl", "Seconds until the value expires, fractions allowed; 0 is never.", {
    type: "number",
    minimum: 0,
  }),
  expires: query("expires", "Unix seconds when the value expires. Not together with ttl.", {
    type: "number",
  }),
  prefix: query("prefix", "Only keys that begin so.", { type: "string" }),
  start: query("start", "Only keys from this one on, inclusive.", { type: "string" }),
  end: query("end", "Only keys before this one, exclusive.", { type: "string" }),
  reverse: query("reverse", "From the last key to the first.", { type: "boolean" }),
  limit: query("limit", "Keys in a page at most.", {
    type: "integer",
    minimum: 1,
    maximum: LIST_LIMIT_MAX,
  }),
  cursor: query("cursor", "From the page before, with the same prefix, start, end and reverse.", {
    type: "string",
  }),
  context: header("Gyre-Context", "What this write has seen, from an answer about this key."),
  session: header(
    "Gyre-Session",
    "`new`, or that of the session's last answer: read your writes, and never see a key go back.",
  ),
  metadata: header("Gyre-Metadata", "JSON of at most 1024 bytes, percent-encoded."),
  ifMatch: header("If-Match", "Write only if the value has one of these ETags."),
  ifNoneMatch: header("If-None-Match", "Write only if it has none of them; `*`: only if absent."),
  knownTag: header("If-None-Match", "Answer 304 if the value still has one of these ETags."),
  idempotencyKey: header("Idempotency-Key", "1 to 64 bytes; a repeated write is done once."),
};

export const HEADERS: Json = {
  ETag: text("Strong: names the bytes, content type and expiry of this representation."),
  "Gyre-Context": text("Give it back with the next write of this key."),
  "Gyre-Session": text("Give it back with the session's next request; only to requests with one."),
  "Gyre-Siblings": text("Live siblings of the record."),
  "Gyre-Deleted-Siblings": text("Siblings that are tombstones or have expired, if any."),
  "Gyre-Acks": text("Who answered, such as primary=2 fallback=1 of=3."),
  "Gyre-Metadata": text("JSON, percent-encoded."),
  "Gyre-Expires": text("Unix seconds, if it expires."),
  "Gyre-Durability": text("`process` when the node does not wait for its disk."),
  "Last-Modified": text("When the value was written, by the clock of its coordinator."),
  "Server-Timing": text("Milliseconds in this node."),
  "X-Request-Id": text("Quote it when you ask for help; problems carry it too."),
};

const string: Json = { type: "string" };
const number: Json = { type: "number" };
const integer: Json = { type: "integer" };
const boolean: Json = { type: "boolean" };
const arrayOf = (items: Json): Json => ({ type: "array", items });
const object = (properties: Json, required: readonly string[] = []): Json => ({
  type: "object",
  properties,
  ...(required.length === 0 ? {} : { required }),
});

const acks = object({ primary: integer, fallback: integer, of: integer });
const sibling = object({
  value: { type: "string", contentEncoding: "base64" },
  contentType: string,
  metadata: {},
  expires: { type: ["number", "null"] },
  stamp: integer,
  dot: string,
});
const settings: Json = {
  policy: {
    oneOf: [
      string,
      object({ n: integer }, ["n"]),
      object({ regions: { type: "object", additionalProperties: integer } }, ["regions"]),
    ],
  },
  conflict: { type: "string", enum: CONFLICTS },
  consistency: { type: "string", enum: LEVELS },
  defaultTtlSeconds: number,
  valueBytesMax: { type: "integer", maximum: VALUE_BYTES_MAX },
  maxAgeSeconds: { type: ["integer", "null"] },
  strict: boolean,
};

export const SCHEMAS: Json = {
  Problem: object(
    {
      type: string,
      title: string,
      status: integer,
      code: { type: "string", enum: Object.keys(PROBLEM_CODES) },
      detail: string,
      requestId: string,
      indeterminate: boolean,
      acks,
      needed: integer,
    },
    ["type", "title", "status", "code", "detail", "requestId"],
  ),
  Siblings: object({ context: string, siblings: arrayOf(sibling) }, ["context", "siblings"]),
  KeyPage: object(
    {
      keys: arrayOf(
        object({ name: string, expiration: number, metadata: {}, size: integer }, ["name", "size"]),
      ),
      complete: boolean,
      cursor: string,
    },
    ["keys", "complete"],
  ),
  BatchRequest: object(
    {
      ops: {
        type: "array",
        maxItems: 1000,
        items: object(
          {
            op: { type: "string", enum: ["get", "put", "delete"] },
            key: string,
            value: { type: "string", contentEncoding: "base64" },
            contentType: string,
            metadata: {},
            ttl: number,
            expires: number,
            context: string,
            ifMatch: string,
            ifNoneMatch: string,
            idempotencyKey: string,
          },
          ["op", "key"],
        ),
      },
    },
    ["ops"],
  ),
  BatchAnswer: object(
    {
      results: arrayOf(
        object(
          {
            status: integer,
            value: { type: "string", contentEncoding: "base64" },
            contentType: string,
            metadata: {},
            expires: number,
            etag: string,
            context: string,
            siblingCount: integer,
            siblings: arrayOf(sibling),
            acks,
            error: object({ code: string, detail: string }, ["code", "detail"]),
          },
          ["status"],
        ),
      ),
    },
    ["results"],
  ),
  NamespaceSettings: { ...object(settings), additionalProperties: false },
  Namespace: object({ name: string, id: integer, placement: {}, ...settings }, ["name", "id"]),
  Namespaces: object({ namespaces: arrayOf(ref("schemas", "Namespace")) }, ["namespaces"]),
  Cluster: object(
    {
      clusterId: { type: ["string", "null"] },
      self: string,
      version: string,
      runtime: string,
      layout: object({
        version: integer,
        state: { type: "string", enum: ["stable", "changing"] },
        formed: boolean,
        expect: integer,
        partitions: integer,
      }),
      antiEntropy: object({
        trees: { type: "string", enum: ["building", "built"] },
        mismatches: integer,
        rounds: integer,
        rowsSent: integer,
        rowsReceived: integer,
        peers: arrayOf(object({ id: string, completedAtMs: integer, rows: integer })),
      }),
      reaping: object({ state: string, restoredRows: integer, quarantinedRows: integer }),
      nodes: arrayOf(
        object({
          id: string,
          region: string,
          zone: string,
          role: string,
          url: string,
          state: { type: "string", enum: ["up", "suspect", "down"] },
          incarnation: integer,
          keys: integer,
          bytes: integer,
          inLayout: boolean,
          clockIsOff: boolean,
          roundTripMs: number,
          hints: object({ count: integer, bytes: integer }),
        }),
      ),
    },
    ["clusterId", "layout", "nodes"],
  ),
  Quarantine: object({
    rows: arrayOf(object({ namespaceId: integer, key: string, siblings: arrayOf(object({})) })),
    cursor: { type: ["string", "null"] },
  }),
  Backup: object({ path: string, rows: integer, files: arrayOf(object({ name: string })) }),
  Ring: object({
    version: integer,
    partitions: integer,
    nodes: arrayOf(string),
    policies: {
      type: "object",
      additionalProperties: object({ placement: {}, owners: arrayOf(arrayOf(integer)) }),
    },
  }),
  Explanation: object({
    partition: integer,
    owners: arrayOf(
      object({
        id: string,
        region: string,
        state: string,
        siblings: {
          type: ["array", "null"],
          items: object({ dot: string, stamp: integer, bytes: integer, deleted: boolean }),
        },
        context: string,
        error: string,
      }),
    ),
    fallbacks: arrayOf(string),
    hints: arrayOf(object({ at: string, for: string })),
  }),
};

/** One answer for each status that has problems, naming its codes; 405 is that of methods that stand nowhere. */
export function problemResponses(): Json {
  const responses: Record<string, Json> = {};
  const codes = Object.keys(PROBLEM_CODES) as ProblemCode[];
  for (const code of codes) {
    const { status } = PROBLEM_CODES[code];
    if (status === 405) continue;
    const same = codes.filter((other) => PROBLEM_CODES[other].status === status);
    responses[`problem${status}`] = {
      description: same.map((name) => `\`${name}\`: ${PROBLEM_CODES[name].title}.`).join(" "),
      content: { "application/problem+json": { schema: ref("schemas", "Problem") } },
    };
  }
  return responses;
}
