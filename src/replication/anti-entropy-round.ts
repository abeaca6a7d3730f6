/**
 * One round of anti-entropy with one peer: compare, descend, compare again, exchange (design 7; Dynamo section 4.7). The
 * cost grows with what differs: roots are 18 bytes for each unit that both own, and below them only what differs is asked for.
 */
import type { MessageKind, WireFields } from "../cluster/peer-channel.ts";
import { estimateWireBytes } from "../cluster/peer-codec.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId, PartitionId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { ANTI_ENTROPY_LIST_ROWS_MAX, REQUEST_TIMEOUT_DEFAULT_MS } from "../core/limits.ts";
import { sleep } from "../env/worker.ts";
import { DIGEST_BYTES, digestToBytes } from "../storage/row-digest.ts";
import type { TreeShape } from "../storage/tree-shape.ts";
import {
  decodeMasks,
  decodeRootsAnswer,
  decodeRowsAnswer,
  type ExchangeHead,
  encodeRoots,
  encodeRows,
  encodeSums,
  PART_BITS,
  PLACE_BITS,
  type PlaceRange,
  type PolicyRoots,
  type RowsItem,
  type SumsItem,
} from "./exchange-messages.ts";
import { exchangeRecords } from "./exchange-records.ts";
import { RoundAborted, type RoundParts } from "./round-parts.ts";
import {
  childSums,
  committed,
  keyOf,
  partSums,
  type RangeRow,
  rangePart,
  rowsOfRange,
  shortDigests,
} from "./tree-ranges.ts";

/** What differed must differ still after this, and after some round trips: then it is not just on its way. */
const RECHECK_MIN_MS = 500;
const RECHECK_ROUND_TRIPS = 4;
/** What is not known yet counts as endless: no link on earth is slower than this. */
const ROUND_TRIP_MAX_MS = 1_000;
/** A node that stops does not sleep on. */
const NAP_MS = 50;
/** Nodes of trees in one message: 64 KiB of sums. */
const SUMS_PER_MESSAGE = 256;
/** Ranges in one message. */
const RANGES_PER_MESSAGE = 256;

/** Leaves of one unit that differ: for each group a bit for each of its leaves. */
type UnitLeaves = Map<number, number>;

export class Round {
  readonly #parts: RoundParts;
  readonly #peer: NodeId;
  readonly #layout: ActiveLayout;
  readonly #shape: TreeShape;
  readonly #head: ExchangeHead;
  /** Records sent or received. */
  rows = 0;

  constructor(parts: RoundParts, peer: NodeId, layout: ActiveLayout, shape: TreeShape) {
    this.#parts = parts;
    this.#peer = peer;
    this.#layout = layout;
    this.#shape = shape;
    this.#head = { layoutVersion: layout.version, keyId: parts.keyId };
  }

  /** @throws PeerError, RoundAborted, DiskFullError */
  async run(): Promise<void> {
    const policies = Object.keys(this.#layout.document.policies);
    const differing = await this.#differingUnits(policies);
    for (const [i, policy] of policies.entries()) {
      const units = differing[i] ?? [];
      this.#parts.figures.unitsDiffering += units.length;
      if (units.length > 0) await this.#repairUnits(policy, units);
    }
  }

  async #differingUnits(policies: readonly string[]): Promise<readonly number[][]> {
    const { r, trees } = this.#parts;
    const lists = await committed(r, () =>
      policies.map((policy): PolicyRoots => {
        const partitions = this.#comparable(policy);
        const roots = new Uint8Array(partitions.length * DIGEST_BYTES);
        partitions.forEach((partition, i) => {
          roots.set(digestToBytes(trees.root(policy, partition)), i * DIGEST_BYTES);
        });
        return { policy, partitions, roots };
      }),
    );
    if (lists.every((list) => list.partitions.length === 0)) return [];
    const answer = await this.#ask("treeRoots", encodeRoots(this.#head, lists));
    return decodeRootsAnswer(answer, policies.length);
  }

  #comparable(policy: string): number[] {
    const { r, trees } = this.#parts;
    const partitions: number[] = [];
    for (let p = 0; p < this.#layout.partitions; p++) {
      const homes = this.#layout.homes(policy, p as PartitionId);
      if (homes.includes(r.self) && homes.includes(this.#peer) && trees.isBuilt(p))
        partitions.push(p);
    }
    return partitions;
  }

  async #repairUnits(policy: string, units: readonly number[]): Promise<void> {
    const { figures } = this.#parts;
    const first = await this.#differingLeaves(policy, await this.#differingGroups(policy, units));
    if (first.size === 0) return;
    await this.#waitForWritesOnTheirWay();
    const groups = new Map<number, number[]>();
    for (const [partition, leaves] of first) groups.set(partition, [...leaves.keys()]);
    const second = await this.#differingLeaves(policy, groups);
    const ranges: PlaceRange[] = [];
    for (const [partition, leaves] of second) {
      for (const [group, mask] of leaves) {
        const both = mask & (first.get(partition)?.get(group) ?? 0);
        for (const leaf of bitsOf(both)) ranges.push(this.#rangeOf(partition, group, leaf));
      }
    }
    figures.leavesDiffering += ranges.length;
    await this.#repairRanges(policy, ranges);
  }

  async #waitForWritesOnTheirWay(): Promise<void> {
    const { r, isStopping } = this.#parts;
    const roundTripMs = Math.min(r.membership.roundTripMs(this.#peer), ROUND_TRIP_MAX_MS);
    const untilMs =
      r.env.clock.monotonicMs() + Math.max(RECHECK_MIN_MS, RECHECK_ROUND_TRIPS * roundTripMs);
    while (!isStopping() && r.env.clock.monotonicMs() < untilMs) await sleep(r.env.clock, NAP_MS);
  }

  #rangeOf(partition: number, group: number, leaf: number): PlaceRange {
    const from = this.#shape.leafStart(partition, group * this.#shape.fanOut + leaf);
    return { from, bits: this.#shape.leafPlaceBits };
  }

  /** For each unit the groups of leaves that differ. */
  async #differingGroups(
    policy: string,
    units: readonly number[],
  ): Promise<ReadonlyMap<number, readonly number[]>> {
    const nodes = units.map((partition) => ({ partition, group: null }));
    const groups = new Map<number, number[]>();
    await this.#compareSums(policy, nodes, ({ partition }, mask) => {
      if (mask !== 0) groups.set(partition, bitsOf(mask));
    });
    return groups;
  }

  async #differingLeaves(
    policy: string,
    groups: ReadonlyMap<number, readonly number[]>,
  ): Promise<ReadonlyMap<number, UnitLeaves>> {
    const nodes = [...groups].flatMap(([partition, list]) =>
      list.map((group) => ({ partition, group })),
    );
    const leaves = new Map<number, UnitLeaves>();
    await this.#compareSums(policy, nodes, ({ partition, group }, mask) => {
      if (mask === 0 || group === null) return;
      let unit = leaves.get(partition);
      if (unit === undefined) {
        unit = new Map();
        leaves.set(partition, unit);
      }
      unit.set(group, mask);
    });
    return leaves;
  }

  async #compareSums(
    policy: string,
    nodes: readonly Pick<SumsItem, "partition" | "group">[],
    take: (node: Pick<SumsItem, "partition" | "group">, mask: number) => void,
  ): Promise<void> {
    const { r, trees } = this.#parts;
    for (let at = 0; at < nodes.length; at += SUMS_PER_MESSAGE) {
      // A unit whose rows are being counted anew may have become incomparable since.
      const chunk = nodes
        .slice(at, at + SUMS_PER_MESSAGE)
        .filter((node) => trees.isBuilt(node.partition));
      if (chunk.length === 0) continue;
      const items = await committed(r, () =>
        chunk.map((node): SumsItem => {
          const sums = childSums(trees, policy, node.partition, node.group);
          return { ...node, sums };
        }),
      );
      const answer = await this.#ask("treeSums", encodeSums(this.#head, policy, items));
      const masks = decodeMasks(answer, items.length);
      items.forEach((item, i) => {
        take(item, masks[i] as number);
      });
    }
  }

  /** Ranges with many rows are cut into sixteen until they are short, or found equal. */
  async #repairRanges(policy: string, ranges: readonly PlaceRange[]): Promise<void> {
    let left = [...ranges];
    while (left.length > 0) {
      const chunk = left.slice(0, RANGES_PER_MESSAGE);
      const items: RowsItem[] = [];
      const rowsOf: RangeRow[][] = [];
      for (const range of chunk) {
        const rows = await this.#rowsOf(policy, range);
        rowsOf.push(rows);
        items.push(itemOf(range, rows));
      }
      const answer = await this.#ask("treeRows", encodeRows(this.#head, policy, items));
      const answered = decodeRowsAnswer(this.#parts.r.env.hasher, answer, items);
      const deeper: PlaceRange[] = [];
      const push: Key[] = [];
      const pull: Key[] = [];
      answered.forEach((found, i) => {
        const range = chunk[i] as PlaceRange;
        if (found.kind === "sums") {
          deeper.push(...bitsOf(found.mask).map((part) => rangePart(range, part)));
          return;
        }
        pull.push(...found.extra);
        for (const at of found.missing) {
          const row = rowsOf[i]?.[at];
          const key = row === undefined ? null : keyOf(this.#parts.r, row.namespace, row.keyBytes);
          if (key !== null) push.push(key);
        }
      });
      this.rows += await exchangeRecords(this.#parts, this.#ask, this.#head, pull, push);
      left = [...deeper, ...left.slice(answered.length)];
    }
  }

  async #rowsOf(policy: string, range: PlaceRange): Promise<RangeRow[]> {
    const { r, trees, rowsPace } = this.#parts;
    const rows = await rowsOfRange(r, trees, policy, range);
    rowsPace.used(rows.length);
    return rows;
  }

  readonly #ask = async (kind: MessageKind, fields: WireFields): Promise<WireFields> => {
    const { r, figures, bytesPace, rowsPace, isStopping } = this.#parts;
    await bytesPace.wait();
    await rowsPace.wait();
    if (isStopping()) throw new RoundAborted("the node stops");
    if (r.membership.layout()?.version !== this.#layout.version) {
      throw new RoundAborted("the layout has changed");
    }
    const sent = estimateWireBytes(fields);
    figures.bytesSent += sent;
    bytesPace.used(sent);
    const answer = await r.channel.send(this.#peer, kind, fields, {
      timeoutMs: REQUEST_TIMEOUT_DEFAULT_MS,
      lane: "direct",
    });
    const received = estimateWireBytes(answer);
    figures.bytesReceived += received;
    bytesPace.used(received);
    return answer;
  };
}

function itemOf(range: PlaceRange, rows: readonly RangeRow[]): RowsItem {
  const isShort = rows.length <= ANTI_ENTROPY_LIST_ROWS_MAX;
  if (isShort || range.bits + PART_BITS > PLACE_BITS) {
    return { ...range, kind: "rows", digests: shortDigests(rows.map((row) => row.digest)) };
  }
  return { ...range, kind: "sums", digests: partSums(range, rows) };
}

function bitsOf(mask: number): number[] {
  const bits: number[] = [];
  for (let bit = 0; bit < 32; bit++) if ((mask >>> bit) & 1) bits.push(bit);
  return bits;
}
