/** Since when nothing has happened to a key here: the quiet rule of reaping, over this node's store. */
import { byteString } from "../core/bytes.ts";
import { QUIET_LIVES, TOUCHED_KEYS_MAX } from "../core/limits.ts";
import { QuietRows, TouchedKeys } from "../core/quiet.ts";
import type { Clock } from "../env/clock.ts";
import type { RecordStore, RowName } from "../storage/record-store.ts";

export class QuietWatch {
  readonly #clock: Clock;
  readonly #store: RecordStore;
  readonly #rows: QuietRows;
  /** Keys of which a row was deleted, or something set aside or dropped. */
  readonly #touched: TouchedKeys;
  /** How often `sample` wants to be called. */
  readonly sampleMs: number;

  /** REQUIRES: made before the store's first change by a peer or a client. */
  constructor(store: RecordStore, clock: Clock, lifeMs: number) {
    const quietMs = QUIET_LIVES * lifeMs;
    this.#clock = clock;
    this.#store = store;
    this.#rows = new QuietRows(quietMs);
    this.sampleMs = quietMs / 8;
    this.#touched = new TouchedKeys(quietMs, TOUCHED_KEYS_MAX, clock.monotonicMs());
    const touch = (name: RowName): void => this.#touched.touch(idOf(name), clock.monotonicMs());
    store.watchRows({
      changed: (key, _before, after) => {
        // What is there shows its own change by its sequence.
        if (after === null) touch(key);
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
    return this.#touched.isQuiet(idOf(name), this.#clock.monotonicMs());
  }
}

/** Of bytes, because the name of a damaged row need not be text. */
function idOf(name: RowName): string {
  return `${name.namespace}/${byteString(name.bytes)}`;
}
