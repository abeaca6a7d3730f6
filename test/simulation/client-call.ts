/** Turns operations into HTTP requests and answers into what the checkers compare. Everything passes through node.fetch. */
import { base64Decode, base64Encode, utf8Decode, utf8Encode } from "../../src/core/bytes.ts";
import type { Context } from "../../src/core/version.ts";
import { idempotencyKeyOf, idOfValue, type Op, valueText } from "./history.ts";
import type { KeyState } from "./key-state.ts";

/** What the simulator makes of one answer about one key. */
export interface KeyAnswer {
  readonly status: number;
  readonly values: readonly number[];
  readonly token: string | null;
  readonly context: Context | null;
  readonly etag: string | null;
  readonly live: number;
  readonly deleted: number;
  /** Home replicas, and stand-ins. */
  readonly acks: number;
  readonly fallbacks: number;
  readonly session: string | null;
  readonly code: string;
  readonly indeterminate: boolean;
}

export interface WriteOptions {
  readonly bytes: number;
  readonly token: string | null;
  readonly ttlSeconds: number;
  readonly condition: { readonly name: string; readonly value: string } | null;
  readonly session: string | null;
  /** It has an Idempotency-Key. Deletes always have: it is how a tombstone tells whose it is. */
  readonly isRepeatable: boolean;
}

export function urlOf(node: number, path: string, query: string): string {
  return `http://node-${node}:7070${path}${query === "" ? "" : `?${query}`}`;
}

export function readRequest(op: Op, key: KeyState, session: string | null): Request {
  const headers: Record<string, string> = { accept: "application/json" };
  if (session !== null) headers["gyre-session"] = session;
  return new Request(urlOf(op.node, `/v1/kv/${key.space}/${op.key}`, op.terms), { headers });
}

/** `node` is the one that is asked now: a repeat goes to another one than the first attempt. */
export function writeRequest(op: Op, key: KeyState, node: number, options: WriteOptions): Request {
  const headers: Record<string, string> = {};
  if (options.session !== null) headers["gyre-session"] = options.session;
  if (options.isRepeatable || op.kind === "delete") {
    headers["idempotency-key"] = idempotencyKeyOf(op.id);
  }
  if (options.token !== null) headers["gyre-context"] = options.token;
  if (options.condition !== null) headers[options.condition.name] = options.condition.value;
  const ttl = options.ttlSeconds > 0 ? `ttl=${options.ttlSeconds}` : "";
  const query = [op.terms, ttl].filter((part) => part !== "").join("&");
  const url = urlOf(node, `/v1/kv/${key.space}/${op.key}`, query);
  if (op.kind === "delete") return new Request(url, { method: "DELETE", headers });
  headers["content-type"] = "text/plain";
  // A list shows no values: it is how a listed key tells whose write it shows.
  headers["gyre-metadata"] = String(op.id);
  return new Request(url, {
    method: "PUT",
    headers,
    body: valueText(op.id, options.bytes),
  });
}

export function batchRequest(
  node: number,
  space: string,
  ops: readonly Op[],
  tokens: readonly (string | null)[],
): Request {
  const items = ops.map((op, index) => {
    const context = tokens[index] ?? undefined;
    if (op.kind === "get") return { op: "get", key: op.key };
    if (op.kind === "delete") {
      return { op: "delete", key: op.key, context, idempotencyKey: idempotencyKeyOf(op.id) };
    }
    const value = base64Encode(utf8Encode(valueText(op.id, 0)));
    return { op: "put", key: op.key, context, value, metadata: op.id };
  });
  return new Request(urlOf(node, `/v1/batch/${space}`, ""), {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ ops: items }),
  });
}

interface Sibling {
  readonly value: string;
}

interface Json {
  readonly code?: string;
  readonly indeterminate?: boolean;
  readonly siblings?: readonly Sibling[] | number;
  readonly status?: number;
  readonly value?: string;
  readonly context?: string;
  readonly siblingCount?: number;
  readonly acks?: { readonly primary: number; readonly fallback?: number };
  readonly error?: { readonly code?: string; readonly indeterminate?: boolean };
  readonly results?: readonly Json[];
}

/** `readToken` decodes a context; null when there is none. */
export function keyAnswerOf(
  response: Response,
  body: string,
  isRead: boolean,
  readToken: (token: string) => Context,
): KeyAnswer {
  const { status, headers } = response;
  const isJson = headers.get("content-type")?.includes("json") === true && status !== 200;
  const json: Json = isJson ? (JSON.parse(body) as Json) : {};
  const token = headers.get("gyre-context");
  let values: number[] = [];
  if (isRead && status === 200) values = [idOfValue(body)];
  else if (status === 300 && typeof json.siblings === "object") values = idsOf(json.siblings);
  return {
    status,
    values,
    token,
    context: token === null ? null : readToken(token),
    etag: headers.get("etag"),
    live: Number(headers.get("gyre-siblings") ?? "0"),
    deleted: Number(headers.get("gyre-deleted-siblings") ?? "0"),
    acks: Number(/primary=(\d+)/.exec(headers.get("gyre-acks") ?? "")?.[1] ?? "0"),
    fallbacks: Number(/fallback=(\d+)/.exec(headers.get("gyre-acks") ?? "")?.[1] ?? "0"),
    session: headers.get("gyre-session"),
    code: json.code ?? "",
    indeterminate: json.indeterminate !== false,
  };
}

export function batchAnswersOf(
  body: string,
  readToken: (index: number, token: string) => Context,
): KeyAnswer[] {
  const { results = [] } = JSON.parse(body) as Json;
  return results.map((item, index) => {
    const token = item.context ?? null;
    let values: number[] = [];
    if (item.value !== undefined) values = [idOfValue(utf8Decode(base64Decode(item.value)))];
    else if (typeof item.siblings === "object") values = idsOf(item.siblings);
    return {
      status: item.status ?? 0,
      values,
      token,
      context: token === null ? null : readToken(index, token),
      etag: null,
      live: item.siblingCount ?? 0,
      // A batch's answer does not count tombstones: nothing can be said of its context.
      deleted: Number.POSITIVE_INFINITY,
      acks: item.acks?.primary ?? 0,
      fallbacks: item.acks?.fallback ?? 0,
      session: null,
      code: item.error?.code ?? "",
      indeterminate: item.error?.indeterminate !== false,
    };
  });
}

function idsOf(siblings: readonly Sibling[]): number[] {
  return siblings.map((sibling) => idOfValue(utf8Decode(base64Decode(sibling.value))));
}
