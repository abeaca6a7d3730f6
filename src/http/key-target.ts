import type { NamespaceSettings } from "../cluster/namespace-settings.ts";
import { type Key, makeKey } from "../core/key.ts";
import {
  checkKeyText,
  decodeKeyPath,
  isKeyTooLong,
  parseNamespaceName,
} from "../core/key-rules.ts";
import type { NamespaceEntry } from "../core/layout.ts";
import { KEY_BYTES_MAX } from "../core/limits.ts";
import type { Call } from "./call.ts";
import type { HttpDeps } from "./deps.ts";
import { orNull } from "./or-null.ts";
import { badRequest, HttpProblem, namespaceNotFound, notFormed } from "./problem.ts";
import { parseQuery, type Query } from "./target.ts";

/** A namespace as this node knows it now. */
export interface NamespaceView {
  readonly entry: NamespaceEntry;
  readonly settings: NamespaceSettings;
}

export interface KeyTarget extends NamespaceView {
  readonly key: Key;
  readonly query: Query;
}

interface Parsed {
  readonly namespace: string;
  readonly text: string;
  readonly query: Query;
}

/**
 * The namespace and the key of a raw path `{prefix}{ns}/{key}`, or of `{prefix}{ns}?key=`.
 * @throws HttpProblem 400, 404, 414 or 503 (no layout yet).
 */
export function locateKey(
  deps: HttpDeps,
  call: Call,
  prefix: string,
  options: readonly string[],
): KeyTarget | Promise<KeyTarget> {
  const parsed = parseKeyPath(call, prefix, options);
  const known = knownNamespace(deps, parsed.namespace);
  if (known !== null) return targetOfKey(deps, parsed, known);
  return findNamespace(deps, parsed.namespace).then((view) => targetOfKey(deps, parsed, view));
}

function targetOfKey(deps: HttpDeps, parsed: Parsed, view: NamespaceView): KeyTarget {
  const key = makeKey(deps.env.hasher, view.entry.id, parsed.text);
  return { key, query: parsed.query, entry: view.entry, settings: view.settings };
}

/** @throws HttpProblem 400, 404 namespace_not_found (after asking peers for the newest layout) or 503. */
export async function findNamespace(deps: HttpDeps, name: string): Promise<NamespaceView> {
  const parsed = parseNamespaceName(name);
  if (!parsed.ok) throw badRequest(parsed.reason);
  const known = knownNamespace(deps, name);
  if (known !== null) return known;
  await deps.refreshLayout();
  const found = knownNamespace(deps, name);
  if (found === null) throw namespaceNotFound(name);
  return found;
}

function knownNamespace(deps: HttpDeps, name: string): NamespaceView | null {
  const layout = deps.membership.layout();
  if (layout === undefined) throw notFormed();
  const entry = layout.namespaceByName(name);
  if (entry === undefined) return null;
  return { entry, settings: deps.settings.get(entry.id) };
}

/** What follows the prefix in the raw path. @throws HttpProblem 400 when a URL parser led here from elsewhere. */
export function pathTail(call: Call, prefix: string): string {
  if (call.path.startsWith(prefix)) return call.path.slice(prefix.length);
  throw badRequest("The path holds segments . or .., which URL parsers rewrite");
}

function parseKeyPath(call: Call, prefix: string, options: readonly string[]): Parsed {
  const tail = pathTail(call, prefix);
  const slash = tail.indexOf("/");
  const query = parseQuery(call.query, options);
  const queryKey = query.get("key");
  if (slash === -1) {
    if (queryKey === undefined) {
      throw badRequest("There is no key: want it after the namespace and a slash, or as ?key=");
    }
    return { namespace: tail, text: checkedQueryKey(queryKey), query };
  }
  if (queryKey !== undefined) {
    throw badRequest("The key stands both in the path and in ?key=: want one of them");
  }
  return {
    namespace: tail.slice(0, slash),
    text: decodedPathKey(tail.slice(slash + 1)),
    query,
  };
}

function checkedQueryKey(text: string): string {
  if (isKeyTooLong(text)) throw keyTooLong();
  const fault = checkKeyText(text);
  if (fault !== null) throw badRequest(fault);
  return text;
}

function decodedPathKey(raw: string): string {
  const decoded = decodeKeyPath(raw);
  if (decoded.ok) return decoded.text;
  // Three characters are the most that a byte can take in a path.
  if (raw.length > KEY_BYTES_MAX * 3 || isTooLongDecoded(raw)) throw keyTooLong();
  throw badRequest(decoded.reason);
}

function isTooLongDecoded(raw: string): boolean {
  const decoded = orNull(() => decodeURIComponent(raw));
  return decoded !== null && isKeyTooLong(decoded);
}

function keyTooLong(): HttpProblem {
  return new HttpProblem("uri_too_long", `The key is longer than ${KEY_BYTES_MAX} bytes of UTF-8`);
}
