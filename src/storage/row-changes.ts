import type { Key } from "../core/key.ts";
import type { RowWatcher } from "./record-store.ts";
import type { RowDigest } from "./row-digest.ts";

interface Change {
  readonly key: Key;
  readonly before: RowDigest | null | "unknown";
  readonly after: RowDigest | null;
}

/** Tells watchers of each change of a row, and of a turn's changes once more, the other way round, when it is rolled back. */
export class RowChanges {
  readonly #watchers: RowWatcher[] = [];
  readonly #open: Change[] = [];

  /** Without watchers nobody needs digests. */
  get watched(): boolean {
    return this.#watchers.length > 0;
  }

  watch(watcher: RowWatcher): void {
    this.#watchers.push(watcher);
  }

  /** Of the open turn. */
  changed(key: Key, before: Change["before"], after: RowDigest | null): void {
    this.#open.push({ key, before, after });
    this.#tell(key, before, after);
  }

  /** Of a transaction of its own that is durable already. */
  changedForGood(key: Key, before: Change["before"], after: RowDigest | null): void {
    this.#tell(key, before, after);
  }

  committed(): void {
    this.#open.length = 0;
  }

  rolledBack(): void {
    for (let i = this.#open.length - 1; i >= 0; i--) {
      const { key, before, after } = this.#open[i] as Change;
      // What it had been is still not known, only that it is that again.
      if (before === "unknown") this.#tell(key, before, null);
      else this.#tell(key, after, before);
    }
    this.#open.length = 0;
  }

  #tell(key: Key, before: Change["before"], after: RowDigest | null): void {
    for (const watcher of this.#watchers) {
      if (before === "unknown") watcher.lost(key);
      else watcher.changed(key, before, after);
    }
  }
}
