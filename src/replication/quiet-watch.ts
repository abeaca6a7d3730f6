/** Since when nothing has happened to a key here: the quiet rule of reaping, over this node's store. */
import type { Hasher } from "../core/hasher.ts";
import { hashOf, type Key } from "../core/key.ts";
import { QUIET_LIVES, TOUCHED_SLOTS } from "../core/limits.ts";
import { QuietRows, TouchedKeys } from "../core/quiet.ts";
import type { Clock } from "../env/clock.ts";
import type { RecordStore, RowName } from "../storage/record-store.ts";

export class QuietWatch {
  readonly #clock: Clock;
  readonly #store: RecordStore;
  readonly #hasher: Hasher;
  readonly #rows: QuietRows;
  /** Keys of which a row was deleted, or something set aside or dropped. */
  readonly #touched: TouchedKeys;
  /** Ids of keys that are being reaped in this very step. */
  #reaped: ReadonlySet<string> | null = null;
  /** How often `sample` wants to be called. */
  readonly sampleMs: number;

  /** REQUIRES: made before the store's first change by a peer or a client. */
  constructor(store: RecordStore, hasher: Hasher, clock: Clock, lifeMs: number) {
    const quietMs = QUIET_LIVES * lifeMs;
    this.#clock = clock;
    this.#store = store;
    this.#hasher = hasher;
    this.#rows = new QuietRows(quietMs);
    this.sampleMs = quietMs / 8;
    this.#touched = new TouchedKeys(quietMs, TOUCHED_SLOTS, clock.monotonicMs());
    const touch = (name: RowName): void =>
      this.#touched.touch(this.#hashOf(name), clock.monotonicMs());
    store.watchRows({
      changed: (key, _before, after) => {
        // What is there shows its own change by its sequence.
        if (after === null && this.#reaped?.has(key.id) !== true) touch(key);
      },
      lost: touch,
    });
    store.watchAsides(touch);
    this.sample();
  }

  sample(): void {
    this.#rows.sample(this.#clock.monotonicMs(), this.#store.lastSequence());
  }

  /** The row of this sequence has not changed for 4 x D. */
  isQuietRow(sequence: number): boolean {
    return sequence <= this.#rows.quietUpTo(this.#clock.monotonicMs());
  }

  /** For 4 x D no row of the key was dropped here, and nothing of it kept aside was taken in or dropped. */
  isQuietKey(name: RowName): boolean {
    return this.#touched.isQuiet(this.#hashOf(name), this.#clock.monotonicMs());
  }

  /**
   * Runs `act`, in which rows of these keys are dropped because they were reaped. That touches no key: what may still be on its
   * way of such a row is a copy of the row itself, since it was quiet until now. The copy is as dead as the row was, and
   * nothing is left that it had replaced, so another round has nothing to wait for. At most the dead row comes back, and is
   * found by a later walk. REQUIRES: each was judged in this step, so the open turn has no write of it to take back.
   */
  reaping<T>(keys: readonly Key[], act: () => T): T {
    this.#reaped = new Set(keys.map(({ id }) => id));
    try {
      return act();
    } finally {
      this.#reaped = null;
    }
  }

  /** Of bytes, because the name of a damaged row need not be text. */
  #hashOf({ namespace, bytes }: RowName): number {
    return hashOf(this.#hasher, namespace, bytes).lo;
  }
}
