/** Sums and rows of this node, as anti-entropy compares them. Nothing uncommitted is in what is returned. */
import { utf8Decode } from "../core/bytes.ts";
import { type NamespaceId, parseNamespaceId } from "../core/ids.ts";
import { type Key, makeKey } from "../core/key.ts";
import { checkKeyText } from "../core/key-rules.ts";
import { ANTI_ENTROPY_RANGE_ROWS_MAX, SCAN_SLICE_ROWS } from "../core/limits.ts";
import { powerOfTwo } from "../core/power-of-two.ts";
import { DiskFullError, type PlaceCursor } from "../env/disk.ts";
import type { PlaceScanAnswer, RowName } from "../storage/record-store.ts";
import type { RowDigest } from "../storage/row-digest.ts";
import type { Trees } from "../storage/trees.ts";
import { addDigests, ZERO_DIGEST } from "../storage/unit-tree.ts";
import type { Replication } from "./context.ts";
import { PART_BITS, PARTS, PLACE_BITS, type PlaceRange, SHORT_BYTES } from "./exchange-messages.ts";

export interface RangeRow {
  readonly namespace: number;
  readonly keyBytes: Uint8Array;
  readonly place: number;
  readonly digest: RowDigest;
}

type Parts = Pick<Replication, "store" | "env" | "doubt" | "membership">;

/**
 * What `read` finds when nothing of it waits for a commit. It is called again when the turn it looked into was rolled back:
 * what it found then never was.
 */
export async function committed<T>(r: Pick<Replication, "store">, read: () => T): Promise<T> {
  for (;;) {
    const found = read();
    const sequence = r.store.lastSequence();
    if (r.store.isDurable(sequence)) return found;
    try {
      await r.store.whenDurable(sequence);
      return found;
    } catch (error) {
      if (!(error instanceof DiskFullError)) throw error;
      // Nothing was written since: what is there now is what was there before that turn.
      if (r.store.lastSequence() === sequence) return read();
    }
  }
}

/** At most `limit` rows of the policy in the range, or one slice more, in the order of places; other turns run in between. */
export async function rowsOfRange(
  r: Parts,
  trees: Trees,
  policy: string,
  range: PlaceRange,
  limit = ANTI_ENTROPY_RANGE_ROWS_MAX,
): Promise<RangeRow[]> {
  const rows: RangeRow[] = [];
  const to = range.from + powerOfTwo(PLACE_BITS - range.bits);
  let after: PlaceCursor | null = null;
  for (;;) {
    const from: PlaceCursor | null = after;
    const slice: PlaceScanAnswer = await committed(r, () =>
      r.store.scanPlaces({
        from: range.from,
        to,
        after: from,
        limit: Math.min(limit, SCAN_SLICE_ROWS),
      }),
    );
    for (const row of slice.rows) {
      if (row.state === "unknown") noteUnreadable(r, { ...row, bytes: row.keyBytes });
      else if (policyOf(r, row.namespace) === policy)
        rows.push({ ...row, digest: trees.digestOf(row) });
    }
    after = slice.next;
    if (after === null || rows.length >= limit) return rows;
    await new Promise<void>((resolve) => r.env.clock.endOfTurn(resolve));
  }
}

/** Of the layout held now: rows of a namespace that is gone are nobody's. */
function policyOf(r: Parts, namespace: number): string | undefined {
  return r.membership.layout()?.namespaceById(namespace as NamespaceId)?.policy;
}

/** The row is to be asked for from its other owners; damage may have made its key one that nobody can have. */
export function noteUnreadable(r: Pick<Replication, "env" | "doubt">, name: RowName): void {
  const key = keyOf(r, name.namespace, name.bytes);
  if (key !== null) r.doubt.noteUnreadable(key);
}

/** Null for bytes that are no key. */
export function keyOf(
  r: Pick<Replication, "env">,
  namespace: number,
  bytes: Uint8Array,
): Key | null {
  try {
    const text = utf8Decode(bytes);
    if (checkKeyText(text) !== null) return null;
    return makeKey(r.env.hasher, parseNamespaceId(namespace), text);
  } catch {
    return null;
  }
}

/** The part of the range that the place is in, 0 .. 15. */
function partOf(range: PlaceRange, place: number): number {
  return Math.floor((place - range.from) / powerOfTwo(PLACE_BITS - range.bits - PART_BITS));
}

export function rangePart(range: PlaceRange, part: number): PlaceRange {
  const bits = range.bits + PART_BITS;
  return { from: range.from + part * powerOfTwo(PLACE_BITS - bits), bits };
}

/** SHORT_BYTES for each of the sixteen parts. */
export function partSums(range: PlaceRange, rows: readonly RangeRow[]): Uint8Array {
  const sums: RowDigest[] = Array.from({ length: PARTS }, () => ZERO_DIGEST);
  for (const row of rows) {
    const part = partOf(range, row.place);
    sums[part] = addDigests(sums[part] as RowDigest, row.digest);
  }
  return shortDigests(sums);
}

export function shortDigests(digests: readonly RowDigest[]): Uint8Array {
  const bytes = new Uint8Array(digests.length * SHORT_BYTES);
  const view = new DataView(bytes.buffer);
  digests.forEach(({ w2, w3 }, i) => {
    view.setInt32(i * SHORT_BYTES, w2);
    view.setInt32(i * SHORT_BYTES + 4, w3);
  });
  return bytes;
}

/** The digests of the children of a node in the unit's tree. `group` null: its groups; else the leaves of the group. */
export function childSums(
  trees: Trees,
  policy: string,
  partition: number,
  group: number | null,
): Uint8Array {
  const fanOut = trees.shape?.fanOut ?? 0;
  return group === null
    ? trees.lowSums(policy, partition, 0, fanOut, fanOut)
    : trees.lowSums(policy, partition, group * fanOut, fanOut, 1);
}

/** A bit for each child whose digest differs, the lowest for the first. REQUIRES: both of the same length, 32 at most. */
export function differenceMask(mine: Uint8Array, theirs: Uint8Array): number {
  let mask = 0;
  for (let at = 0; at < mine.length; at++) {
    if (mine[at] !== theirs[at]) mask |= 1 << Math.floor(at / SHORT_BYTES);
  }
  return mask >>> 0;
}

/** The positions of the bits that are set, rising. */
export function bitsOf(mask: number): number[] {
  const bits: number[] = [];
  for (let bit = 0; bit < 32; bit++) if ((mask >>> bit) & 1) bits.push(bit);
  return bits;
}
