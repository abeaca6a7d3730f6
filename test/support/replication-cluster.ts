/**
 * Replicas of a fixed layout in one process, with the real replication floor and stores whose commits the test controls.
 * For tests of one rule at a time; the simulator runs whole nodes.
 */

import type { Membership } from "../../src/cluster/membership.ts";
import {
  type MessageHandlers,
  type MessageKind,
  type PeerChannel,
  PeerError,
  type WireFields,
} from "../../src/cluster/peer-channel.ts";
import { compileLayout } from "../../src/core/active-layout.ts";
import { byteString, compareBytes } from "../../src/core/bytes.ts";
import { HybridClock } from "../../src/core/clock.ts";
import {
  actorIdFromBytes,
  type NodeId,
  parseClusterId,
  parseNodeId,
  parseRegionId,
  parseZoneId,
} from "../../src/core/ids.ts";
import { type Key, makeKey, RING_PLACES } from "../../src/core/key.ts";
import type { LayoutMember, PlacementPolicy } from "../../src/core/layout.ts";
import { firstLayout, withMembers } from "../../src/core/layout-rules.ts";
import { HINT_AGE_MAX_MS, HINT_BYTES_MAX, MESSAGE_LIFE_MS } from "../../src/core/limits.ts";
import { withoutValues } from "../../src/core/record.ts";
import { encodeHead } from "../../src/core/record-codec.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import {
  type AsideUsage,
  DiskFullError,
  type Minted,
  type PlaceCursor,
} from "../../src/env/disk.ts";
import type { Env } from "../../src/env/env.ts";
import type { MetaValues } from "../../src/env/meta-store.ts";
import { ActorBook } from "../../src/replication/actor-book.ts";
import { AntiEntropy } from "../../src/replication/anti-entropy.ts";
import type { Replication } from "../../src/replication/context.ts";
import { Coordinator } from "../../src/replication/coordinator.ts";
import { newCounters } from "../../src/replication/counters.ts";
import { Doubt } from "../../src/replication/doubt.ts";
import { Hints } from "../../src/replication/hints.ts";
import { PeerService } from "../../src/replication/peer-service.ts";
import { Replica } from "../../src/replication/replica.ts";
import type {
  GetOutcome,
  GetRequest,
  PutOutcome,
  PutRequest,
} from "../../src/replication/requests.ts";
import { Sweeper } from "../../src/replication/sweeper.ts";
import { noteUnreadable } from "../../src/replication/tree-ranges.ts";
import { treeWorld } from "../../src/replication/tree-world.ts";
import type {
  AsideFound,
  PlacedRow,
  PlaceScanAnswer,
  PlaceScanRequest,
  RecordStore,
  RowName,
  RowWatcher,
  ScanRequest,
  StoredRecord,
} from "../../src/storage/record-store.ts";
import { digestToBytes, type RowDigest, RowDigester } from "../../src/storage/row-digest.ts";
import { RESTORED_SHELF } from "../../src/storage/shelves.ts";
import { Trees } from "../../src/storage/trees.ts";
import { comparePlaces, cursorOf, FakeAside } from "./fake-aside.ts";
import { createTestHasher } from "./hasher.ts";
import { VirtualClock } from "./virtual-clock.ts";

const hasher = await createTestHasher();

function ignore(): void {
  // Fakes that have nothing to do.
}

interface Row {
  readonly key: Key;
  readonly record: CausalRecord;
  readonly minted: Minted | null;
  readonly sequence: number;
}

const digester = new RowDigester(hasher, new Uint8Array(32).fill(3));

function digestOfRow({ key, record }: Row): RowDigest {
  return digester.digest(key.namespace, key.bytes, encodeHead(record));
}

/** A RecordStore on a map. `autoCommit` false holds every commit back until `commit()`. */
export class FakeStore implements RecordStore {
  actorId;
  epochEnd = 1;
  readonly firstEpoch = 0;
  databaseId;
  autoCommit = true;
  readonly unreadable = new Set<string>();
  readonly rows = new Map<string, Row>();
  #before = new Map<string, Row | undefined>();
  #sequence = 0;
  #durable = 0;
  #epoch = 0;
  #waiting: { upTo: number; resolve: () => void; reject: (error: Error) => void }[] = [];
  readonly #clock: VirtualClock;
  readonly #aside = new FakeAside();
  readonly #watchers: RowWatcher[] = [];
  readonly #asideWatchers: ((name: RowName) => void)[] = [];
  readonly #meta = new Map<string, Uint8Array>();

  constructor(clock: VirtualClock, number: number) {
    this.#clock = clock;
    this.actorId = actorIdFromBytes(new Uint8Array(16).fill(number));
    this.databaseId = this.actorId;
  }

  readonly meta = {
    get: (name: string) => this.#meta.get(name),
    set: (name: string, value: Uint8Array) => void this.#meta.set(name, value),
    setAll: (values: MetaValues) => void this.remove([], values),
    delete: (name: string) => void this.#meta.delete(name),
    names: (prefix: string) => [...this.#meta.keys()].filter((name) => name.startsWith(prefix)),
  };

  read(key: Key): StoredRecord {
    if (this.unreadable.has(key.id)) return { state: "unknown", sequence: 0 };
    const row = this.rows.get(key.id);
    if (row === undefined) return { state: "absent", sequence: 0 };
    return { state: "record", ...row };
  }

  write(key: Key, record: CausalRecord, minted: Minted | null): number {
    this.unreadable.delete(key.id);
    if (!this.#before.has(key.id)) this.#before.set(key.id, this.rows.get(key.id));
    const sequence = ++this.#sequence;
    const row = { key, record, minted, sequence };
    this.#tell(key, this.rows.get(key.id), row);
    this.rows.set(key.id, row);
    this.#clock.endOfTurn(() => {
      if (this.autoCommit) this.commit();
    });
    return sequence;
  }

  discard(key: Key): void {
    this.unreadable.delete(key.id);
    this.rows.delete(key.id);
  }

  commit(): void {
    this.#durable = this.#sequence;
    this.#before.clear();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) one.resolve();
  }

  /** What a full disk does to the turn: as if it had never been. */
  rollback(): void {
    for (const [id, row] of this.#before) {
      const now = this.rows.get(id);
      if (now !== undefined) this.#tell(now.key, now, row);
      if (row === undefined) this.rows.delete(id);
      else this.rows.set(id, row);
    }
    this.#refuseAll();
  }

  #refuseAll(): void {
    this.#before.clear();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) one.reject(new DiskFullError("full"));
  }

  renewActor(): void {
    this.actorId = actorIdFromBytes(new Uint8Array(16).fill(100 + ++this.#epoch));
    this.databaseId = this.actorId;
  }

  takeActor(): void {
    this.actorId = actorIdFromBytes(new Uint8Array(16).fill(200 + ++this.#epoch));
  }

  takeEpoch(): number {
    this.epochEnd = this.#epoch + 2;
    return ++this.#epoch;
  }

  isDurable(sequence: number): boolean {
    return sequence <= this.#durable;
  }

  whenDurable(sequence: number): Promise<void> {
    if (this.isDurable(sequence)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push({ upTo: sequence, resolve, reject });
    });
  }

  async whenAllDurable(sequences: readonly number[]): Promise<void> {
    await Promise.all(sequences.map((sequence) => this.whenDurable(sequence)));
  }

  scan(request: ScanRequest): ReturnType<RecordStore["scan"]> {
    const direction = request.reverse ? -1 : 1;
    const rows = [...this.rows.values()]
      .filter(({ key }) => key.namespace === request.namespace)
      .filter(({ key }) => compareBytes(key.bytes, request.start) >= 0)
      .filter(({ key }) => request.end === null || compareBytes(key.bytes, request.end) < 0)
      .sort((a, b) => compareBytes(a.key.bytes, b.key.bytes) * direction)
      .slice(0, request.limit)
      .map(({ key, record }) =>
        this.unreadable.has(key.id)
          ? ({ state: "unknown", keyBytes: key.bytes } as const)
          : ({
              state: "record",
              keyBytes: key.bytes,
              record: withoutValues(record),
              head: encodeHead(record),
            } as const),
      );
    const inRange = new Set(rows.map((row) => byteString(row.keyBytes)));
    let sequence = 0;
    for (const row of this.rows.values()) {
      if (inRange.has(byteString(row.key.bytes))) sequence = Math.max(sequence, row.sequence);
    }
    return { rows, sequence };
  }

  usage(): { rows: number; bytes: number } {
    return { rows: this.rows.size, bytes: 0 };
  }

  scanPlaces({ from, to, after, limit }: PlaceScanRequest): PlaceScanAnswer {
    const found = [...this.rows.values()]
      .map((row) => ({ ...row, ...cursorOf(row.key) }))
      .filter(({ place }) => place >= from && place < to)
      .filter((row) => after === null || comparePlaces(row, after) > 0)
      .sort(comparePlaces)
      .slice(0, limit);
    const rows = found.map(({ key, record, place, namespace, keyBytes, sequence }): PlacedRow => {
      const name = { place, namespace, keyBytes, sequence };
      return this.unreadable.has(key.id)
        ? { ...name, state: "unknown" }
        : { ...name, state: "record", head: encodeHead(record) };
    });
    const next = rows.length < limit ? null : (rows.at(-1) ?? null);
    return { rows, sequence: Math.max(0, ...rows.map((row) => row.sequence)), next };
  }

  scanHeads({ namespace, start, limit }: ScanRequest): ReturnType<RecordStore["scanHeads"]> {
    const rows = this.scanPlaces({ from: 0, to: RING_PLACES, after: null, limit: this.rows.size })
      .rows.filter((row) => row.namespace === namespace && compareBytes(row.keyBytes, start) >= 0)
      .sort((a, b) => compareBytes(a.keyBytes, b.keyBytes))
      .slice(0, limit);
    return { rows, sequence: Math.max(0, ...rows.map((row) => row.sequence)) };
  }

  checkRow(key: Key): ReturnType<RecordStore["checkRow"]> {
    const { state } = this.read(key);
    return state === "record" ? "sound" : state;
  }

  remove(rows: readonly { key: Key; sequence: number }[], values?: MetaValues): boolean[] {
    this.commit();
    for (const [name, value] of values ?? []) this.#meta.set(name, value);
    return rows.map(({ key, sequence }) => {
      const row = this.rows.get(key.id);
      if (row?.sequence !== sequence || this.unreadable.has(key.id)) return false;
      this.rows.delete(key.id);
      this.#tell(key, row, undefined);
      return true;
    });
  }

  setAside(
    shelf: string,
    key: Key,
    record: CausalRecord,
    minted: Minted | null,
    note: Uint8Array,
  ): number {
    const sequence = ++this.#sequence;
    for (const watcher of this.#asideWatchers) watcher(key);
    this.#aside.set(shelf, key, record, minted, note, sequence);
    this.#clock.endOfTurn(() => {
      if (this.autoCommit) this.commit();
    });
    return sequence;
  }

  asides(key: Key): readonly AsideFound[] {
    return this.#aside.ofKey(key);
  }

  scanAside(
    shelf: string,
    after: PlaceCursor | null,
    limit: number,
  ): ReturnType<RecordStore["scanAside"]> {
    return this.#aside.scan(shelf, after, limit);
  }

  dropAside(rows: Parameters<RecordStore["dropAside"]>[0]): boolean[] {
    this.commit();
    const dropped = this.#aside.drop(rows);
    const gone = rows.filter((_, i) => dropped[i] === true);
    for (const watcher of this.#asideWatchers) for (const { key } of gone) watcher(key);
    return dropped;
  }

  asideUsage(): ReadonlyMap<string, AsideUsage> {
    return this.#aside.usage();
  }

  lastSequence(): number {
    return this.#sequence;
  }

  digestOf(key: Key): Uint8Array | null {
    const row = this.unreadable.has(key.id) ? undefined : this.rows.get(key.id);
    return row === undefined ? null : digestToBytes(digestOfRow(row));
  }

  /** What a test says; the shelf is filled by the test itself. */
  isRestoring = false;

  shelveRestored(): void {
    ignore();
  }

  watchAsides(watcher: (name: RowName) => void): void {
    this.#asideWatchers.push(watcher);
  }

  watchRows(watcher: RowWatcher): void {
    this.#watchers.push(watcher);
  }

  #tell(key: Key, before: Row | undefined, after: Row | undefined): void {
    const digest = (row: Row | undefined) => (row === undefined ? null : digestOfRow(row));
    for (const watcher of this.#watchers) watcher.changed(key, digest(before), digest(after));
  }

  close(): void {
    ignore();
  }
}

export interface FakeNode {
  readonly id: NodeId;
  readonly store: FakeStore;
  readonly replication: Replication;
  readonly coordinator: Coordinator;
  readonly trees: Trees;
  readonly antiEntropy: AntiEntropy;
  readonly handlers: MessageHandlers;
  /** What this node has sent, in order. */
  readonly sent: { readonly to: NodeId; readonly kind: MessageKind; readonly fields: WireFields }[];
}

export type Drop = (
  from: NodeId,
  to: NodeId,
  kind: MessageKind,
) => "deliver" | "refuse" | "lose-answer" | "silence";

export class ReplicationCluster {
  readonly clock = new VirtualClock();
  readonly nodes: FakeNode[] = [];
  readonly down = new Set<NodeId>();
  /** Of the secret that nodes made from now on have for their row digests. */
  digestKeyId = "key-1";
  readonly clocksOff = new Set<NodeId>();
  readonly unsure = new Set<NodeId>();
  drop: Drop = () => "deliver";
  readonly #inDoubt: readonly number[];
  readonly #hintBytesMax: number;
  namespace = { id: 1, name: "default", policy: "default" } as FakeNamespace;

  constructor(
    regions: readonly string[],
    copies = 3,
    options: {
      readonly inDoubt?: readonly number[];
      readonly hintBytesMax?: number;
      /** Instead of copies anywhere. */
      readonly policy?: PlacementPolicy;
    } = {},
  ) {
    this.#inDoubt = options.inDoubt ?? [];
    this.#hintBytesMax = options.hintBytesMax ?? HINT_BYTES_MAX;
    const members: LayoutMember[] = regions.map((region, i) => ({
      id: parseNodeId((i + 1).toString(16).padStart(32, "0")),
      region: parseRegionId(region),
      zone: parseZoneId("a"),
      weight: 1,
      role: "storage",
    }));
    const [first, ...rest] = members;
    if (first === undefined) throw new Error("no nodes");
    const one = firstLayout({
      clusterId: parseClusterId("c".repeat(32)),
      member: first,
      expect: regions.length,
      partitions: 16,
      policy: options.policy ?? { n: copies },
    });
    const changed = withMembers(one, rest, [], "a".repeat(64));
    if (changed.status === "invalid") throw new Error(changed.reason);
    const layout = compileLayout(changed.status === "next" ? changed.document : one);
    for (const member of members) this.nodes.push(this.#makeNode(member, layout));
  }

  key(text: string): Key {
    return makeKey(hasher, this.namespace.id, text);
  }

  node(index: number): FakeNode {
    const node = this.nodes[index];
    if (node === undefined) throw new Error(`no node ${index}`);
    return node;
  }

  /** Drives the clock until the promise settles. */
  async settle<T>(outcome: T | Promise<T>, limitMs = 20_000): Promise<T> {
    let done = false;
    const watched = Promise.resolve(outcome).finally(() => {
      done = true;
    });
    watched.catch(ignore);
    await this.clock.runUntil(() => done, limitMs, "the request to end");
    return watched;
  }

  async put(
    at: number,
    text: string,
    value: string,
    options: Partial<PutRequest> = {},
  ): Promise<PutOutcome> {
    return this.settle(this.node(at).coordinator.put(this.putRequest(text, value, options)));
  }

  putRequest(text: string, value: string, options: Partial<PutRequest> = {}): PutRequest {
    return {
      key: this.key(text),
      namespace: this.namespace,
      consistency: { level: "quorum" },
      sloppy: true,
      timeoutMs: 5_000,
      deleted: false,
      value: new TextEncoder().encode(value),
      contentType: "text/plain",
      metadata: "",
      expiresAtMs: 0,
      context: null,
      ifMatch: null,
      ifNoneMatch: null,
      conflict: "majority",
      idempotencyKey: "",
      bodyDigest: "",
      session: null,
      ...options,
    };
  }

  async get(at: number, text: string, options: Partial<GetRequest> = {}): Promise<GetOutcome> {
    return this.settle(this.node(at).coordinator.get(this.getRequest(text, options)));
  }

  getRequest(text: string, options: Partial<GetRequest> = {}): GetRequest {
    return {
      key: this.key(text),
      namespace: this.namespace,
      consistency: { level: "quorum" },
      sloppy: true,
      conflict: "majority",
      timeoutMs: 5_000,
      session: null,
      ...options,
    };
  }

  #makeNode(member: LayoutMember, layout: ReturnType<typeof compileLayout>): FakeNode {
    const store = new FakeStore(this.clock, this.nodes.length + 1);
    const sent: FakeNode["sent"] = [];
    const membership = this.#membershipOf(member.id, layout);
    const env = this.#envOf();
    const clock = new HybridClock(() => this.clock.wallMs());
    const counters = newCounters();
    const doubt = new Doubt({
      meta: store.meta,
      logger: env.logger,
      hasher,
      self: member.id,
      forgotten: this.#inDoubt.includes(this.nodes.length),
      holdsApart: () => store.asideUsage().has(RESTORED_SHELF),
    });
    const replication: Replication = {
      env,
      self: member.id,
      region: member.region,
      membership,
      channel: this.#channelOf(member.id, sent),
      store,
      replica: new Replica({
        beforeMint: () => undefined,
        store,
        clock,
        hasher,
        beforeOverwrite: (key) => doubt.beforeOverwrite(key),
      }),
      clock,
      sweeper: new Sweeper(this.clock),
      counters,
      doubt,
      lifeMs: MESSAGE_LIFE_MS,
      hints: new Hints({
        store,
        clock,
        counters,
        bytesMax: this.#hintBytesMax,
        ageMs: HINT_AGE_MAX_MS,
      }),
      actors: new ActorBook({
        meta: store.meta,
        logger: env.logger,
        self: member.id,
        actorId: store.actorId,
        incarnation: 1,
      }),
      mayBeCopy: () => this.unsure.has(member.id),
      clockIsOff: () => this.clocksOff.has(member.id),
      patienceMs: () => 150,
      adoptRefusal: ignore,
      refreshLayout: () => Promise.resolve(),
    };
    const coordinator = new Coordinator(replication);
    const service = new PeerService(replication, coordinator, () => null);
    const trees = new Trees({
      store,
      digester,
      world: () => treeWorld(layout),
      onUnreadable: ({ namespace, keyBytes }) =>
        noteUnreadable(replication, { namespace, bytes: keyBytes }),
    });
    const antiEntropy = new AntiEntropy({ r: replication, trees, keyId: this.digestKeyId });
    const handlers = { ...service.handlers(), ...antiEntropy.handlers(service.admission) };
    return { id: member.id, store, replication, coordinator, trees, antiEntropy, handlers, sent };
  }

  #membershipOf(self: NodeId, layout: ReturnType<typeof compileLayout>): Membership {
    return {
      self,
      layout: () => layout,
      liveness: (node) => (this.down.has(node) ? "down" : "up"),
      roundTripMs: (node) => 1 + Number.parseInt(node.slice(-2), 16),
      members: () => [],
      refusesWrites: () => false,
      createNamespace: () => Promise.resolve({ status: "unavailable", reason: "fixed layout" }),
      deleteNamespace: () => Promise.resolve("unavailable"),
    };
  }

  #envOf(): Env {
    let chance = 1;
    return {
      clock: this.clock,
      // Never 0: no read asks every home unless a test says so.
      random: { bytes: (n) => new Uint8Array(n).fill(chance++), below: (limit) => limit - 1 },
      crypto: undefined as never,
      hasher,
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      transport: undefined as never,
      failStop: (reason) => {
        throw new Error(reason);
      },
    };
  }

  #channelOf(from: NodeId, sent: FakeNode["sent"]): PeerChannel {
    return {
      send: (to, kind, fields, options) => {
        sent.push({ to, kind, fields });
        return new Promise((resolve, reject) => {
          this.clock.after(1, () => {
            this.#deliver(from, to, kind, fields, options.timeoutMs).then(resolve, reject);
          });
        });
      },
      sendTo: () =>
        Promise.reject(new PeerError("unreachable", "unreachable", "no addresses here")),
    };
  }

  async #deliver(
    from: NodeId,
    to: NodeId,
    kind: MessageKind,
    fields: WireFields,
    timeoutMs: number,
  ): Promise<WireFields> {
    const fate = this.drop(from, to, kind);
    if (fate === "refuse") throw new PeerError("unreachable", "unreachable", "connection refused");
    const late = (): Promise<never> =>
      new Promise((_, reject) => {
        this.clock.after(timeoutMs, () => reject(new PeerError("timeout", "timeout", "no answer")));
      });
    if (fate === "silence") return late();
    const handler = this.nodes.find((node) => node.id === to)?.handlers[kind];
    if (handler === undefined) throw new PeerError("refused", "unknown_kind", kind);
    const answer = await handler(fields, { from, timeoutMs, diesMs: Number.POSITIVE_INFINITY });
    return fate === "lose-answer" ? late() : answer;
  }
}

type FakeNamespace = Parameters<Coordinator["explain"]>[1];
