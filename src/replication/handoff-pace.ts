/** How much hinted handoff does at once, and in a second. */
import {
  HANDOFF_BYTES_AT_ONCE,
  HANDOFF_BYTES_PER_SECOND,
  HANDOFF_ROWS_AT_ONCE,
  HANDOFF_ROWS_PER_SECOND,
} from "../core/limits.ts";
import type { AsideUsage } from "../env/disk.ts";
import type { AsideRecord } from "../storage/record-store.ts";

/** How many hints of a shelf may be on their way at once. */
export function rowsAtOnce({ rows, bytes }: AsideUsage): number {
  const fitting = Math.floor((HANDOFF_BYTES_AT_ONCE * rows) / Math.max(1, bytes));
  return Math.max(1, Math.min(HANDOFF_ROWS_AT_ONCE, fitting));
}

/** How long so many hints may take at the bounded rate. */
export function paceMs(hints: readonly AsideRecord[]): number {
  let bytes = 0;
  for (const { record } of hints) for (const { valueBytes } of record.siblings) bytes += valueBytes;
  const seconds = Math.max(
    hints.length / HANDOFF_ROWS_PER_SECOND,
    bytes / HANDOFF_BYTES_PER_SECOND,
  );
  return Math.ceil(seconds * 1000);
}
