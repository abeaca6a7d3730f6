/** How a record is shown: one value as its bytes, several as multipart or JSON (api.md, "Siblings", "ETag", "Caching"). */
import type { NamespaceSettings } from "../cluster/namespace-settings.ts";
import { base64Encode, byteString, concatBytes, utf8Encode } from "../core/bytes.ts";
import { etagOf, type RepresentationKind } from "../core/etag.ts";
import type { Hasher } from "../core/hasher.ts";
import { checkContentType, encodeMetadata } from "../core/key-rules.ts";
import type { AckCounts } from "../core/quorum.ts";
import type { Sibling } from "../core/version.ts";
import { dotText } from "../replication/explain.ts";
import { httpDate } from "./http-date.ts";
import { orNull } from "./or-null.ts";

export const DEFAULT_CONTENT_TYPE = "application/octet-stream";
/** Whatever a stranger stored must stay dead when a browser shows it. */
export const VALUE_CSP = "sandbox; default-src 'none'";

/** The header texts of one sibling. A sibling never changes, so they are made once for as long as it is in the cache. */
export interface SiblingHead {
  readonly etag: string;
  readonly contentType: string;
  readonly lastModified: string;
  /** Percent-encoded, null for none. */
  readonly metadata: string | null;
  /** Unix seconds, null for never. */
  readonly expires: string | null;
  /**
   * The value as an answer's body; null when it was not fetched. A short one in ASCII as text: its bytes are the same, and
   * the adapters send text in one piece with the headers.
   */
  readonly body: string | Uint8Array | null;
}

const TEXT_BODY_BYTES_MAX = 1024;

function bodyOf({ value }: Sibling): string | Uint8Array | null {
  if (value === null || value.length > TEXT_BODY_BYTES_MAX) return value;
  for (const byte of value) if (byte >= 0x80) return value;
  return byteString(value);
}

export class Representations {
  readonly #hasher: Hasher;
  readonly #heads = new WeakMap<Sibling, SiblingHead>();

  constructor(hasher: Hasher) {
    this.#hasher = hasher;
  }

  headOf(sibling: Sibling): SiblingHead {
    const known = this.#heads.get(sibling);
    if (known !== undefined) return known;
    const head = {
      etag: this.etagOf("value", [sibling]),
      contentType: servedContentType(sibling.contentType),
      lastModified: httpDate(Math.floor(sibling.stamp / 1_000_000)),
      metadata: sibling.metadata === "" ? null : encodeMetadata(sibling.metadata),
      expires: sibling.expiresAtMs === 0 ? null : String(sibling.expiresAtMs / 1000),
      body: bodyOf(sibling),
    };
    this.#heads.set(sibling, head);
    return head;
  }

  /** REQUIRES: one sibling or more. The same formula as the precondition of a write (replication/precondition.ts). */
  etagOf(kind: RepresentationKind, siblings: readonly Sibling[]): string {
    const first = siblings[0];
    return etagOf(this.#hasher, {
      kind,
      dots: siblings.map((sibling) => sibling.dot),
      contentType: first?.contentType ?? "",
      expiresAtMs: first?.expiresAtMs ?? 0,
    });
  }

  /** RFC 2046: one part for each sibling, each with the headers that a get of it alone would have. */
  multipart(siblings: readonly Sibling[]): {
    readonly contentType: string;
    readonly body: Uint8Array;
  } {
    const boundary = this.#boundary(siblings);
    const parts: Uint8Array[] = [];
    for (const sibling of siblings) {
      const value = valueBytesOf(sibling);
      parts.push(
        utf8Encode(`--${boundary}\r\n${this.#partHead(sibling, value.length)}\r\n`),
        value,
        CRLF,
      );
    }
    parts.push(utf8Encode(`--${boundary}--\r\n`));
    return { contentType: `multipart/mixed; boundary=${boundary}`, body: concatBytes(...parts) };
  }

  #partHead(sibling: Sibling, valueBytes: number): string {
    const head = this.headOf(sibling);
    let text = `Content-Type: ${head.contentType}\r\nContent-Length: ${valueBytes}\r\n`;
    text += `Last-Modified: ${head.lastModified}\r\nGyre-Dot: ${dotText(sibling.dot)}\r\n`;
    text += `Gyre-Stamp: ${sibling.stamp}\r\n`;
    if (head.metadata !== null) text += `Gyre-Metadata: ${head.metadata}\r\n`;
    if (head.expires !== null) text += `Gyre-Expires: ${head.expires}\r\n`;
    return text;
  }

  /** The same bytes each time, since the ETag is strong, and in no value, whoever foresaw it. */
  #boundary(siblings: readonly Sibling[]): string {
    const tag = this.etagOf("multipart", siblings).replaceAll('"', "");
    for (let attempt = 0; ; attempt++) {
      const boundary = `gyre-${tag}-${attempt}`;
      const needle = utf8Encode(boundary);
      if (!siblings.some((sibling) => holdsBytes(valueBytesOf(sibling), needle))) return boundary;
    }
  }
}

const CRLF = utf8Encode("\r\n");

export function valueBytesOf(sibling: Sibling): Uint8Array {
  if (sibling.value === null)
    throw new Error("Cannot answer with a sibling whose value was not fetched");
  return sibling.value;
}

/** A sibling in JSON: the shape that tools rely on (api.md). `writeValue` puts the bytes into the form of the answer. */
export function siblingJson(
  sibling: Sibling,
  writeValue: (bytes: Uint8Array) => unknown = base64Encode,
): Record<string, unknown> {
  return {
    value: writeValue(valueBytesOf(sibling)),
    contentType: servedContentType(sibling.contentType),
    metadata: metadataJson(sibling.metadata),
    expires: sibling.expiresAtMs === 0 ? null : sibling.expiresAtMs / 1000,
    stamp: sibling.stamp,
    dot: dotText(sibling.dot),
  };
}

/** Stored metadata as a JSON value; null for none, and for text that some replica let in without it being JSON. */
export function metadataJson(text: string): unknown {
  return text === "" ? null : orNull(() => JSON.parse(text) as unknown);
}

/** A type that no header can hold would make every get of the key fail: it is served without one. */
function servedContentType(stored: string): string {
  return stored === "" || checkContentType(stored) !== null ? DEFAULT_CONTENT_TYPE : stored;
}

export function cacheControl(settings: NamespaceSettings): string {
  return settings.maxAgeSeconds === null
    ? "private, no-cache"
    : `max-age=${settings.maxAgeSeconds}`;
}

export function acksText(acks: AckCounts): string {
  return `primary=${acks.primary} fallback=${acks.fallback} of=${acks.of}`;
}

function holdsBytes(haystack: Uint8Array, needle: Uint8Array): boolean {
  const first = needle[0] as number;
  for (let at = haystack.indexOf(first); at !== -1; at = haystack.indexOf(first, at + 1)) {
    if (at + needle.length > haystack.length) return false;
    let same = 1;
    while (same < needle.length && haystack[at + same] === needle[same]) same++;
    if (same === needle.length) return true;
  }
  return false;
}
