import { byteString, compareBytes } from "../../src/core/bytes.ts";
import type { DiskRow, DiskRowHead, DiskScan, PlaceScan } from "../../src/env/disk.ts";
import { comparePlaces, cursorOf } from "./sim-aside.ts";

/** The table `record` of a simulated disk. What the open transaction has changed can be undone as long as it is open. */
export class SimRows {
  readonly #rows = new Map<string, DiskRow>();
  /** Keys by namespace, in byte order. */
  readonly #keys = new Map<number, Uint8Array[]>();
  readonly #before = new Map<string, DiskRow | undefined>();
  #bytes = 0;

  get size(): number {
    return this.#rows.size;
  }

  /** Of heads and bodies. */
  get bytes(): number {
    return this.#bytes;
  }

  all(): readonly DiskRow[] {
    return [...this.#rows.values()];
  }

  get(namespace: number, key: Uint8Array): DiskRow | undefined {
    return this.#rows.get(rowId(namespace, key));
  }

  put(row: DiskRow): void {
    const id = rowId(row.namespace, row.key);
    const old = this.#rows.get(id);
    if (!this.#before.has(id)) this.#before.set(id, old);
    // As with SQLite, an overwrite leaves the row where it stands.
    this.#set(id, old === undefined ? row : { ...row, place: old.place });
  }

  delete(namespace: number, key: Uint8Array): void {
    const id = rowId(namespace, key);
    const old = this.#rows.get(id);
    if (!this.#before.has(id)) this.#before.set(id, old);
    this.#unset(id);
  }

  /** Outside of any transaction, and of the same key. */
  damage(row: DiskRow): void {
    this.#set(rowId(row.namespace, row.key), row);
  }

  committed(): void {
    this.#before.clear();
  }

  rolledBack(): void {
    for (const [id, row] of this.#before) {
      if (row === undefined) this.#unset(id);
      else this.#set(id, row);
    }
    this.#before.clear();
  }

  image(): ReadonlyMap<string, DiskRow> {
    return new Map(this.#rows);
  }

  putBack(image: ReadonlyMap<string, DiskRow>): void {
    this.lose();
    for (const [id, row] of image) this.#set(id, row);
  }

  lose(): void {
    this.#rows.clear();
    this.#keys.clear();
    this.#before.clear();
    this.#bytes = 0;
  }

  scan(range: DiskScan): DiskRowHead[] {
    const keys = this.#keys.get(range.namespace) ?? [];
    const from = lowerBound(keys, range.start);
    const to = range.end === null ? keys.length : Math.max(from, lowerBound(keys, range.end));
    const found = range.reverse
      ? keys.slice(Math.max(from, to - range.limit), to).reverse()
      : keys.slice(from, Math.min(to, from + range.limit));
    return found.map((key) => {
      const { body: _, ...head } = this.#rows.get(rowId(range.namespace, key)) as DiskRow;
      return head;
    });
  }

  scanPlaces({ from, to, after, limit }: PlaceScan): DiskRowHead[] {
    return this.all()
      .filter(({ place }) => place >= from && place < to)
      .filter((row) => after === null || comparePlaces(cursorOf(row), after) > 0)
      .sort((a, b) => comparePlaces(cursorOf(a), cursorOf(b)))
      .slice(0, limit)
      .map(({ body: _, ...head }) => head);
  }

  #set(id: string, row: DiskRow): void {
    const old = this.#rows.get(id);
    this.#rows.set(id, row);
    this.#bytes += rowBytes(row) - (old === undefined ? 0 : rowBytes(old));
    if (old !== undefined) return;
    const keys = this.#keys.get(row.namespace);
    if (keys === undefined) this.#keys.set(row.namespace, [row.key]);
    else keys.splice(lowerBound(keys, row.key), 0, row.key);
  }

  #unset(id: string): void {
    const old = this.#rows.get(id);
    if (old === undefined) return;
    this.#rows.delete(id);
    this.#bytes -= rowBytes(old);
    const keys = this.#keys.get(old.namespace) ?? [];
    keys.splice(lowerBound(keys, old.key), 1);
  }
}

function rowId(namespace: number, key: Uint8Array): string {
  return `${namespace}/${byteString(key)}`;
}

function rowBytes(row: DiskRow): number {
  return row.head.length + row.body.length;
}

/** The index of the first key that is not below `key`. */
function lowerBound(keys: readonly Uint8Array[], key: Uint8Array): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(keys[middle] as Uint8Array, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
