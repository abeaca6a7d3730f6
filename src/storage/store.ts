import { LRUCache } from "lru-cache";
import { assert } from "../core/assert.ts";
import type { ActorId } from "../core/ids.ts";
import { type Key, placeOf } from "../core/key.ts";
import { TURN_BYTES_MAX, TURN_RECORDS_MAX } from "../core/limits.ts";
import { recordBytes } from "../core/record.ts";
import { encodeBody, encodeHead } from "../core/record-codec.ts";
import type { CausalRecord } from "../core/version.ts";
import type { AsideUsage, Disk, Minted } from "../env/disk.ts";
import type { MetaStore } from "../env/meta-store.ts";
import { StoredActor } from "./actor.ts";
import { AsideRows } from "./aside-rows.ts";
import { BrokenPages } from "./broken-pages.ts";
import { RowChecksum } from "./checksum.ts";
import { EpochLease } from "./epoch-lease.ts";
import type {
  AsideFound,
  PlaceScanAnswer,
  PlaceScanRequest,
  RecordStore,
  RowWatcher,
  StoredRecord,
} from "./record-store.ts";
import { RestoredRows } from "./restored-rows.ts";
import { RowChanges } from "./row-changes.ts";
import { digestToBytes, type RowDigest, RowDigester } from "./row-digest.ts";
import { type FoundRecord, type ReplacedRow, RowReader } from "./row-reader.ts";
import type { StoreCounters, StoreOptions } from "./store-options.ts";
import { Turn } from "./turn.ts";

/**
 * What a cached record costs beyond recordBytes: key text, map entry, list links, and that V8 spends some 300 bytes on
 * each array of bytes. Measured on Node 24: 1,500 bytes in all for a record of one value of 100 bytes.
 */
const CACHE_ENTRY_BYTES = 800;
/** A record above this fraction of the cache is not kept: it would push out everything else. */
const CACHE_FRACTION_MAX = 4;

/** The records of one node: a write-through cache over a disk, with group commit, checksums and epochs. */
export class Store implements RecordStore {
  readonly meta: MetaStore;

  readonly #disk: Disk;
  readonly #actor: StoredActor;
  readonly #cache: LRUCache<string, FoundRecord>;
  readonly #checksum: RowChecksum;
  readonly #reader: RowReader;
  readonly #turn: Turn;
  readonly #epochs: EpochLease;
  readonly #asides: AsideRows;
  readonly #restored: RestoredRows;
  readonly #digester: RowDigester;
  readonly #changes = new RowChanges();
  /** The key that was read last, if it was absent: a put of a new key need not look for it again. */
  #absentId: string | null = null;
  #closed = false;
  #cacheHits = 0;
  #cacheMisses = 0;
  #rowsWritten = 0;
  #bytesWritten = 0;

  /** Takes over the disk. @throws DiskFullError when a new actor id cannot be stored. */
  static open(options: StoreOptions): Store {
    return new Store(options);
  }

  private constructor(options: StoreOptions) {
    this.#disk = options.disk;
    this.#cache = new LRUCache<string, FoundRecord>({
      maxSize: options.cacheBytes,
      maxEntrySize: Math.max(1, Math.floor(options.cacheBytes / CACHE_FRACTION_MAX)),
    });
    this.#checksum = new RowChecksum(options.hasher);
    const pages = new BrokenPages(options);
    this.#reader = new RowReader(options, this.#checksum, pages);
    this.#digester = new RowDigester(options.hasher, options.digestKey);
    this.#epochs = new EpochLease(options.disk);
    this.#turn = new Turn({
      disk: options.disk,
      clock: options.clock,
      logger: options.logger,
      failStop: options.failStop,
      maxRecords: options.maxTurnRecords ?? TURN_RECORDS_MAX,
      maxBytes: options.maxTurnBytes ?? TURN_BYTES_MAX,
      onCommit: () => {
        this.#epochs.committed();
        this.#changes.committed();
      },
      onSlowCommit: options.onSlowCommit ?? (() => undefined),
      onRollback: (ids) => {
        for (const id of ids) this.#cache.delete(id);
        this.#epochs.rolledBack();
        this.#changes.rolledBack();
      },
    });
    this.#asides = new AsideRows(options, this.#checksum, this.#turn, pages);
    this.#restored = new RestoredRows(options, this.#asides, this.#turn);
    this.meta = this.#makeMeta(pages);
    const { disk, random } = options;
    this.#actor = new StoredActor({ disk, random, turn: this.#turn, epochs: this.#epochs });
  }

  get actorId(): ActorId {
    return this.#actor.actorId;
  }

  get databaseId(): ActorId {
    return this.#actor.databaseId;
  }

  get firstEpoch(): number {
    return this.#epochs.first;
  }

  get epochEnd(): number {
    return this.#epochs.end;
  }

  renewActor(): void {
    this.#actor.renew();
  }

  takeActor(): void {
    this.#actor.take();
  }

  get counters(): StoreCounters {
    return {
      cacheHits: this.#cacheHits,
      cacheMisses: this.#cacheMisses,
      commits: this.#turn.commits,
      rollbacks: this.#turn.rollbacks,
      commitMs: this.#turn.commitMs,
      rowsWritten: this.#rowsWritten,
      bytesWritten: this.#bytesWritten,
      unknownReads: this.#reader.unknownReads,
      cachedRecords: this.#cache.size,
      cachedBytes: this.#cache.calculatedSize,
    };
  }

  /** A hit returns the cached object itself: it is immutable, and neither decoded nor copied again. */
  read(key: Key): StoredRecord {
    return this.#found(key);
  }

  #found(key: Key): ReturnType<RowReader["read"]> {
    const cached = this.#cache.get(key.id);
    if (cached !== undefined) {
      this.#cacheHits++;
      return cached;
    }
    this.#cacheMisses++;
    const found = this.#reader.read(key);
    if (found.state === "record") this.#keep(key.id, found);
    this.#absentId = found.state === "absent" ? key.id : null;
    return found;
  }

  /** REQUIRES: values that own their memory. They stay in the cache, and a view would keep a whole request alive. */
  write(
    key: Key,
    record: CausalRecord,
    minted: Minted | null,
    head: Uint8Array = encodeHead(record),
  ): number {
    const body = encodeBody(record);
    this.#turn.begin();
    const sequence = this.#turn.nextSequence(key.id);
    const { namespace, bytes } = key;
    const row = { namespace, key: bytes, place: placeOf(key.hash), sequence, minted, head };
    const old = this.#replaced(key);
    try {
      // A row that cannot be trusted may stand in a wrong place, which an overwrite would leave as it is.
      if (old === "unknown") this.#disk.delete(namespace, bytes);
      const replaced = old === null || old === "unknown" ? null : old.encodedBytes;
      this.#disk.put({ ...row, headSum: this.#checksum.sum(row), body }, replaced);
    } catch (error) {
      throw this.#turn.failed(error);
    }
    let digest: RowDigest | null = null;
    if (this.#changes.watched) {
      digest = this.#digester.digest(namespace, bytes, head);
      const before = old === null || old === "unknown" ? old : this.#digest(key, old);
      this.#changes.changed(key, before, digest);
    }
    const encodedBytes = head.length + body.length;
    this.#keep(key.id, { state: "record", record, minted, sequence, encodedBytes, digest });
    this.#absentId = null;
    this.#reader.forget(key.id);
    this.#rowsWritten++;
    this.#bytesWritten += encodedBytes;
    this.#turn.wrote(encodedBytes);
    return sequence;
  }

  discard(key: Key): void {
    assert(this.read(key).state === "unknown", "only a row that cannot be read is discarded");
    this.#turn.commitAlone(() => this.#disk.delete(key.namespace, key.bytes));
    this.#reader.forget(key.id);
    this.#changes.changedForGood(key, "unknown", null);
  }

  remove: RecordStore["remove"] = (rows, values = new Map()) => {
    if (rows.length === 0 && values.size === 0) return [];
    let before: (FoundRecord | null)[] = [];
    this.#turn.commitAlone(() => {
      // Looked at in here: the commit of the turn that was open may have failed and taken rows back.
      before = rows.map(({ key, sequence }) => {
        const found = this.#found(key);
        if (found.state !== "record" || found.sequence !== sequence) return null;
        this.#disk.delete(key.namespace, key.bytes);
        this.#cache.delete(key.id);
        return found;
      });
      for (const [name, value] of values) this.#disk.setMeta(name, value);
    });
    this.#absentId = null;
    return rows.map(({ key }, i) => {
      const old = before[i] ?? null;
      if (old === null) return false;
      if (this.#changes.watched) this.#changes.changedForGood(key, this.#digest(key, old), null);
      return true;
    });
  };

  /** REQUIRES: values and note that own their memory. */
  setAside(
    shelf: string,
    key: Key,
    record: CausalRecord,
    minted: Minted | null,
    note: Uint8Array,
  ): number {
    return this.#asides.set(shelf, key, record, minted, note);
  }

  asides(key: Key): readonly AsideFound[] {
    return this.#asides.ofKey(key);
  }

  scanAside: RecordStore["scanAside"] = (shelf, after, limit) =>
    this.#asides.scan(shelf, after, limit);

  dropAside(rows: Parameters<RecordStore["dropAside"]>[0]): boolean[] {
    return this.#asides.drop(rows);
  }

  asideUsage(): ReadonlyMap<string, AsideUsage> {
    return this.#disk.asideUsage();
  }

  lastSequence(): number {
    return this.#turn.last;
  }

  digestOf(key: Key): Uint8Array | null {
    const found = this.#found(key);
    return found.state === "record" ? digestToBytes(this.#digest(key, found)) : null;
  }

  watchRows(watcher: RowWatcher): void {
    this.#changes.watch(watcher);
  }

  watchAsides: RecordStore["watchAsides"] = (watcher) => this.#asides.watch(watcher);

  get isRestoring(): boolean {
    return this.#restored.isRestoring;
  }

  shelveRestored: RecordStore["shelveRestored"] = (limit) => this.#restored.shelve(limit);

  takeEpoch(): number {
    if (this.#epochs.exhausted) {
      this.#turn.begin();
      try {
        this.#epochs.renew();
      } catch (error) {
        throw this.#turn.failed(error);
      }
    }
    return this.#epochs.take();
  }

  isDurable(sequence: number): boolean {
    return this.#turn.isDurable(sequence);
  }

  whenDurable(sequence: number): Promise<void> {
    return this.#turn.whenDurable(sequence);
  }

  whenAllDurable: RecordStore["whenAllDurable"] = (all) => this.#turn.whenAllDurable(all);

  /** @throws SqliteError when pages of the range cannot be read. */
  scan: RecordStore["scan"] = (request) => this.#reader.scan(request);

  /** @throws SqliteError when pages of the range cannot be read. */
  scanPlaces(request: PlaceScanRequest): PlaceScanAnswer {
    return this.#reader.scanPlaces(request);
  }

  scanHeads: RecordStore["scanHeads"] = (request) => this.#reader.scanHeads(request);

  checkRow(key: Key): "sound" | "absent" | "unknown" | "healed" {
    const { state } = this.#reader.read(key);
    if (state === "record") return "sound";
    const cached = this.#cache.peek(key.id);
    if (cached === undefined) return state;
    // What this process has read or written is better than what the disk has made of it. Without the cached copy the
    // write looks at the disk for what it replaces.
    this.#cache.delete(key.id);
    this.#absentId = null;
    this.write(key, cached.record, cached.minted);
    return "healed";
  }

  usage(): { readonly rows: number; readonly bytes: number } {
    return this.#disk.usage();
  }

  /** Commits the open turn and closes the disk. A second call does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#turn.close();
    this.#cache.clear();
    this.#disk.close();
  }

  /** What a write of the key replaces, known without a look at the disk when the key was read before. */
  #replaced(key: Key): FoundRecord | ReplacedRow | null | "unknown" {
    const cached = this.#cache.peek(key.id);
    if (cached !== undefined) return cached;
    return this.#absentId === key.id ? null : this.#reader.head(key);
  }

  #digest(key: Key, row: FoundRecord | ReplacedRow): RowDigest {
    if ("head" in row) return this.#digester.digest(key.namespace, key.bytes, row.head);
    row.digest ??= this.#digester.digest(key.namespace, key.bytes, encodeHead(row.record));
    return row.digest;
  }

  #keep(id: string, found: FoundRecord): void {
    this.#cache.set(id, found, {
      size: recordBytes(found.record) + id.length + CACHE_ENTRY_BYTES,
    });
  }

  #makeMeta(pages: BrokenPages): MetaStore {
    return {
      get: (name) => pages.met(() => this.#disk.getMeta(name)),
      setAll: (values) => void this.remove([], values),
      set: (name, value) => this.#turn.commitAlone(() => this.#disk.setMeta(name, value)),
      delete: (name) => this.#turn.commitAlone(() => this.#disk.deleteMeta(name)),
      names: (prefix) => pages.met(() => this.#disk.metaNames(prefix)),
    };
  }
}
