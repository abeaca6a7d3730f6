/** If-Match and If-None-Match (RFC 9110, sections 13.1.1 and 13.1.2), decided after a quorum read. */
import type { Consistency } from "../core/consistency.ts";
import { etagOf } from "../core/etag.ts";
import type { Hasher } from "../core/hasher.ts";
import type { EntityTags, GetFound, PutRequest } from "./requests.ts";

/** The read's own consistency: the request's, but never less than a quorum. */
export function readConsistency(asked: Consistency, owners: number): Consistency {
  if ("count" in asked) return { count: Math.max(asked.count, Math.floor(owners / 2) + 1) };
  if (asked.level === "one" || asked.level === "local-quorum") return { level: "quorum" };
  return asked;
}

/** The tag of what a plain get would answer now; null when it would answer 404. */
export function presentEtag(hasher: Hasher, found: GetFound): string | null {
  const first = found.chosen[0];
  if (first === undefined) return null;
  return etagOf(hasher, {
    kind: found.chosen.length > 1 ? "multipart" : "value",
    dots: found.chosen.map((sibling) => sibling.dot),
    contentType: first.contentType,
    expiresAtMs: first.expiresAtMs,
  });
}

/** Whether the record remembers a write under the request's Idempotency-Key. */
export function isRepeat(request: PutRequest, found: GetFound): boolean {
  const { idempotencyKey } = request;
  if (idempotencyKey === "" || found.record === null) return false;
  return found.record.siblings.some((sibling) => sibling.idempotencyKey === idempotencyKey);
}

function matches(wanted: EntityTags, etag: string | null): boolean {
  if (etag === null) return false;
  return "any" in wanted || wanted.tags.includes(etag);
}

/**
 * True when the put may go on. If-Match over several siblings without a context of the client's own never holds: one tag
 * cannot say which of them the client has seen.
 */
export function preconditionHolds(
  request: PutRequest,
  found: GetFound,
  etag: string | null,
): boolean {
  if (request.ifMatch !== null) {
    if (found.liveSiblings > 1 && request.context === null) return false;
    if (!matches(request.ifMatch, etag)) return false;
  }
  return request.ifNoneMatch === null || !matches(request.ifNoneMatch, etag);
}
