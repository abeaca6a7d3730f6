/** `GET /v1/keys/{ns}`: one page of keys in byte order. */
import { compareBytes, utf8Encode, utf8Length } from "../core/bytes.ts";
import { KEY_BYTES_MAX, LIST_LIMIT_MAX } from "../core/limits.ts";
import type { ListedKey } from "../replication/requests.ts";
import { answerJson, type Call } from "./call.ts";
import type { HttpParts } from "./http-parts.ts";
import { findNamespace, pathTail } from "./key-target.ts";
import { isConflictPolicy, parseBoolean } from "./options.ts";
import { KEYS_PREFIX } from "./paths.ts";
import { badRequest, problemOfFailure } from "./problem.ts";
import { metadataJson } from "./representation.ts";
import type { Route } from "./route.ts";
import { readSession } from "./session.ts";
import { parseQuery, type Query } from "./target.ts";
import type { CursorRange } from "./tokens.ts";

export const LIST_OPTIONS = [
  "prefix",
  "start",
  "end",
  "reverse",
  "limit",
  "cursor",
  "conflict",
] as const;

const FIRST = new Uint8Array(0);

export function listRoute(parts: HttpParts): Route {
  return { method: "GET", path: "/v1/keys/{ns}", handler: (call) => list(parts, call) };
}

async function list(parts: HttpParts, call: Call): Promise<Response> {
  const { deps, tokens } = parts;
  const session = readSession(tokens, call);
  const query = parseQuery(call.query, LIST_OPTIONS);
  const view = await findNamespace(deps, pathTail(call, KEYS_PREFIX));
  const range: CursorRange = {
    namespace: view.entry.id,
    ...parseBounds(query),
    reverse: parseBoolean("reverse", query.get("reverse"), false),
  };
  const limit = parseLimit(query.get("limit"));
  const conflict = query.get("conflict") ?? view.settings.conflict;
  if (!isConflictPolicy(conflict)) {
    throw badRequest(`Cannot read conflict=${conflict}: want majority, latest or siblings`);
  }
  const cursor = query.get("cursor");
  // An empty cursor is that of the first page: loops then need no special case.
  const lastKey = cursor === undefined || cursor === "" ? null : tokens.readCursor(range, cursor);
  const page = pageAfter(range, lastKey);
  if (page.end !== null && compareBytes(page.start, page.end) >= 0) {
    return answerJson(call, 200, { keys: [], complete: true });
  }
  const outcome = await deps.service.list({
    namespace: view.entry,
    start: page.start,
    end: page.end,
    reverse: range.reverse,
    limit,
    conflict,
    timeoutMs: deps.config.requestTimeoutMs,
    session,
  });
  if (outcome.status !== "ok") throw problemOfFailure(outcome, view.entry.name);
  const keys = outcome.keys.map(listedJson);
  if (outcome.complete) return answerJson(call, 200, { keys, complete: true });
  const next = tokens.ofCursor(range, outcome.lastKey ?? lastKey ?? FIRST);
  return answerJson(call, 200, { keys, complete: false, cursor: next });
}

function listedJson(key: ListedKey): Record<string, unknown> {
  const json: Record<string, unknown> = { name: key.name };
  if (key.expiresAtMs !== 0) json["expiration"] = key.expiresAtMs / 1000;
  if (key.metadata !== "") json["metadata"] = metadataJson(key.metadata);
  json["size"] = key.valueBytes;
  return json;
}

/** `start` is inclusive and `end` exclusive, in either direction; a prefix narrows them further. */
function parseBounds(query: Query): { start: Uint8Array; end: Uint8Array | null } {
  const prefix = boundOf(query, "prefix") ?? FIRST;
  const start = boundOf(query, "start") ?? FIRST;
  const end = boundOf(query, "end");
  const afterPrefix = successorOfPrefix(prefix);
  return {
    start: compareBytes(prefix, start) > 0 ? prefix : start,
    end:
      end === null || (afterPrefix !== null && compareBytes(afterPrefix, end) < 0)
        ? afterPrefix
        : end,
  };
}

function boundOf(query: Query, name: string): Uint8Array | null {
  const text = query.get(name);
  if (text === undefined || text === "") return null;
  if (utf8Length(text) > KEY_BYTES_MAX) {
    throw badRequest(`Cannot read ${name}=: it is longer than a key, ${KEY_BYTES_MAX} bytes`);
  }
  return utf8Encode(text);
}

/** The least bytes above all that begin with the prefix; null for none. UTF-8 has no byte 0xff, so adding one always works. */
function successorOfPrefix(prefix: Uint8Array): Uint8Array | null {
  const last = prefix.at(-1);
  if (last === undefined) return null;
  const successor = prefix.slice();
  successor[successor.length - 1] = last + 1;
  return successor;
}

/** The part of the range that comes after `lastKey` in its direction. */
function pageAfter(
  range: CursorRange,
  lastKey: Uint8Array | null,
): { start: Uint8Array; end: Uint8Array | null } {
  if (lastKey === null || lastKey.length === 0) return { start: range.start, end: range.end };
  if (range.reverse) return { start: range.start, end: lastKey };
  // The least key above lastKey is lastKey and a zero byte.
  const start = new Uint8Array(lastKey.length + 1);
  start.set(lastKey);
  return { start, end: range.end };
}

function parseLimit(text: string | undefined): number {
  if (text === undefined) return LIST_LIMIT_MAX;
  const limit = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > LIST_LIMIT_MAX) {
    throw badRequest(`Cannot read limit=${text}: want a whole number from 1 to ${LIST_LIMIT_MAX}`);
  }
  return limit;
}
