/**
 * What a key, a namespace and metadata may be, as pure functions. Reasons are sentences for the person who sent it; they
 * never repeat the input, which may be hostile or secret.
 */
import { isWellFormed, utf8Length } from "./bytes.ts";
import { CONTENT_TYPE_BYTES_MAX, KEY_BYTES_MAX, METADATA_BYTES_MAX } from "./limits.ts";

export type Parsed =
  | { readonly ok: true; readonly text: string }
  | { readonly ok: false; readonly reason: string };

const NAMESPACE = /^[a-z0-9][a-z0-9_-]{0,62}$/;
/** Most keys: characters that stand for themselves in a path and mean nothing to any URL parser; no dot, no backslash. */
const PLAIN = /^[\w~!$&'()*+,;=:@/-]{1,512}$/;
const VISIBLE_ASCII = /^[\x21-\x7e]*$/;
// Tab, and everything but controls: what a header field may hold (RFC 9110 section 5.5).
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The key in a raw request path: everything after `{ns}/`, up to the query. Percent-decoded exactly once and strictly;
 * a plus is a plus; slashes count. Dot segments and backslashes are refused here, since some URL parsers rewrite them.
 */
export function decodeKeyPath(rawPath: string): Parsed {
  if (PLAIN.test(rawPath)) return { ok: true, text: rawPath };
  if (!VISIBLE_ASCII.test(rawPath)) {
    return refused("The key in the path holds characters that must be percent-encoded");
  }
  if (rawPath.includes("?") || rawPath.includes("#")) {
    return refused("The key in the path holds ? or #, which must be percent-encoded");
  }
  const decoded = percentDecode(rawPath);
  if (decoded === null) {
    return refused("The key in the path is not valid percent-encoded UTF-8");
  }
  const fault = checkKeyText(decoded);
  if (fault !== null) return refused(fault);
  if (decoded.includes("\\") || hasDotSegment(decoded)) {
    return refused(
      "A key with a backslash or a segment . or .. cannot be in the path, which URL parsers rewrite: use ?key=",
    );
  }
  return { ok: true, text: decoded };
}

/** Why the text cannot be a key, or null when it can: well-formed Unicode, 1 to 512 bytes of UTF-8, any characters. */
export function checkKeyText(text: string): string | null {
  if (text.length === 0) return "The key is empty: want 1 to 512 bytes";
  // No character takes less than one byte: huge input is refused before it is measured.
  if (text.length > KEY_BYTES_MAX || utf8Length(text) > KEY_BYTES_MAX) {
    return `The key is longer than ${KEY_BYTES_MAX} bytes of UTF-8`;
  }
  if (!isWellFormed(text)) return "The key is not well-formed Unicode: it holds a lone surrogate";
  return null;
}

/** True when the key is too long rather than malformed: the answer is then 414. */
export function isKeyTooLong(text: string): boolean {
  return text.length > KEY_BYTES_MAX || utf8Length(text) > KEY_BYTES_MAX;
}

export function parseNamespaceName(text: string): Parsed {
  if (NAMESPACE.test(text)) return { ok: true, text };
  return refused(
    "A namespace is 1 to 63 characters of a-z, 0-9, _ and -, not beginning with _ or -",
  );
}

/** Why the text cannot be a content type, or null when it can: it must survive as a header on every runtime. */
export function checkContentType(text: string): string | null {
  if (text.length > CONTENT_TYPE_BYTES_MAX || utf8Length(text) > CONTENT_TYPE_BYTES_MAX) {
    return `The content type is longer than ${CONTENT_TYPE_BYTES_MAX} bytes`;
  }
  return FIELD_VALUE.test(text)
    ? null
    : "The content type holds characters that no header may hold";
}

/** `Gyre-Metadata` as it comes: percent-encoded JSON. Returns the JSON text, decoded once, not reformatted. */
export function decodeMetadata(header: string): Parsed {
  // Each byte takes at most three characters: huge input is refused before it is decoded.
  if (header.length > METADATA_BYTES_MAX * 3) return refused(METADATA_TOO_LONG);
  if (!VISIBLE_ASCII.test(header)) {
    return refused("The metadata holds characters that must be percent-encoded");
  }
  const text = percentDecode(header);
  if (text === null) return refused("The metadata is not valid percent-encoded UTF-8");
  const fault = checkMetadataText(text);
  return fault === null ? { ok: true, text } : refused(fault);
}

const METADATA_TOO_LONG = `The metadata is longer than ${METADATA_BYTES_MAX} bytes of JSON`;

/** Why the text cannot be metadata, or null when it can: JSON of at most 1024 bytes. */
export function checkMetadataText(text: string): string | null {
  if (text.length > METADATA_BYTES_MAX || utf8Length(text) > METADATA_BYTES_MAX)
    return METADATA_TOO_LONG;
  if (!isWellFormed(text))
    return "The metadata is not well-formed Unicode: it holds a lone surrogate";
  try {
    JSON.parse(text);
    return null;
  } catch {
    return "The metadata is not JSON";
  }
}

/** The metadata as the header carries it. REQUIRES: well-formed text. */
export function encodeMetadata(text: string): string {
  return encodeURIComponent(text);
}

function refused(reason: string): Parsed {
  return { ok: false, reason };
}

/** Strict: null for a malformed escape, invalid or over-long UTF-8. Decodes once, so `%2541` gives `%41`. */
function percentDecode(text: string): string | null {
  if (!text.includes("%")) return text;
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}

function hasDotSegment(text: string): boolean {
  if (!text.includes(".")) return false;
  return text.split("/").some((segment) => segment === "." || segment === "..");
}
