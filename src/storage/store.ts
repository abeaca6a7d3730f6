import { LRUCache } from "lru-cache";
import { assert } from "../core/assert.ts";
import type { Hasher } from "../core/hasher.ts";
import { type ActorId, actorIdFromBytes, type PartitionId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { TURN_BYTES_MAX, TURN_RECORDS_MAX } from "../core/limits.ts";
import { recordBytes } from "../core/record.ts";
import { encodeBody, encodeHead } from "../core/record-codec.ts";
import type { CausalRecord } from "../core/version.ts";
import type { Clock } from "../env/clock.ts";
import type { Disk, Minted } from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import type { Logger } from "../env/logger.ts";
import type { MetaStore } from "../env/meta-store.ts";
import type { Random } from "../env/random.ts";
import { RowChecksum } from "./checksum.ts";
import { EpochLease } from "./epoch-lease.ts";
import { ACTOR_META } from "./meta-names.ts";
import type { RecordStore, ScannedRow, ScanRequest, StoredRecord } from "./record-store.ts";
import { type FoundRecord, RowReader } from "./row-reader.ts";
import { Turn } from "./turn.ts";

export interface StoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly hasher: Hasher;
  readonly random: Random;
  readonly logger: Logger;
  readonly failStop: Env["failStop"];
  /** Bytes of decoded records to keep in memory, by estimate. */
  readonly cacheBytes: number;
  /** Told of a commit that held up the event loop so long that deadlines of others must be shifted. */
  readonly onSlowCommit?: (tookMs: number) => void;
  readonly maxTurnRecords?: number;
  readonly maxTurnBytes?: number;
}

/** Plain figures for metrics; all but the last two only rise. */
export interface StoreCounters {
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly commits: number;
  readonly rollbacks: number;
  /** Time spent in commits of turns, in ms. */
  readonly commitMs: number;
  readonly rowsWritten: number;
  readonly bytesWritten: number;
  /** Reads that met a row which cannot be trusted. */
  readonly unknownReads: number;
  readonly cachedRecords: number;
  readonly cachedBytes: number;
}

const ACTOR_BYTES = 16;
/**
 * What a cached record costs beyond recordBytes: key text, map entry, list links, and that V8 spends some 300 bytes on
 * each array of bytes. Measured on Node 24: 1,500 bytes in all for a record of one value of 100 bytes.
 */
const CACHE_ENTRY_BYTES = 800;
/** A record above this fraction of the cache is not kept: it would push out everything else. */
const CACHE_FRACTION_MAX = 4;

/** The records of one node: a write-through cache over a disk, with group commit, checksums and epochs. */
export class Store implements RecordStore {
  readonly actorId: ActorId;
  readonly meta: MetaStore;

  readonly #disk: Disk;
  readonly #cache: LRUCache<string, FoundRecord>;
  readonly #checksum: RowChecksum;
  readonly #reader: RowReader;
  readonly #turn: Turn;
  readonly #epochs: EpochLease;
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
    this.#reader = new RowReader(options, this.#checksum);
    this.#epochs = new EpochLease(options.disk);
    this.#turn = new Turn({
      disk: options.disk,
      clock: options.clock,
      logger: options.logger,
      failStop: options.failStop,
      maxRecords: options.maxTurnRecords ?? TURN_RECORDS_MAX,
      maxBytes: options.maxTurnBytes ?? TURN_BYTES_MAX,
      onCommit: () => this.#epochs.committed(),
      onSlowCommit: options.onSlowCommit ?? (() => undefined),
      onRollback: (ids) => {
        for (const id of ids) this.#cache.delete(id);
        this.#epochs.rolledBack();
      },
    });
    this.meta = this.#makeMeta();
    this.actorId = this.#openActor(options.random);
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
    const cached = this.#cache.get(key.id);
    if (cached !== undefined) {
      this.#cacheHits++;
      return cached;
    }
    this.#cacheMisses++;
    const found = this.#reader.read(key);
    if (found.state === "record") this.#keep(key.id, found);
    return found;
  }

  /** REQUIRES: values that own their memory. They stay in the cache, and a view would keep a whole request alive. */
  write(key: Key, partition: PartitionId, record: CausalRecord, minted: Minted | null): number {
    const head = encodeHead(record);
    const body = encodeBody(record);
    this.#turn.begin();
    const sequence = this.#turn.nextSequence(key.id);
    const row = { namespace: key.namespace, key: key.bytes, partition, sequence, minted, head };
    try {
      const replaced = this.#cache.peek(key.id)?.encodedBytes;
      this.#disk.put({ ...row, headSum: this.#checksum.sum(row), body }, replaced);
    } catch (error) {
      throw this.#turn.failed(error);
    }
    const encodedBytes = head.length + body.length;
    this.#keep(key.id, { state: "record", record, minted, sequence, encodedBytes });
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
  }

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

  /** @throws SqliteError when pages of the range cannot be read. */
  scan(request: ScanRequest): { readonly rows: readonly ScannedRow[]; readonly sequence: number } {
    return this.#reader.scan(request);
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

  #keep(id: string, found: FoundRecord): void {
    this.#cache.set(id, found, {
      size: recordBytes(found.record) + id.length + CACHE_ENTRY_BYTES,
    });
  }

  #makeMeta(): MetaStore {
    return {
      get: (name) => this.#disk.getMeta(name),
      set: (name, value) => this.#turn.commitAlone(() => this.#disk.setMeta(name, value)),
      delete: (name) => this.#turn.commitAlone(() => this.#disk.deleteMeta(name)),
      names: (prefix) => this.#disk.metaNames(prefix),
    };
  }

  #openActor(random: Random): ActorId {
    const stored = this.#disk.getMeta(ACTOR_META);
    if (stored !== undefined && stored.length === ACTOR_BYTES) return actorIdFromBytes(stored);
    const fresh = random.bytes(ACTOR_BYTES);
    this.meta.set(ACTOR_META, fresh);
    return actorIdFromBytes(fresh);
  }
}
