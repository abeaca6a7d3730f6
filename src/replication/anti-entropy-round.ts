/**
 * One round of anti-entropy with one peer: compare, descend, compare again, exchange (design 7; Dynamo section 4.7). The
 * cost grows with what differs: roots are 18 bytes for each unit that both own, and below them only what differs is asked for.
 */
import type { MessageKind, WireFields } from "../cluster/peer-channel.ts";
import { estimateWireBytes } from "../cluster/peer-codec.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId, PartitionId } from "../core/ids.ts";
import { ANTI_ENTROPY_WHOLE_ROWS_MAX, REQUEST_TIMEOUT_DEFAULT_MS } from "../core/limits.ts";
import { sleep } from "../env/worker.ts";
import { DIGEST_BYTES, digestToBytes } from "../storage/row-digest.ts";
import type { TreeShape } from "../storage/tree-shape.ts";
import {
  decodeMasks,
  decodeRootsAnswer,
  type ExchangeHead,
  encodeRoots,
  encodeSums,
  type PlaceRange,
  type PolicyRoots,
  type SumsItem,
} from "./exchange-messages.ts";
import { repairRanges } from "./repair-ranges.ts";
import { RoundAborted, type RoundParts } from "./round-parts.ts";
import { bitsOf, childSums, committed, rowsOfRange } from "./tree-ranges.ts";

/** What differed must differ still after this, and after some round trips: then it is not just on its way. */
const RECHECK_MIN_MS = 500;
const RECHECK_ROUND_TRIPS = 4;
/** What is not known yet counts as endless: no link on earth is slower than this. */
const ROUND_TRIP_MAX_MS = 1_000;
/** A node that stops does not sleep on. */
const NAP_MS = 50;
/** Nodes of trees in one message: 64 KiB of sums. */
const SUMS_PER_MESSAGE = 256;
/** Differing leaves of a group from which on its rows are listed as a whole, if they are few. */
const WHOLE_GROUP_LEAVES = 4;

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
  #failure: { readonly error: unknown } | null = null;

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
    const { r, figures, busy } = this.#parts;
    const { whole, cut } = await this.#wholeOrCut(
      policy,
      await this.#differingGroups(policy, units),
    );
    const first = await this.#differingLeaves(policy, cut);
    if (first.size === 0 && whole.length === 0) return;
    await this.#waitForWritesOnTheirWay();
    const groups = new Map<number, number[]>();
    for (const [partition, leaves] of first) groups.set(partition, [...leaves.keys()]);
    const second = await this.#differingLeaves(policy, groups);
    const ranges: PlaceRange[] = [];
    for (const partition of (await this.#differingGroups(policy, whole)).keys()) {
      ranges.push(this.#rangeOf(partition, 0, this.#shape.partitionBits));
    }
    for (const [partition, leaves] of second) {
      const both: UnitLeaves = new Map();
      for (const [group, mask] of leaves) {
        const twice = mask & (first.get(partition)?.get(group) ?? 0);
        if (twice !== 0) both.set(group, twice);
        figures.leavesDiffering += bitsOf(twice).length;
      }
      ranges.push(...(await this.#rangesOf(policy, partition, both)));
    }
    if (ranges.length === 0) return;
    if (!busy.begin(r.self, this.#peer)) throw new RoundAborted("another exchange goes on", true);
    try {
      const repair = { parts: this.#parts, ask: this.#ask, head: this.#head, policy };
      this.rows += await repairRanges(repair, ranges);
    } finally {
      busy.end();
    }
  }

  /**
   * A unit with few rows, most of which differs, is compared as a whole: its leaves would be more bytes than its rows. That
   * happens when a node was away, and never to what is merely on its way.
   */
  async #wholeOrCut(
    policy: string,
    groups: ReadonlyMap<number, readonly number[]>,
  ): Promise<{ whole: readonly number[]; cut: ReadonlyMap<number, readonly number[]> }> {
    const whole: number[] = [];
    const cut = new Map<number, readonly number[]>();
    for (const [partition, differing] of groups) {
      const unit = this.#rangeOf(partition, 0, this.#shape.partitionBits);
      const isWhole =
        differing.length * 2 >= this.#shape.fanOut && (await this.#isShort(policy, unit));
      if (isWhole) whole.push(partition);
      else cut.set(partition, differing);
    }
    return { whole, cut };
  }

  async #waitForWritesOnTheirWay(): Promise<void> {
    const { r, isStopping } = this.#parts;
    const roundTripMs = Math.min(r.membership.roundTripMs(this.#peer), ROUND_TRIP_MAX_MS);
    const untilMs =
      r.env.clock.monotonicMs() + Math.max(RECHECK_MIN_MS, RECHECK_ROUND_TRIPS * roundTripMs);
    while (!isStopping() && r.env.clock.monotonicMs() < untilMs) await sleep(r.env.clock, NAP_MS);
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

  /**
   * Neighbouring leaves with few rows in them are compared as one: of a group, much of which differs, all rows are listed.
   */
  async #rangesOf(policy: string, partition: number, leaves: UnitLeaves): Promise<PlaceRange[]> {
    const { fanOut } = this.#shape;
    const ranges: PlaceRange[] = [];
    for (const [group, mask] of leaves) {
      const found = bitsOf(mask);
      const bits = this.#shape.leafPlaceBits - this.#shape.leafBits / 2;
      const whole = this.#rangeOf(partition, group * fanOut, bits);
      if (found.length >= WHOLE_GROUP_LEAVES && (await this.#isShort(policy, whole))) {
        ranges.push(whole);
        continue;
      }
      const leafBits = this.#shape.leafPlaceBits;
      for (const leaf of found)
        ranges.push(this.#rangeOf(partition, group * fanOut + leaf, leafBits));
    }
    return ranges;
  }

  #rangeOf(partition: number, leaf: number, bits: number): PlaceRange {
    return { from: this.#shape.leafStart(partition, leaf), bits };
  }

  async #isShort(policy: string, range: PlaceRange): Promise<boolean> {
    const { r, trees } = this.#parts;
    const limit = ANTI_ENTROPY_WHOLE_ROWS_MAX + 1;
    const rows = await rowsOfRange(r, trees, policy, range, limit);
    return rows.length < limit;
  }

  /** After one message has failed no other one leaves: the round's lanes end together, for the same reason. */
  readonly #ask = async (kind: MessageKind, fields: WireFields): Promise<WireFields> => {
    try {
      return await this.#send(kind, fields);
    } catch (error) {
      this.#failure ??= { error };
      throw this.#failure.error;
    }
  };

  async #send(kind: MessageKind, fields: WireFields): Promise<WireFields> {
    const { r, figures, bytesPace, rowsPace, isStopping } = this.#parts;
    await bytesPace.wait();
    await rowsPace.wait();
    if (this.#failure !== null) throw this.#failure.error;
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
  }
}
