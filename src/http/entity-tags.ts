import { ENTITY_TAG_CHARS_MAX, ENTITY_TAGS_MAX } from "../core/limits.ts";
import type { EntityTags } from "../replication/requests.ts";
import { badRequest } from "./problem.ts";

/** One tag of a list: an optional W/, then a quoted text without quotes or controls (RFC 9110, section 8.8.3). */
const TAG = /^(W\/)?("[\x21\x23-\x7e\x80-\xff]*")$/;

/**
 * If-Match or If-None-Match of a write. Weak tags are left out, since the comparison is strong, and so are such as are too
 * long for one of ours: they match nothing.
 * @throws HttpProblem 400.
 */
export function parseStrongTags(name: string, header: string | null): EntityTags | null {
  if (header === null) return null;
  if (header.trim() === "*") return { any: true };
  const tags: string[] = [];
  for (const { weak, tag } of parseList(name, header)) {
    if (!weak && tag.length <= ENTITY_TAG_CHARS_MAX) tags.push(tag);
  }
  if (tags.length > ENTITY_TAGS_MAX) {
    throw badRequest(`Cannot take ${tags.length} tags in ${name}: want at most ${ENTITY_TAGS_MAX}`);
  }
  return { tags };
}

/** If-None-Match of a read, where W/ makes no difference (RFC 9110, section 13.1.2). @throws HttpProblem 400. */
export function matchesWeakly(header: string, etag: string): boolean {
  if (header === etag || header.trim() === "*") return true;
  return parseList("If-None-Match", header).some(({ tag }) => tag === etag);
}

function parseList(name: string, header: string): { weak: boolean; tag: string }[] {
  // A tag holds no quote, so a comma is inside one only between an odd and an even quote.
  const parts = header.match(/(?:[^,"]|"[^"]*"?)+/g) ?? [];
  const tags: { weak: boolean; tag: string }[] = [];
  for (const part of parts) {
    const text = part.trim();
    if (text === "") continue;
    const match = TAG.exec(text);
    if (match?.[2] === undefined) {
      throw badRequest(`Cannot read ${name}: want * or a list of quoted tags, such as "abc"`);
    }
    tags.push({ weak: match[1] !== undefined, tag: match[2] });
  }
  if (tags.length === 0) throw badRequest(`Cannot read ${name}: it is empty`);
  return tags;
}
