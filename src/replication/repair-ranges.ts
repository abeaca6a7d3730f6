/** The last steps of a round: rows of the ranges that differ are compared, and what differs is exchanged. */
import type { Key } from "../core/key.ts";
import { ANTI_ENTROPY_LIST_ROWS_MAX, ANTI_ENTROPY_WHOLE_ROWS_MAX } from "../core/limits.ts";
import { allEnded } from "./all-ended.ts";
import {
  decodeRowsAnswer,
  type ExchangeHead,
  encodeRows,
  PART_BITS,
  PLACE_BITS,
  type PlaceRange,
  type RowsItem,
} from "./exchange-messages.ts";
import { exchangeRecords } from "./exchange-records.ts";
import type { Ask, RoundParts } from "./round-parts.ts";
import {
  bitsOf,
  keyOf,
  partSums,
  type RangeRow,
  rangePart,
  rowsOfRange,
  shortDigests,
} from "./tree-ranges.ts";

/** Ranges in one message. */
const RANGES_PER_MESSAGE = 16;
/** Messages on their way at once, each with the exchange that follows: hides round trips and commits. */
const MESSAGES_AT_ONCE = 4;

export interface RangeRepair {
  readonly parts: RoundParts;
  readonly ask: Ask;
  readonly head: ExchangeHead;
  readonly policy: string;
}

/** Ranges with many rows are cut into sixteen until they are short, or found equal. Returns the number of records moved. */
export async function repairRanges(
  repair: RangeRepair,
  ranges: readonly PlaceRange[],
): Promise<number> {
  const left = [...ranges].reverse();
  let rows = 0;
  let hasFailed = false;
  const lane = async (): Promise<void> => {
    while (left.length > 0) {
      const chunk = left.splice(-RANGES_PER_MESSAGE).reverse();
      try {
        const done = await repairSome(repair, chunk);
        rows += done.rows;
        left.push(...done.left);
      } catch (error) {
        // The other lanes end with the messages that they are at.
        hasFailed = true;
        throw error;
      }
      if (hasFailed) return;
    }
  };
  await allEnded(Array.from({ length: MESSAGES_AT_ONCE }, lane));
  return rows;
}

async function repairSome(
  { parts, ask, head, policy }: RangeRepair,
  chunk: readonly PlaceRange[],
): Promise<{ readonly rows: number; readonly left: readonly PlaceRange[] }> {
  const { r, trees, rowsPace } = parts;
  const items: RowsItem[] = [];
  const rowsOf: RangeRow[][] = [];
  for (const range of chunk) {
    const rows = await rowsOfRange(r, trees, policy, range);
    rowsPace.used(rows.length);
    rowsOf.push(rows);
    const isPart = range.bits >= (trees.shape?.leafPlaceBits ?? 0);
    items.push(
      itemOf(range, rows, isPart ? ANTI_ENTROPY_LIST_ROWS_MAX : ANTI_ENTROPY_WHOLE_ROWS_MAX),
    );
  }
  const answer = await ask("treeRows", encodeRows(head, policy, items));
  const answered = decodeRowsAnswer(r.env.hasher, answer, items);
  const left: PlaceRange[] = chunk.slice(answered.length);
  const push: Key[] = [];
  const pull: Key[] = [];
  answered.forEach((found, i) => {
    if (found.kind === "sums") {
      const range = chunk[i] as PlaceRange;
      left.push(...bitsOf(found.mask).map((part) => rangePart(range, part)));
      return;
    }
    pull.push(...found.extra);
    for (const at of found.missing) {
      const row = rowsOf[i]?.[at];
      const key = row === undefined ? null : keyOf(r, row.namespace, row.keyBytes);
      if (key !== null) push.push(key);
    }
  });
  return { rows: await exchangeRecords(parts, ask, head, pull, push), left };
}

function itemOf(range: PlaceRange, rows: readonly RangeRow[], listMax: number): RowsItem {
  const isShort = rows.length <= listMax;
  if (isShort || range.bits + PART_BITS > PLACE_BITS) {
    return { ...range, kind: "rows", digests: shortDigests(rows.map((row) => row.digest)) };
  }
  return { ...range, kind: "sums", digests: partSums(range, rows) };
}
