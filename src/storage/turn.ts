import { assert } from "../core/assert.ts";
import type { Clock } from "../env/clock.ts";
import { type Disk, DiskFullError } from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import type { Logger } from "../env/logger.ts";
import { RolledBack } from "./rolled-back.ts";

export interface TurnOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly failStop: Env["failStop"];
  readonly maxRecords: number;
  readonly maxBytes: number;
  /** The open transaction is durable now. */
  readonly onCommit: () => void;
  readonly onSlowCommit: (tookMs: number) => void;
  /** The open transaction never was; `ids` are the keys it had written. */
  readonly onRollback: (ids: readonly string[]) => void;
}

/** A commit that takes longer has stalled the process, in ms (design 5). */
const SLOW_COMMIT_MS = 250;

const DURABLE = Promise.resolve();

/**
 * Group commit. The writes of one event-loop turn share a transaction that begins with the first of them and is
 * committed, in this thread, when the turn ends; nothing that rests on it may leave the node before. Sequences number the
 * writes; one that is neither durable nor rolled back belongs to the open transaction.
 */
export class Turn {
  commits = 0;
  rollbacks = 0;
  commitMs = 0;

  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #options: TurnOptions;
  readonly #rolledBack = new RolledBack();
  #last: number;
  #durable: number;
  /** The newest durable one that was not rolled back. */
  #kept: number;
  #closed = false;

  #open = false;
  #endScheduled = false;
  readonly #ids: string[] = [];
  #bytes = 0;
  #waiters: PromiseWithResolvers<void> | null = null;

  constructor(options: TurnOptions) {
    this.#disk = options.disk;
    this.#clock = options.clock;
    this.#options = options;
    this.#last = options.disk.lastSequence();
    this.#durable = this.#last;
    this.#kept = this.#last;
  }

  /** Opens the transaction unless it is open, to be committed when the event-loop turn ends. */
  begin(): void {
    if (this.#open) return;
    this.#beginTransaction(false);
    if (this.#endScheduled) return;
    this.#endScheduled = true;
    this.#clock.endOfTurn(this.#end);
  }

  /** Gives out the next sequence, for a write of the key `id`. REQUIRES begin. */
  nextSequence(id: string): number {
    this.#ids.push(id);
    return ++this.#last;
  }

  /** Counts a write, and commits at once when the transaction has become so large that the end would take too long. */
  wrote(bytes: number): void {
    this.#bytes += bytes;
    const { maxRecords, maxBytes } = this.#options;
    if (this.#ids.length < maxRecords && this.#bytes < maxBytes) return;
    this.#commit();
    // A turn of many commits must not let the log grow until it ends.
    if (this.#disk.maintenanceDue) this.#maintain();
  }

  /** The newest sequence given out that was not rolled back: who waits for one that was would be refused until the next write. */
  get last(): number {
    return this.#rolledBack.newest === this.#last ? this.#kept : this.#last;
  }

  isDurable(sequence: number): boolean {
    return sequence <= this.#durable && !(this.rollbacks > 0 && this.#rolledBack.has(sequence));
  }

  /** One promise for all who wait for the open transaction; none is made while nobody waits. */
  whenDurable(sequence: number): Promise<void> {
    if (this.rollbacks > 0 && this.#rolledBack.has(sequence)) {
      return Promise.reject(
        new DiskFullError("Cannot commit: the disk is full; nothing was stored"),
      );
    }
    if (sequence <= this.#durable) return DURABLE;
    assert(this.#open, "a sequence neither durable nor rolled back belongs to the open turn");
    if (this.#waiters === null) {
      this.#waiters = Promise.withResolvers<void>();
      // Who waits handles the rejection; who has lost interest must not bring the process down.
      this.#waiters.promise.catch(() => undefined);
    }
    return this.#waiters.promise;
  }

  /**
   * For several writes: a turn may take more than one transaction, so that an earlier one can be rolled back and a later one
   * committed.
   */
  whenAllDurable(sequences: readonly number[]): Promise<void> {
    let newest = 0;
    for (const sequence of sequences) {
      if (this.rollbacks > 0 && this.#rolledBack.has(sequence)) return this.whenDurable(sequence);
      newest = Math.max(newest, sequence);
    }
    // Those that are neither durable nor rolled back are all of the open transaction, as the newest is then.
    return this.whenDurable(newest);
  }

  /** Runs `act` in a fully synced transaction of its own: a full disk then refuses either the turn or this, not both. */
  commitAlone(act: () => void): void {
    if (this.#open) this.#commit();
    this.#beginTransaction(true);
    try {
      act();
      this.#disk.commit();
    } catch (error) {
      throw this.failed(error);
    }
    this.#committed();
  }

  /**
   * What to throw after a write that failed. A full disk: nothing of the turn was stored and nothing of it had left the
   * node, so its dots may be minted again. Anything else: nobody knows what is durable, and who does not know must not
   * answer.
   */
  failed(error: unknown): DiskFullError {
    const { failStop, logger, onRollback } = this.#options;
    if (!(error instanceof DiskFullError)) return failStop("cannot write to the database", error);
    try {
      this.#disk.rollback();
    } catch (failure) {
      return failStop("cannot roll back a transaction", failure);
    }
    this.rollbacks++;
    const first = Math.max(this.#durable, this.#rolledBack.newest) + 1;
    if (first <= this.#last) this.#rolledBack.add(first, this.#last);
    logger.error("disk-full", { records: this.#ids.length, reason: error.message });
    onRollback(this.#ids);
    this.#reset()?.reject(error);
    return error;
  }

  /** Commits what is open. Nothing may be written afterwards. */
  close(): void {
    if (this.#open) this.#commit();
    this.#closed = true;
  }

  #beginTransaction(full: boolean): void {
    assert(!this.#closed, "a closed store takes no writes");
    try {
      this.#disk.begin(full);
    } catch (error) {
      this.#options.failStop("cannot begin a transaction", error);
    }
    this.#open = true;
  }

  readonly #end = (): void => {
    this.#endScheduled = false;
    if (this.#open) this.#commit();
    // In a turn of its own: the answers that waited for this commit leave first.
    if (!this.#closed && this.#disk.maintenanceDue) this.#clock.endOfTurn(this.#maintain);
  };

  readonly #maintain = (): void => {
    if (this.#closed) return;
    if (this.#open) this.#commit();
    if (!this.#disk.maintenanceDue) return;
    const startMs = this.#clock.monotonicMs();
    try {
      this.#disk.maintain();
    } catch (error) {
      this.#options.failStop("cannot move the log into the database", error);
    }
    this.#noteIfSlow(this.#clock.monotonicMs() - startMs);
  };

  #commit(): void {
    const startMs = this.#clock.monotonicMs();
    try {
      this.#disk.commit();
    } catch (error) {
      this.failed(error);
      return;
    }
    const tookMs = this.#clock.monotonicMs() - startMs;
    this.commitMs += tookMs;
    this.#committed();
    this.#noteIfSlow(tookMs);
  }

  #noteIfSlow(tookMs: number): void {
    if (tookMs > SLOW_COMMIT_MS) this.#options.onSlowCommit(tookMs);
  }

  #committed(): void {
    this.commits++;
    this.#durable = this.#last;
    this.#kept = this.last;
    this.#options.onCommit();
    this.#reset()?.resolve();
  }

  #reset(): PromiseWithResolvers<void> | null {
    const waiters = this.#waiters;
    this.#open = false;
    this.#ids.length = 0;
    this.#bytes = 0;
    this.#waiters = null;
    return waiters;
  }
}
