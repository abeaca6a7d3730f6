import type { Key } from "../core/key.ts";
import { RESTORED_BYTES_AT_ONCE } from "../core/limits.ts";
import { mergeRecords } from "../core/record.ts";
import type { Disk } from "../env/disk.ts";
import type { Logger } from "../env/logger.ts";
import type { AsideRows } from "./aside-rows.ts";
import { RESTORED_META } from "./meta-names.ts";
import type { AsideFound } from "./record-store.ts";
import { QUARANTINE_SHELF, RESTORED_SHELF } from "./shelves.ts";
import type { Turn } from "./turn.ts";

const NO_NOTE = new Uint8Array(0);

/** Puts the rows of a restored backup on their shelf, some at a time, so that others are served meanwhile. */
export class RestoredRows {
  readonly #disk: Disk;
  readonly #logger: Logger;
  readonly #asides: AsideRows;
  readonly #turn: Turn;
  #isRestoring: boolean;

  constructor(
    parts: { readonly disk: Disk; readonly logger: Logger },
    asides: AsideRows,
    turn: Turn,
  ) {
    this.#disk = parts.disk;
    this.#logger = parts.logger;
    this.#asides = asides;
    this.#turn = turn;
    this.#isRestoring = parts.disk.getMeta(RESTORED_META) !== undefined;
  }

  /** As RecordStore.isRestoring. */
  get isRestoring(): boolean {
    return this.#isRestoring;
  }

  /** As RecordStore.shelveRestored. */
  shelve(limit: number): void {
    if (!this.#isRestoring) return;
    // One after another: together they may be more than the memory.
    for (let taken = 0, bytes = 0; taken < limit && bytes < RESTORED_BYTES_AT_ONCE; taken++) {
      const [row] = this.#disk.restored(1);
      if (row === undefined) {
        // What was taken may come back until its turn has ended.
        if (taken === 0) this.#finish();
        return;
      }
      bytes += row.body.length;
      const found = this.#asides.found(row, null);
      // Before the row is written to its shelf: that may end the transaction, and both must stand in the same one.
      this.#turn.begin();
      try {
        this.#disk.deleteRestored(row);
      } catch (error) {
        throw this.#turn.failed(error);
      }
      if (found.state === "record") this.#shelve(found);
      else this.#logger.error("restored-row-unreadable", { shelf: row.shelf });
    }
  }

  /** Unless the commit of the turn that was open fails and brings rows back. */
  #finish(): void {
    let areAllTaken = false;
    this.#turn.commitAlone(() => {
      areAllTaken = this.#disk.restored(1).length === 0;
      if (areAllTaken) this.#disk.deleteMeta(RESTORED_META);
    });
    this.#isRestoring = !areAllTaken;
  }

  /** A key's row and its hints for others are one restored row: what the backup knew of the key. */
  #shelve({ shelf, key, record }: AsideFound & { readonly state: "record" }): void {
    const target = shelf === QUARANTINE_SHELF ? QUARANTINE_SHELF : RESTORED_SHELF;
    const before = this.#onShelf(target, key);
    const merged = before === null ? record : mergeRecords(before, record);
    // Nothing is minted any more under the actor of a backup.
    if (merged !== before) this.#asides.set(target, key, merged, null, NO_NOTE);
  }

  #onShelf(shelf: string, key: Key) {
    for (const found of this.#asides.ofKey(key)) {
      if (found.shelf === shelf && found.state === "record") return found.record;
    }
    return null;
  }
}
