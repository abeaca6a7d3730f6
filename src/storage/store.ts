import { LRUCache } from "lru-cache";
import { assert } from "../core/assert.ts";
import type { Hasher } from "../core/hasher.ts";
import { type ActorId, actorIdFromBytes, type PartitionId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { TURN_BYTES_MAX, TURN_RECORDS_MAX } from "../core/limits.ts";
import { recordBytes } from "../core/record.ts";
import {
  decodeHead,
  decodeRecord,
  encodeBody,
  encodeHead,
  valuesIntact,
} from "../core/record-codec.ts";
import type { CausalRecord } from "../core/version.ts";
import type { Clock } from "../env/clock.ts";
import {
  type Disk,
  DiskFullError,
  type DiskRow,
  type DiskRowHead,
  type Minted,
} from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import type { Logger } from "../env/logger.ts";
import type { MetaStore } from "../env/meta-store.ts";
import type { Random } from "../env/random.ts";
import { SqliteError } from "../env/sqlite.ts";
import { RowChecksum } from "./checksum.ts";
import { EpochLease } from "./epoch-lease.ts";
import type { RecordStore, ScannedRow, ScanRequest, StoredRecord } from "./record-store.ts";
import { RolledBack } from "./rolled-back.ts";

export interface StoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly hasher: Hasher;
  readonly random: Random;
  readonly logger: Logger;
  readonly failStop: Env["failStop"];
  /** Bytes of decoded records to keep in memory. */
  readonly cacheBytes: number;
  /** Take a new actor id: the database may have forgotten a dot (an unclean stop with `durability=process`). */
  readonly renewActor?: boolean;
  readonly maxTurnRecords?: number;
  readonly maxTurnBytes?: number;
}

/** Plain figures for metrics, all rising from 0 at open but the last two. */
export interface StoreCounters {
  readonly cacheHits: number;
  readonly cacheMisses: number;
  readonly commits: number;
  readonly rollbacks: number;
  /** Time spent in commits, in ms. */
  readonly commitMs: number;
  readonly rowsWritten: number;
  readonly bytesWritten: number;
  /** Reads that met a row which cannot be trusted. */
  readonly unknownReads: number;
  /** Records and estimated bytes in the cache now. */
  readonly cachedRecords: number;
  readonly cachedBytes: number;
}

type FoundRecord = Extract<StoredRecord, { state: "record" }>;

const ACTOR_META = "actor-id";
const ACTOR_BYTES = 16;
/** Bytes that a cached record costs beyond recordBytes: key text, map entry, list links. An estimate. */
const CACHE_ENTRY_BYTES = 256;
/** A record above this share of the cache is not kept: it would push out everything else. */
const CACHE_SHARE_MAX = 4;
/** Damaged keys that are told in the log; beyond, only the counter tells. */
const DAMAGE_LOGGED_MAX = 1000;

/** Absence rests on no uncommitted row (rows are never deleted in an open turn), so there is nothing to wait for. */
const ABSENT: StoredRecord = { state: "absent", sequence: 0 };
const UNKNOWN: StoredRecord = { state: "unknown", sequence: 0 };
const DURABLE = Promise.resolve();

/**
 * The records of one node: cache, group commit, checksums, epochs. The writes of one event-loop turn share a transaction
 * that begins with the first and is committed, in this thread, when the turn ends (design: "Nothing leaves before it is
 * durable").
 */
export class Store implements RecordStore {
  readonly actorId: ActorId;
  readonly meta: MetaStore;

  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #hasher: Hasher;
  readonly #logger: Logger;
  readonly #failStop: Env["failStop"];
  readonly #maxTurnRecords: number;
  readonly #maxTurnBytes: number;
  readonly #cache: LRUCache<string, FoundRecord>;
  readonly #checksum: RowChecksum;
  readonly #epochs: EpochLease;
  readonly #rolledBack = new RolledBack();
  readonly #damaged = new Set<string>();

  // The open turn.
  #open = false;
  #endScheduled = false;
  readonly #turnIds: string[] = [];
  #turnBytes = 0;
  #waiters: PromiseWithResolvers<void> | null = null;

  #last: number;
  #durable: number;
  #closed = false;

  #cacheHits = 0;
  #cacheMisses = 0;
  #commits = 0;
  #rollbacks = 0;
  #commitMs = 0;
  #rowsWritten = 0;
  #bytesWritten = 0;
  #unknownReads = 0;

  /** @throws DiskFullError when a new actor id cannot be stored; the disk's own errors. */
  static open(options: StoreOptions): Store {
    return new Store(options);
  }

  private constructor(options: StoreOptions) {
    this.#disk = options.disk;
    this.#clock = options.clock;
    this.#hasher = options.hasher;
    this.#logger = options.logger;
    this.#failStop = options.failStop;
    this.#maxTurnRecords = options.maxTurnRecords ?? TURN_RECORDS_MAX;
    this.#maxTurnBytes = options.maxTurnBytes ?? TURN_BYTES_MAX;
    this.#cache = new LRUCache<string, FoundRecord>({
      maxSize: options.cacheBytes,
      maxEntrySize: Math.max(1, Math.floor(options.cacheBytes / CACHE_SHARE_MAX)),
    });
    this.#checksum = new RowChecksum(options.hasher);
    this.#epochs = new EpochLease(options.disk);
    this.#last = options.disk.lastSequence();
    this.#durable = this.#last;
    this.meta = this.#makeMeta();
    this.actorId = this.#openActor(options.random, options.renewActor ?? false);
  }

  get counters(): StoreCounters {
    return {
      cacheHits: this.#cacheHits,
      cacheMisses: this.#cacheMisses,
      commits: this.#commits,
      rollbacks: this.#rollbacks,
      commitMs: this.#commitMs,
      rowsWritten: this.#rowsWritten,
      bytesWritten: this.#bytesWritten,
      unknownReads: this.#unknownReads,
      cachedRecords: this.#cache.size,
      cachedBytes: this.#cache.calculatedSize,
    };
  }

  read(key: Key): StoredRecord {
    const cached = this.#cache.get(key.id);
    if (cached !== undefined) {
      this.#cacheHits++;
      return cached;
    }
    this.#cacheMisses++;
    return this.#readDisk(key);
  }

  write(key: Key, partition: PartitionId, record: CausalRecord, minted: Minted | null): number {
    const head = encodeHead(record);
    const body = encodeBody(record);
    const sequence = this.#last + 1;
    const row = { namespace: key.namespace, key: key.bytes, partition, sequence, minted, head };
    const headSum = this.#checksum.sum(row);
    this.#beginTurn();
    this.#last = sequence;
    this.#turnIds.push(key.id);
    try {
      this.#disk.put({ ...row, headSum, body });
    } catch (error) {
      throw this.#failedTurn(error);
    }
    this.#keep(key.id, { state: "record", record, minted, sequence });
    this.#damaged.delete(key.id);
    const bytes = head.length + body.length;
    this.#rowsWritten++;
    this.#bytesWritten += bytes;
    this.#turnBytes += bytes;
    if (this.#turnIds.length >= this.#maxTurnRecords || this.#turnBytes >= this.#maxTurnBytes)
      this.#commitTurn();
    return sequence;
  }

  takeEpoch(): number {
    if (this.#epochs.exhausted) {
      this.#beginTurn();
      try {
        this.#epochs.renew();
      } catch (error) {
        throw this.#failedTurn(error);
      }
    }
    return this.#epochs.take();
  }

  isDurable(sequence: number): boolean {
    return sequence <= this.#durable && !(this.#rollbacks > 0 && this.#rolledBack.has(sequence));
  }

  whenDurable(sequence: number): Promise<void> {
    if (this.#rollbacks > 0 && this.#rolledBack.has(sequence)) {
      return Promise.reject(
        new DiskFullError("Cannot commit: the disk is full; nothing was stored"),
      );
    }
    if (sequence <= this.#durable) return DURABLE;
    assert(
      this.#open,
      "a sequence that is neither durable nor rolled back belongs to the open turn",
    );
    if (this.#waiters === null) {
      this.#waiters = Promise.withResolvers<void>();
      // Who waits handles the rejection; who has lost interest must not bring the process down.
      this.#waiters.promise.catch(() => undefined);
    }
    return this.#waiters.promise;
  }

  scan(request: ScanRequest): { readonly rows: readonly ScannedRow[]; readonly sequence: number } {
    let sequence = 0;
    const rows = this.#disk.scan(request).map((row) => {
      if (row.sequence > sequence) sequence = row.sequence;
      return this.#scanned(row);
    });
    // A rotten sequence must not make anyone wait for a commit that never comes.
    return { rows, sequence: Math.min(sequence, this.#last) };
  }

  lastSequence(): number {
    return this.#last;
  }

  usage(): { readonly rows: number; readonly bytes: number } {
    return this.#disk.usage();
  }

  /** Commits the open turn and closes the disk. Idempotent. */
  close(): void {
    if (this.#closed) return;
    if (this.#open) this.#commitTurn();
    this.#closed = true;
    this.#cache.clear();
    this.#disk.close();
  }

  // ---- reading ---------------------------------------------------------------------------------------------------

  #readDisk(key: Key): StoredRecord {
    let row: DiskRow | undefined;
    try {
      row = this.#disk.get(key.namespace, key.bytes);
    } catch (error) {
      // A page that cannot be read is a row that cannot be trusted. What else can fail here is a bug.
      if (!(error instanceof SqliteError) || error.kind === "other")
        this.#failStop("cannot read a row", error);
      return this.#unknown(key, error.message);
    }
    if (row === undefined) return ABSENT;
    if (!this.#checksum.matches(row))
      return this.#unknown(key, "the row's checksum does not match");
    let record: CausalRecord;
    try {
      record = decodeRecord(row.head, row.body);
    } catch (error) {
      return this.#unknown(key, error instanceof Error ? error.message : String(error));
    }
    if (!valuesIntact(this.#hasher, record))
      return this.#unknown(key, "a value's hash does not match");
    const found: FoundRecord = {
      state: "record",
      record,
      minted: row.minted,
      sequence: row.sequence,
    };
    this.#keep(key.id, found);
    return found;
  }

  #unknown(key: Key, reason: string): StoredRecord {
    this.#unknownReads++;
    if (!this.#damaged.has(key.id) && this.#damaged.size < DAMAGE_LOGGED_MAX) {
      this.#damaged.add(key.id);
      this.#logger.error("row-damaged", {
        namespace: key.namespace,
        keyBytes: key.bytes.length,
        reason,
      });
    }
    return UNKNOWN;
  }

  #scanned(row: DiskRowHead): ScannedRow {
    if (this.#checksum.matches(row)) {
      try {
        return { state: "record", keyBytes: row.key, record: decodeHead(row.head), head: row.head };
      } catch (error) {
        this.#logger.error("row-undecodable", { namespace: row.namespace, error: String(error) });
      }
    }
    this.#unknownReads++;
    return { state: "unknown", keyBytes: row.key };
  }

  #keep(id: string, found: FoundRecord): void {
    this.#cache.set(id, found, { size: recordBytes(found.record) + id.length + CACHE_ENTRY_BYTES });
  }

  // ---- the turn --------------------------------------------------------------------------------------------------

  #beginTurn(): void {
    if (this.#open) return;
    this.#begin(false);
    if (this.#endScheduled) return;
    this.#endScheduled = true;
    this.#clock.endOfTurn(this.#endTurn);
  }

  #begin(full: boolean): void {
    assert(!this.#closed, "a closed store takes no writes");
    try {
      this.#disk.begin(full);
    } catch (error) {
      this.#failStop("cannot begin a transaction", error);
    }
    this.#open = true;
  }

  readonly #endTurn = (): void => {
    this.#endScheduled = false;
    if (this.#open) this.#commitTurn();
    // In a turn of its own: the answers that waited for this commit leave first.
    if (!this.#closed && this.#disk.maintenanceDue) this.#clock.endOfTurn(this.#maintain);
  };

  readonly #maintain = (): void => {
    if (this.#closed) return;
    if (this.#open) this.#commitTurn();
    try {
      if (this.#disk.maintenanceDue) this.#disk.maintain();
    } catch (error) {
      this.#failStop("cannot move the log into the database", error);
    }
  };

  #commitTurn(): void {
    const startMs = this.#clock.monotonicMs();
    try {
      this.#disk.commit();
    } catch (error) {
      this.#failedTurn(error);
      return;
    }
    this.#commits++;
    this.#commitMs += this.#clock.monotonicMs() - startMs;
    this.#durable = this.#last;
    this.#epochs.committed();
    this.#endOpenTurn()?.resolve();
  }

  /**
   * A full disk: nothing of the turn was stored, and nothing of it had left the node, so its dots may be minted again.
   * Anything else: whether the turn is durable is unknown, and a process that does not know must not answer.
   */
  #failedTurn(error: unknown): DiskFullError {
    if (!(error instanceof DiskFullError)) this.#failStop("cannot write", error);
    try {
      this.#disk.rollback();
    } catch (failure) {
      this.#failStop("cannot roll back", failure);
    }
    this.#rollbacks++;
    for (const id of this.#turnIds) this.#cache.delete(id);
    this.#epochs.rolledBack();
    const first = Math.max(this.#durable, this.#rolledBack.newest) + 1;
    if (first <= this.#last) this.#rolledBack.add(first, this.#last);
    this.#logger.error("disk-full", { records: this.#turnIds.length, reason: error.message });
    this.#endOpenTurn()?.reject(error);
    return error;
  }

  #endOpenTurn(): PromiseWithResolvers<void> | null {
    const waiters = this.#waiters;
    this.#open = false;
    this.#turnIds.length = 0;
    this.#turnBytes = 0;
    this.#waiters = null;
    return waiters;
  }

  // ---- small values ----------------------------------------------------------------------------------------------

  #makeMeta(): MetaStore {
    return {
      get: (name) => this.#disk.getMeta(name),
      set: (name, value) => this.#commitAlone(() => this.#disk.setMeta(name, value)),
      delete: (name) => this.#commitAlone(() => this.#disk.deleteMeta(name)),
      names: (prefix) => this.#disk.metaNames(prefix),
    };
  }

  /** In a transaction of its own, so that a full disk refuses either the turn or the value and not both. */
  #commitAlone(act: () => void): void {
    if (this.#open) this.#commitTurn();
    this.#begin(true);
    const failure = this.#tryCommit(act);
    if (failure !== null) throw failure;
  }

  #tryCommit(act: () => void): DiskFullError | null {
    try {
      act();
      this.#disk.commit();
    } catch (error) {
      return this.#failedTurn(error);
    }
    this.#commits++;
    this.#endOpenTurn();
    return null;
  }

  #openActor(random: Random, renew: boolean): ActorId {
    const stored = renew ? undefined : this.#disk.getMeta(ACTOR_META);
    if (stored !== undefined && stored.length === ACTOR_BYTES) return actorIdFromBytes(stored);
    const fresh = random.bytes(ACTOR_BYTES);
    this.meta.set(ACTOR_META, fresh);
    return actorIdFromBytes(fresh);
  }
}
