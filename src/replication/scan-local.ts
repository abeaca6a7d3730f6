import { SCAN_SLICE_ROWS } from "../core/limits.ts";
import type { Replication } from "./context.ts";
import type { ScanAnswer, ScanMessage, ScanRow } from "./data-messages.ts";

/**
 * This node's next rows of the range in key order, tombstones included. Works in slices and lets other turns run in
 * between, so that a scan never holds up a put for longer than a slice.
 */
export async function scanLocal(r: Replication, message: ScanMessage): Promise<ScanAnswer> {
  const rows: ScanRow[] = [];
  let { start, end } = message;
  for (;;) {
    const limit = Math.min(SCAN_SLICE_ROWS, message.limit - rows.length);
    const slice = r.store.scan({
      namespace: message.namespace,
      start,
      end,
      reverse: message.reverse,
      limit,
    });
    for (const row of slice.rows) {
      rows.push({ key: row.keyBytes, head: row.state === "record" ? row.head : null });
    }
    if (!r.store.isDurable(slice.sequence)) await r.store.whenDurable(slice.sequence);
    const last = slice.rows.at(-1);
    if (slice.rows.length < limit || last === undefined) {
      return { rows, more: false, inDoubt: r.doubt.any };
    }
    if (rows.length >= message.limit) return { rows, more: true, inDoubt: r.doubt.any };
    if (message.reverse) end = last.keyBytes;
    else start = keyAfter(last.keyBytes);
    await new Promise<void>((resolve) => r.env.clock.endOfTurn(resolve));
  }
}

/** The smallest byte string above `key`. */
export function keyAfter(key: Uint8Array): Uint8Array {
  const after = new Uint8Array(key.length + 1);
  after.set(key);
  return after;
}
