/** One item of an import: from either of the two formats, checked as far as the server would not say it better. */
import { toBase64 } from "../client/wire.ts";

/**
 * `ndjson`: one object a line, `{"key", "value" | "value_b64", "expiration"?, "metadata"?, "content_type"?}`.
 * `wrangler`: the JSON array of `wrangler kv bulk put`, `[{"key", "value", "base64"?, "expiration"?, "expiration_ttl"?,
 * "metadata"?}]`. Times are unix seconds.
 */
export type BulkFormat = "ndjson" | "wrangler";

/** An item as it stands in the file: the JSON text of one object. */
export interface RawItem {
  readonly text: Uint8Array;
  /** Where it begins, 1 and up. */
  readonly line: number;
  /** 0 and up: what the journal counts. */
  readonly index: number;
}

export interface BulkItem {
  readonly raw: RawItem;
  readonly key: string;
  /** Base64, as the batch call takes it. */
  readonly value: string;
  readonly expires?: number;
  readonly ttl?: number;
  readonly metadata?: unknown;
  readonly contentType?: string;
}

/** An item that cannot be used; the import goes on with the others. */
export interface ItemFault {
  readonly line: number;
  readonly reason: string;
}

export type ParsedItem =
  | { readonly status: "item"; readonly item: BulkItem }
  | { readonly status: "fault"; readonly fault: ItemFault };

const FIELDS: Readonly<Record<BulkFormat, readonly string[]>> = {
  ndjson: ["key", "value", "value_b64", "expiration", "metadata", "content_type"],
  wrangler: ["key", "value", "base64", "expiration", "expiration_ttl", "metadata"],
};

const UTF8_STRICT = new TextDecoder("utf-8", { fatal: true });
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

export function parseItem(raw: RawItem, format: BulkFormat): ParsedItem {
  try {
    return { status: "item", item: readItem(raw, format) };
  } catch (error) {
    if (error instanceof TypeError || error instanceof SyntaxError) {
      return { status: "fault", fault: { line: raw.line, reason: error.message } };
    }
    throw error;
  }
}

/** @throws TypeError or SyntaxError with the reason. */
function readItem(raw: RawItem, format: BulkFormat): BulkItem {
  const parsed: unknown = JSON.parse(UTF8_STRICT.decode(raw.text));
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    throw new TypeError("want a JSON object for each item");
  }
  const fields = parsed as Readonly<Record<string, unknown>>;
  for (const name of Object.keys(fields)) {
    // Ignoring one would lose what it stood for without a word.
    if (!FIELDS[format].includes(name)) {
      throw new TypeError(
        `unknown field ${JSON.stringify(name)}, want some of ${FIELDS[format].join(", ")}`,
      );
    }
  }
  const { key } = fields;
  if (typeof key !== "string" || key === "" || !key.isWellFormed()) {
    throw new TypeError("want a key: a string that is not empty");
  }
  return {
    raw,
    key,
    value: format === "ndjson" ? ndjsonValue(fields) : wranglerValue(fields),
    ...expiry(fields),
    ...(fields["metadata"] === undefined || fields["metadata"] === null
      ? {}
      : { metadata: fields["metadata"] }),
    ...contentType(fields["content_type"]),
  };
}

function ndjsonValue(fields: Readonly<Record<string, unknown>>): string {
  const { value, value_b64: base64 } = fields;
  if ((value === undefined) === (base64 === undefined)) {
    throw new TypeError("want either value (a string) or value_b64 (base64)");
  }
  return base64 === undefined ? encodeText("value", value) : checkBase64("value_b64", base64);
}

function wranglerValue(fields: Readonly<Record<string, unknown>>): string {
  const { value, base64 } = fields;
  if (base64 !== undefined && typeof base64 !== "boolean")
    throw new TypeError("want base64 to be true or false");
  return base64 === true ? checkBase64("value", value) : encodeText("value", value);
}

function encodeText(name: string, value: unknown): string {
  if (typeof value !== "string" || !value.isWellFormed())
    throw new TypeError(`want ${name} to be a string`);
  return toBase64(new TextEncoder().encode(value));
}

function checkBase64(name: string, value: unknown): string {
  if (typeof value !== "string" || !BASE64.test(value))
    throw new TypeError(`want ${name} to be base64`);
  return value;
}

function expiry(fields: Readonly<Record<string, unknown>>): { expires?: number; ttl?: number } {
  const { expiration, expiration_ttl: ttl } = fields;
  if (expiration !== undefined && ttl !== undefined) {
    throw new TypeError("want expiration or expiration_ttl, not both");
  }
  if (expiration !== undefined) return { expires: seconds("expiration", expiration) };
  return ttl === undefined ? {} : { ttl: seconds("expiration_ttl", ttl) };
}

function seconds(name: string, value: unknown): number {
  if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
    throw new TypeError(`want ${name} to be a number of seconds above 0`);
  }
  return value;
}

function contentType(value: unknown): { contentType?: string } {
  if (value === undefined) return {};
  if (typeof value !== "string" || value === "")
    throw new TypeError("want content_type to be a string");
  return { contentType: value };
}
