/**
 * The quarantine for its operator: rows of a restored backup that may have been deleted and forgotten since. Never served,
 * never dropped; whoever knows better exports them and puts back what is wanted.
 */
import { base64Encode, base64UrlDecode, base64UrlEncode } from "../core/bytes.ts";
import { QUARANTINE_PAGE_ROWS } from "../core/limits.ts";
import type { Sibling } from "../core/version.ts";
import type { PlaceCursor } from "../env/disk.ts";
import type { AsideRecord, RecordStore } from "../storage/record-store.ts";
import { QUARANTINE_SHELF } from "../storage/shelves.ts";

export interface QuarantinedRow {
  readonly namespaceId: number;
  readonly key: string;
  readonly siblings: readonly QuarantinedSibling[];
}

export interface QuarantinedSibling {
  /** Microseconds since 1970. */
  readonly stamp: number;
  readonly deleted: boolean;
  /** In base64. */
  readonly value: string;
  readonly contentType: string;
  /** JSON text, "" for none. */
  readonly metadata: string;
  /** Milliseconds since 1970, 0 for never. */
  readonly expiresAtMs: number;
}

export interface QuarantinePage {
  readonly rows: readonly QuarantinedRow[];
  /** For the next page; null after the last. */
  readonly cursor: string | null;
}

/** Undefined when the cursor is none that a page ended with. */
export function quarantinePage(
  store: Pick<RecordStore, "scanAside">,
  cursor: string | null,
): QuarantinePage | undefined {
  const after = cursor === null ? null : readCursor(cursor);
  if (after === undefined) return undefined;
  const { rows, next } = store.scanAside(QUARANTINE_SHELF, after, QUARANTINE_PAGE_ROWS);
  const readable = rows.filter((row) => row.state === "record");
  return { rows: readable.map(shown), cursor: next === null ? null : writeCursor(next) };
}

function shown({ key, record }: AsideRecord): QuarantinedRow {
  return { namespaceId: key.namespace, key: key.text, siblings: record.siblings.map(shownSibling) };
}

function shownSibling(sibling: Sibling): QuarantinedSibling {
  const { stamp, deleted, contentType, metadata, expiresAtMs } = sibling;
  const value = base64Encode(sibling.value ?? new Uint8Array(0));
  return { stamp, deleted, value, contentType, metadata, expiresAtMs };
}

function writeCursor({ place, namespace, keyBytes }: PlaceCursor): string {
  return `${place}.${namespace}.${base64UrlEncode(keyBytes)}`;
}

function readCursor(text: string): PlaceCursor | undefined {
  const match = /^(\d{1,16})\.(\d{1,10})\.([A-Za-z0-9_-]*)$/.exec(text);
  if (match === null) return undefined;
  try {
    const keyBytes = base64UrlDecode(match[3] ?? "");
    return { place: Number(match[1]), namespace: Number(match[2]), keyBytes };
  } catch {
    return undefined;
  }
}
