/** What this node answers to the rounds of anti-entropy of others. Layouts have been compared before (peer-service.ts). */
import { PeerError, type WireFields } from "../cluster/peer-channel.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId, PartitionId } from "../core/ids.ts";
import {
  ANTI_ENTROPY_ANSWERS_MAX,
  ANTI_ENTROPY_MESSAGE_BYTES,
  ANTI_ENTROPY_RANGE_ROWS_MAX,
  ANTI_ENTROPY_ROWS_PER_MESSAGE,
} from "../core/limits.ts";
import { recordBytes } from "../core/record.ts";
import type { CausalRecord } from "../core/version.ts";
import { DiskFullError } from "../env/disk.ts";
import { digestToBytes } from "../storage/row-digest.ts";
import type { Trees } from "../storage/trees.ts";
import type { AntiEntropyFigures } from "./anti-entropy-figures.ts";
import type { Busy } from "./busy.ts";
import type { Replication } from "./context.ts";
import { badMessage } from "./data-messages.ts";
import {
  decodeExchangeHead,
  decodePull,
  decodePush,
  decodeRoots,
  decodeRows,
  decodeSums,
  encodeMasks,
  encodePullAnswer,
  encodeRootsAnswer,
  encodeRowsAnswer,
  type PolicyRoots,
  type RowsAnswerItem,
  type RowsItem,
  SHORT_BYTES,
  type SumsItem,
} from "./exchange-messages.ts";
import type { RoundParts } from "./round-parts.ts";
import { routeOf } from "./route.ts";
import {
  childSums,
  committed,
  differenceMask,
  keyOf,
  partSums,
  type RangeRow,
  rowsOfRange,
  shortDigests,
} from "./tree-ranges.ts";

export type ExchangeKind = "treeRoots" | "treeSums" | "treeRows" | "treePull" | "treePush";

/** Keys of rows that one answer names; what is left out is found by the next round. */
const EXTRA_KEYS_MAX = 4096;

type AnswerParts = Pick<RoundParts, "r" | "trees" | "keyId" | "figures" | "busy" | "isStopping">;

export class ExchangeAnswers {
  readonly #r: Replication;
  readonly #trees: Trees;
  /** Of the secret that row digests are made with: nodes with different ones have nothing to compare. */
  readonly #keyId: string;
  readonly #figures: AntiEntropyFigures;
  readonly #busy: Busy;
  readonly #isStopping: () => boolean;
  #answering = 0;

  constructor({ r, trees, keyId, figures, busy, isStopping }: AnswerParts) {
    this.#r = r;
    this.#trees = trees;
    this.#keyId = keyId;
    this.#figures = figures;
    this.#busy = busy;
    this.#isStopping = isStopping;
  }

  /** REQUIRES: the sender's layout is the one held here. @throws PeerError */
  async answer(kind: ExchangeKind, fields: WireFields, from: NodeId): Promise<WireFields> {
    const layout = this.#r.membership.layout();
    if (layout === undefined) throw new PeerError("refused", "not_ready", "No layout yet");
    if (decodeExchangeHead(fields).keyId !== this.#keyId) {
      throw new PeerError("refused", "other_key", "Row digests are made with another secret here");
    }
    if (this.#isStopping()) throw new PeerError("refused", "overloaded", "This node stops");
    if (this.#answering >= ANTI_ENTROPY_ANSWERS_MAX) {
      throw new PeerError("refused", "overloaded", "Too many messages of anti-entropy at once");
    }
    const begins = kind === "treeRoots" || kind === "treeRows";
    if (begins && this.#busy.refuses(from)) {
      throw new PeerError("refused", "overloaded", "Rows are being exchanged with another peer");
    }
    if (kind === "treeRows" || kind === "treePull" || kind === "treePush")
      this.#busy.heardFrom(from);
    this.#answering++;
    try {
      return await this.#answer(kind, fields, from, layout);
    } finally {
      this.#answering--;
    }
  }

  #answer(
    kind: ExchangeKind,
    fields: WireFields,
    from: NodeId,
    layout: ActiveLayout,
  ): Promise<WireFields> {
    switch (kind) {
      case "treeRoots":
        return this.#roots(fields, from, layout);
      case "treeSums":
        return this.#sums(fields, from, layout);
      case "treeRows":
        return this.#rows(fields, from, layout);
      case "treePull":
        return this.#pull(fields);
      case "treePush":
        return this.#push(fields, layout);
    }
  }

  async #roots(fields: WireFields, from: NodeId, layout: ActiveLayout): Promise<WireFields> {
    const asked = decodeRoots(fields);
    const answer = await committed(this.#r, () =>
      asked.map((policy) => this.#differingRoots(policy, from, layout)),
    );
    return encodeRootsAnswer(answer);
  }

  #differingRoots(asked: PolicyRoots, from: NodeId, layout: ActiveLayout): number[] {
    const { policy, partitions, roots } = asked;
    return partitions.filter((partition, i) => {
      if (!this.#isComparable(layout, policy, partition, from)) return false;
      const mine = digestToBytes(this.#trees.root(policy, partition));
      return mine.some((byte, at) => byte !== roots[i * mine.length + at]);
    });
  }

  async #sums(fields: WireFields, from: NodeId, layout: ActiveLayout): Promise<WireFields> {
    const { policy, items } = decodeSums(fields, this.#trees.shape?.fanOut ?? 0);
    const mask = ({ partition, group, sums }: SumsItem): number =>
      this.#isComparable(layout, policy, partition, from)
        ? differenceMask(childSums(this.#trees, policy, partition, group), sums)
        : 0;
    return encodeMasks(await committed(this.#r, () => items.map(mask)));
  }

  async #rows(fields: WireFields, from: NodeId, layout: ActiveLayout): Promise<WireFields> {
    const { shape } = this.#trees;
    if (shape === null) return [];
    const { policy, items } = decodeRows(fields, shape.partitionBits, ANTI_ENTROPY_RANGE_ROWS_MAX);
    const answers: RowsAnswerItem[] = [];
    let rowsRead = 0;
    let keys = 0;
    for (const item of items) {
      const partition = shape.partitionOf(shape.hashAt(item.from));
      const rows = this.#isShared(layout, policy, partition, from)
        ? await rowsOfRange(this.#r, this.#trees, policy, item)
        : null;
      const answer = this.#compareRows(item, rows, EXTRA_KEYS_MAX - keys);
      answers.push(answer);
      rowsRead += rows?.length ?? 0;
      if (answer.kind === "rows") keys += answer.extra.length;
      // The rest is asked for again, when others have had their turn.
      if (this.#isStopping()) break;
      if (rowsRead >= ANTI_ENTROPY_RANGE_ROWS_MAX || keys >= EXTRA_KEYS_MAX) break;
    }
    return encodeRowsAnswer(answers);
  }

  /** `rows` null: nothing to compare. */
  #compareRows(item: RowsItem, rows: readonly RangeRow[] | null, keysMax: number): RowsAnswerItem {
    if (item.kind === "sums") {
      const mask = rows === null ? 0 : differenceMask(partSums(item, rows), item.digests);
      return { kind: "sums", mask };
    }
    const theirs = new Map<string, number>();
    for (let at = 0; at < item.digests.length; at += SHORT_BYTES) {
      theirs.set(textOf(item.digests, at), at / SHORT_BYTES);
    }
    if (rows === null) return { kind: "rows", missing: [], extra: [] };
    const mine = shortDigests(rows.map((row) => row.digest));
    const extra = rows.filter((_, i) => !theirs.delete(textOf(mine, i * SHORT_BYTES)));
    const keys = extra
      .slice(0, keysMax)
      .map((row) => keyOf(this.#r, row.namespace, row.keyBytes))
      .filter((key) => key !== null);
    return { kind: "rows", missing: [...theirs.values()], extra: keys };
  }

  async #pull(fields: WireFields): Promise<WireFields> {
    const keys = decodePull(this.#r.env.hasher, fields, ANTI_ENTROPY_ROWS_PER_MESSAGE);
    if (keys.length === 0) throw badMessage("keys: none");
    const records = await committed(this.#r, () => {
      const found: (CausalRecord | null)[] = [];
      let bytes = 0;
      for (const key of keys) {
        const stored = this.#r.store.read(key);
        const record = stored.state === "record" ? stored.record : null;
        if (record !== null) bytes += recordBytes(record);
        if (found.length > 0 && bytes > ANTI_ENTROPY_MESSAGE_BYTES) break;
        found.push(record);
      }
      return found;
    });
    this.#figures.rowsSent += records.length;
    return encodePullAnswer(records);
  }

  async #push(fields: WireFields, layout: ActiveLayout): Promise<WireFields> {
    const { env, store, replica, self } = this.#r;
    const records = decodePush(env.hasher, fields, ANTI_ENTROPY_ROWS_PER_MESSAGE);
    if (this.#r.membership.refusesWrites()) {
      throw new PeerError(
        "refused",
        "not_formed",
        "The layout may still change: no writes are taken",
      );
    }
    for (const { key } of records) {
      if (routeOf(layout, key)?.homes.includes(self) !== true) {
        throw new PeerError("refused", "not_home", "Not a home replica of a pushed record");
      }
    }
    try {
      const sequences = records.map(({ key, record }) => {
        const { sequence, changed } = replica.merge(key, record);
        if (changed) this.#figures.rowsReceived++;
        return sequence;
      });
      await store.whenAllDurable(sequences);
    } catch (error) {
      refuseDiskFull(error);
    }
    return [records.length];
  }

  /** Both own the unit, and the sums kept here are right. */
  #isComparable(layout: ActiveLayout, policy: string, partition: number, from: NodeId): boolean {
    return this.#isShared(layout, policy, partition, from) && this.#trees.isBuilt(partition);
  }

  #isShared(layout: ActiveLayout, policy: string, partition: number, from: NodeId): boolean {
    // The name comes from a peer: "constructor" is none, although each object has one.
    if (!Object.hasOwn(layout.document.policies, policy) || partition >= layout.partitions)
      return false;
    const homes = layout.homes(policy, partition as PartitionId);
    return homes.includes(this.#r.self) && homes.includes(from);
  }
}

function textOf(bytes: Uint8Array, at: number): string {
  let text = "";
  for (let i = at; i < at + SHORT_BYTES; i++) text += String.fromCharCode(bytes[i] as number);
  return text;
}

function refuseDiskFull(error: unknown): never {
  if (!(error instanceof DiskFullError)) throw error;
  throw new PeerError("refused", "disk_full", "No room on the disk: nothing was stored", {
    cause: error,
  });
}
