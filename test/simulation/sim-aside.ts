import { byteString, compareBytes } from "../../src/core/bytes.ts";
import type { AsideRow, AsideUsage, PlaceCursor } from "../../src/env/disk.ts";

/** The table `aside` of a simulated disk. The open transaction can be undone as long as it is open. */
export class SimAside {
  readonly #rows = new Map<string, AsideRow>();
  readonly #before = new Map<string, AsideRow | undefined>();

  get empty(): boolean {
    return this.#rows.size === 0;
  }

  rows(): readonly AsideRow[] {
    return [...this.#rows.values()];
  }

  put(row: AsideRow): void {
    const id = asideId(row.shelf, row.namespace, row.key);
    this.#remember(id);
    this.#rows.set(id, row);
  }

  delete(shelf: string, namespace: number, key: Uint8Array): void {
    const id = asideId(shelf, namespace, key);
    this.#remember(id);
    this.#rows.delete(id);
  }

  ofKey(namespace: number, key: Uint8Array): AsideRow[] {
    return this.rows()
      .filter((row) => row.namespace === namespace && compareBytes(row.key, key) === 0)
      .sort((a, b) => (a.shelf < b.shelf ? -1 : 1));
  }

  scan(shelf: string, after: PlaceCursor | null, limit: number): AsideRow[] {
    return this.rows()
      .filter((row) => row.shelf === shelf)
      .filter((row) => after === null || comparePlaces(cursorOf(row), after) > 0)
      .sort((a, b) => comparePlaces(cursorOf(a), cursorOf(b)))
      .slice(0, limit);
  }

  usage(): ReadonlyMap<string, AsideUsage> {
    const usage = new Map<string, AsideUsage>();
    for (const { shelf, head, body, note } of this.#rows.values()) {
      const before = usage.get(shelf) ?? { rows: 0, bytes: 0 };
      const bytes = before.bytes + head.length + body.length + note.length;
      usage.set(shelf, { rows: before.rows + 1, bytes });
    }
    return usage;
  }

  committed(): void {
    this.#before.clear();
  }

  rolledBack(): void {
    for (const [id, row] of this.#before) {
      if (row === undefined) this.#rows.delete(id);
      else this.#rows.set(id, row);
    }
    this.#before.clear();
  }

  image(): ReadonlyMap<string, AsideRow> {
    return new Map(this.#rows);
  }

  putBack(image: ReadonlyMap<string, AsideRow>): void {
    this.lose();
    for (const [id, row] of image) this.#rows.set(id, row);
  }

  lose(): void {
    this.#rows.clear();
    this.#before.clear();
  }

  #remember(id: string): void {
    if (!this.#before.has(id)) this.#before.set(id, this.#rows.get(id));
  }
}

export function cursorOf(row: {
  readonly place: number;
  readonly namespace: number;
  readonly key: Uint8Array;
}): PlaceCursor {
  return { place: row.place, namespace: row.namespace, keyBytes: row.key };
}

export function comparePlaces(a: PlaceCursor, b: PlaceCursor): number {
  if (a.place !== b.place) return a.place - b.place;
  return a.namespace === b.namespace
    ? compareBytes(a.keyBytes, b.keyBytes)
    : a.namespace - b.namespace;
}

function asideId(shelf: string, namespace: number, key: Uint8Array): string {
  return `${shelf}\n${namespace}/${byteString(key)}`;
}
