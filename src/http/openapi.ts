/**
 * The OpenAPI 3.1 document. Written by hand beside the routes rather than derived from schemas, because the hot path
 * validates without any; test/http/openapi.test.ts holds the two together, route by route and option by option.
 */
import { HEADERS, type Json, PARAMETERS, problemResponses, ref, SCHEMAS } from "./openapi-parts.ts";

const READ_TERMS = ["keyOption", "consistency", "r", "sloppy", "conflict", "session"];
const WRITE_TERMS = ["keyOption", "consistency", "w", "sloppy", "conflict", "session"];
const KEY_PATH = ["ns", "key"];
const VALUE_HEADERS = [
  "ETag",
  "Gyre-Context",
  "Gyre-Session",
  "Gyre-Siblings",
  "Gyre-Deleted-Siblings",
  "Gyre-Acks",
  "Gyre-Metadata",
  "Gyre-Expires",
  "Last-Modified",
];
const WRITE_HEADERS = [
  "ETag",
  "Gyre-Context",
  "Gyre-Session",
  "Gyre-Siblings",
  "Gyre-Acks",
  "Gyre-Durability",
];
const COMMON_HEADERS = ["Server-Timing", "X-Request-Id"];

const BYTES: Json = { "*/*": { schema: { type: "string", format: "binary" } } };
const json = (schema: string): Json => ({ "application/json": { schema: ref("schemas", schema) } });

function answered(
  description: string,
  content: Json | null,
  headers: readonly string[] = [],
): Json {
  const names = [...headers, ...COMMON_HEADERS];
  return {
    description,
    headers: Object.fromEntries(names.map((name) => [name, ref("headers", name)])),
    ...(content === null ? {} : { content }),
  };
}

interface Operation {
  readonly id: string;
  readonly tag: string;
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly string[];
  readonly body?: Json;
  readonly answers: Readonly<Record<number, Json>>;
  /** Statuses that come with a problem document. */
  readonly problems: readonly number[];
}

function operation(op: Operation): Json {
  const problems = op.problems.map((status) => [status, ref("responses", `problem${status}`)]);
  return {
    operationId: op.id,
    tags: [op.tag],
    summary: op.summary,
    ...(op.description === undefined ? {} : { description: op.description }),
    parameters: (op.parameters ?? []).map((name) => ref("parameters", name)),
    ...(op.body === undefined ? {} : { requestBody: { required: true, content: op.body } }),
    responses: { ...op.answers, ...Object.fromEntries(problems) },
  };
}

function getOperation(id: string, summary: string, body: Json | null): Json {
  return operation({
    id,
    tag: "Keys",
    summary,
    parameters: [...KEY_PATH, ...READ_TERMS, "knownTag"],
    answers: {
      200: answered("The value, with the content type it was put with.", body, VALUE_HEADERS),
      300: answered(
        "Two or more live siblings: one part for each, or JSON for `Accept: application/json`.",
        body === null
          ? null
          : { "multipart/mixed": { schema: { type: "string" } }, ...json("Siblings") },
        VALUE_HEADERS.slice(0, 6),
      ),
      304: answered("It still has one of the ETags in If-None-Match.", null, VALUE_HEADERS),
    },
    problems: [400, 403, 404, 414, 500, 503],
  });
}

function keyPaths(): Json {
  return {
    "/v1/kv/{ns}/{key}": {
      get: getOperation("getKey", "Get a value", BYTES),
      head: getOperation("headKey", "The headers of a get", null),
      put: operation({
        id: "putKey",
        tag: "Keys",
        summary: "Put a value",
        description:
          "With Gyre-Context the write replaces what that context covers; without one it replaces what its coordinator holds at that moment. The answer carries a Gyre-Context only if the record then has a single sibling. If-Match is not a lock between coordinators.",
        parameters: [
          ...KEY_PATH,
          ...WRITE_TERMS,
          "ttl",
          "expires",
          "context",
          "metadata",
          "ifMatch",
          "ifNoneMatch",
          "idempotencyKey",
        ],
        body: BYTES,
        answers: { 204: answered("Stored.", null, WRITE_HEADERS) },
        problems: [400, 403, 404, 408, 409, 412, 413, 414, 415, 422, 500, 503, 507],
      }),
      delete: operation({
        id: "deleteKey",
        tag: "Keys",
        summary: "Delete a value",
        description: "A put of a tombstone: idempotent, and 204 also when there was nothing.",
        parameters: [
          ...KEY_PATH,
          ...WRITE_TERMS,
          "context",
          "ifMatch",
          "ifNoneMatch",
          "idempotencyKey",
        ],
        answers: { 204: answered("Deleted.", null, WRITE_HEADERS.slice(1)) },
        problems: [400, 403, 404, 409, 412, 414, 422, 500, 503, 507],
      }),
    },
    "/v1/keys/{ns}": {
      get: operation({
        id: "listKeys",
        tag: "Keys",
        summary: "List keys in the order of their bytes",
        description: "A majority of the owners of each partition is asked: never a partial page.",
        parameters: [
          ...["ns", "prefix", "start", "end", "reverse", "limit", "cursor", "conflict"],
          "session",
        ],
        answers: {
          200: answered("A page; short or empty pages need not be the last.", json("KeyPage")),
        },
        problems: [400, 403, 404, 414, 422, 500, 503],
      }),
    },
    "/v1/batch/{ns}": {
      post: operation({
        id: "batch",
        tag: "Keys",
        summary: "Up to 1000 gets, puts and deletes",
        description:
          "Independent of each other and in no order; each item has the status of the single call. The same as MessagePack (application/msgpack), where values are bytes.",
        parameters: ["ns", "consistency", "r", "w", "sloppy", "conflict", "session"],
        body: json("BatchRequest"),
        answers: {
          200: answered("A result for each operation, in order.", json("BatchAnswer"), [
            "Gyre-Session",
          ]),
        },
        problems: [400, 403, 404, 408, 413, 415, 500, 503],
      }),
    },
  };
}

function namespacePaths(): Json {
  const tag = "Namespaces";
  return {
    "/v1/namespaces": {
      get: operation({
        id: "listNamespaces",
        tag,
        summary: "All namespaces",
        answers: { 200: answered("Sorted by id.", json("Namespaces")) },
        problems: [400, 403, 500, 503],
      }),
    },
    "/v1/namespaces/{ns}": {
      get: operation({
        id: "getNamespace",
        tag,
        summary: "One namespace",
        parameters: ["ns"],
        answers: { 200: answered("Its policy and settings.", json("Namespace")) },
        problems: [400, 403, 404, 500, 503],
      }),
      put: operation({
        id: "putNamespace",
        tag,
        summary: "Create a namespace, or change its settings",
        description:
          "Settings that the body does not name stay as they are. The placement policy is fixed when the namespace is created.",
        parameters: ["ns"],
        body: json("NamespaceSettings"),
        answers: {
          200: answered("Changed.", json("Namespace")),
          201: answered("Created.", json("Namespace")),
        },
        problems: [400, 403, 409, 413, 415, 500, 503],
      }),
      delete: operation({
        id: "deleteNamespace",
        tag,
        summary: "Delete a namespace and all its keys",
        parameters: ["ns"],
        answers: { 204: answered("Deleted.", null) },
        problems: [400, 403, 404, 409, 500, 503],
      }),
    },
  };
}

function clusterPaths(): Json {
  const read = (
    id: string,
    summary: string,
    schema: string,
    parameters: readonly string[] = [],
  ): Json => ({
    get: operation({
      id,
      tag: "Cluster",
      summary,
      parameters,
      answers: { 200: answered("As this node sees it now.", json(schema)) },
      problems: parameters.length === 0 ? [400, 403, 500, 503] : [400, 403, 404, 414, 500, 503],
    }),
  });
  return {
    "/v1/cluster": read("getCluster", "Members and layout", "Cluster"),
    "/v1/cluster/ring": read("getRing", "The owners of each partition", "Ring"),
    "/v1/cluster/explain/{ns}/{key}": read(
      "explainKey",
      "Where a key lives and why",
      "Explanation",
      [...KEY_PATH, "keyOption"],
    ),
  };
}

function opsPaths(): Json {
  const read = (id: string, summary: string, type: string, problems: readonly number[]): Json => ({
    get: operation({
      id,
      tag: "Operations",
      summary,
      answers: { 200: answered(summary, { [type]: { schema: { type: "string" } } }) },
      problems,
    }),
  });
  return {
    "/v1/backups": {
      post: operation({
        id: "makeBackup",
        tag: "Operations",
        summary: "Back up this node on its own disk",
        answers: { 201: answered("Where it is, and its manifest.", json("Backup")) },
        problems: [400, 403, 404, 503],
      }),
    },
    "/v1/quarantine": {
      get: operation({
        id: "readQuarantine",
        tag: "Operations",
        summary: "Rows of a restored backup that may have been deleted since, of this node",
        parameters: ["cursor"],
        answers: { 200: answered("Some rows, values in base64.", json("Quarantine")) },
        problems: [400, 403],
      }),
    },
    "/livez": read("livez", "The process answers", "text/plain", [400, 403]),
    "/readyz": read("readyz", "The node would serve a request well", "text/plain", [400, 403, 503]),
    "/metrics": read("metrics", "Prometheus metrics", "text/plain", [400, 403]),
    "/openapi.json": read("openapi", "This document", "application/json", [400, 403]),
    "/docs": read("docs", "This document for people", "text/html", [403]),
    "/": read("dashboard", "The dashboard", "text/html", [403]),
  };
}

export function openApiDocument(version: string): Json {
  return {
    openapi: "3.1.0",
    info: {
      title: "Gyre",
      version,
      summary:
        "A self-hosted, multi-region, always-writable key-value store for edge applications.",
      description:
        "Unknown or malformed options are refused with 400, never ignored. Errors are application/problem+json (RFC 9457) with a stable `code`.",
    },
    paths: { ...keyPaths(), ...namespacePaths(), ...clusterPaths(), ...opsPaths() },
    components: {
      parameters: PARAMETERS,
      headers: HEADERS,
      schemas: SCHEMAS,
      responses: problemResponses(),
    },
  };
}
