/** Items as an export writes them, in either format of bulk-item.ts. */
import type { ListedKey } from "../client/types.ts";
import { fromBase64 } from "../client/wire.ts";
import type { BulkFormat } from "./bulk-item.ts";
import { textOrUndefined } from "./output.ts";

export interface ExportedValue {
  /** Base64. */
  readonly value: string;
  readonly contentType?: string;
  readonly metadata?: unknown;
  /** Unix seconds. */
  readonly expires?: number;
}

/** What a store gives to a value without a type: not worth a word in each line. */
const DEFAULT_CONTENT_TYPE = "application/octet-stream";

/** The first bytes of the file. */
export function opening(format: BulkFormat): string {
  return format === "wrangler" ? "[" : "";
}

/** The last bytes of the file. */
export function closing(format: BulkFormat): string {
  return format === "wrangler" ? "\n]\n" : "";
}

/** One item with what stands before it or behind it. */
export function formatItem(
  format: BulkFormat,
  key: ListedKey,
  value: ExportedValue,
  isFirst: boolean,
): string {
  const text = textOrUndefined(fromBase64(value.value));
  if (format === "ndjson") {
    const fields = {
      key: key.name,
      ...(text === undefined ? { value_b64: value.value } : { value: text }),
      ...common(value, value.expires),
      ...(value.contentType === undefined || value.contentType === DEFAULT_CONTENT_TYPE
        ? {}
        : { content_type: value.contentType }),
    };
    return `${JSON.stringify(fields)}\n`;
  }
  const fields = {
    key: key.name,
    ...(text === undefined ? { value: value.value, base64: true } : { value: text }),
    // Cloudflare takes whole seconds only; a little later is better than a little early.
    ...common(value, value.expires === undefined ? undefined : Math.ceil(value.expires)),
  };
  return `${isFirst ? "\n" : ",\n"}${JSON.stringify(fields)}`;
}

function common(
  value: ExportedValue,
  expiration: number | undefined,
): { expiration?: number; metadata?: unknown } {
  return {
    ...(expiration === undefined ? {} : { expiration }),
    ...(value.metadata === undefined || value.metadata === null
      ? {}
      : { metadata: value.metadata }),
  };
}
