import { keyAfter, utf8Decode } from "../core/bytes.ts";
import { parseNamespaceId } from "../core/ids.ts";
import { makeKey } from "../core/key.ts";
import { SCAN_ANSWER_BYTES_MAX, SCAN_SLICE_ROWS } from "../core/limits.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Replication } from "./context.ts";
import type { ScanAnswer, ScanMessage, ScanRow } from "./data-messages.ts";

/**
 * This node's next rows of the range in key order, tombstones included. Works in slices and lets other turns run in
 * between, so that a scan never holds up a put for longer than a slice.
 */
export async function scanLocal(r: Replication, message: ScanMessage): Promise<ScanAnswer> {
  const rows: ScanRow[] = [];
  let { start, end } = message;
  let inDoubt = false;
  let holdsApart = false;
  let bytes = 0;
  for (;;) {
    // Judged as the rows are read: doubt that ends while this waits says nothing about what they lacked.
    inDoubt ||= r.doubt.any;
    holdsApart ||= r.doubt.holdsApart;
    const limit = Math.min(SCAN_SLICE_ROWS, message.limit - rows.length);
    const slice = r.store.scan({
      namespace: message.namespace,
      start,
      end,
      reverse: message.reverse,
      limit,
    });
    const read = slice.rows.map((row): ScanRow => {
      const sure = row.state === "record" && !isRowInDoubt(r, message.namespace, row.keyBytes);
      return { key: row.keyBytes, head: sure ? row.head : null };
    });
    if (!r.store.isDurable(slice.sequence) && !(await becomesDurable(r, slice.sequence))) continue;
    rows.push(...read);
    for (const row of read) bytes += row.key.length + (row.head?.length ?? 0);
    const last = slice.rows.at(-1);
    if (slice.rows.length < limit || last === undefined) {
      return { rows, more: false, inDoubt, holdsApart };
    }
    if (rows.length >= message.limit || bytes >= SCAN_ANSWER_BYTES_MAX)
      return { rows, more: true, inDoubt, holdsApart };
    if (message.reverse) end = last.keyBytes;
    else start = keyAfter(last.keyBytes);
    await new Promise<void>((resolve) => r.env.clock.endOfTurn(resolve));
  }
}

/** False when the turn was rolled back: what the slice saw never was, and it must be read again. */
async function becomesDurable(r: Replication, sequence: number): Promise<boolean> {
  try {
    await r.store.whenDurable(sequence);
    return true;
  } catch (error) {
    if (error instanceof DiskFullError) return false;
    throw error;
  }
}

function isRowInDoubt(r: Replication, namespace: number, key: Uint8Array): boolean {
  if (!r.doubt.anyRow) return false;
  return r.doubt.ofRow(makeKey(r.env.hasher, parseNamespaceId(namespace), utf8Decode(key)));
}
