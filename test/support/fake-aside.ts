/** What a fake store keeps aside: durable at once, never damaged. */
import { compareBytes } from "../../src/core/bytes.ts";
import { type Key, placeOf } from "../../src/core/key.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import type { AsideUsage, Minted, PlaceCursor } from "../../src/env/disk.ts";
import type { AsideRecord, RowName } from "../../src/storage/record-store.ts";

type Row = { readonly state: "record" } & AsideRecord;

export class FakeAside {
  readonly #rows: Row[] = [];

  set(
    shelf: string,
    key: Key,
    record: CausalRecord,
    minted: Minted | null,
    note: Uint8Array,
    sequence: number,
  ): void {
    this.#delete(shelf, key);
    this.#rows.push({ state: "record", shelf, key, record, minted, note, sequence });
    this.#rows.sort((a, b) => comparePlaces(cursorOf(a.key), cursorOf(b.key)));
  }

  ofKey(key: RowName): readonly Row[] {
    return this.#rows.filter((row) => sameName(row.key, key));
  }

  scan(
    shelf: string,
    after: PlaceCursor | null,
    limit: number,
  ): { rows: readonly Row[]; next: PlaceCursor | null } {
    const rows = this.#rows
      .filter((row) => row.shelf === shelf)
      .filter((row) => after === null || comparePlaces(cursorOf(row.key), after) > 0)
      .slice(0, limit);
    const last = rows.at(-1);
    return { rows, next: last === undefined || rows.length < limit ? null : cursorOf(last.key) };
  }

  drop(rows: readonly { shelf: string; key: RowName; sequence: number }[]): boolean[] {
    return rows.map(({ shelf, key, sequence }) => {
      const found = this.#rows.find((row) => row.shelf === shelf && sameName(row.key, key));
      if (found?.sequence !== sequence) return false;
      this.#delete(shelf, key);
      return true;
    });
  }

  usage(): ReadonlyMap<string, AsideUsage> {
    const usage = new Map<string, AsideUsage>();
    for (const { shelf, record, note } of this.#rows) {
      const before = usage.get(shelf) ?? { rows: 0, bytes: 0 };
      let bytes = before.bytes + note.length;
      for (const sibling of record.siblings) bytes += sibling.valueBytes;
      usage.set(shelf, { rows: before.rows + 1, bytes });
    }
    return usage;
  }

  #delete(shelf: string, key: RowName): void {
    const at = this.#rows.findIndex((row) => row.shelf === shelf && sameName(row.key, key));
    if (at >= 0) this.#rows.splice(at, 1);
  }
}

export function cursorOf(key: Key): PlaceCursor {
  return { place: placeOf(key.hash), namespace: key.namespace, keyBytes: key.bytes };
}

export function comparePlaces(a: PlaceCursor, b: PlaceCursor): number {
  if (a.place !== b.place) return a.place - b.place;
  return a.namespace === b.namespace
    ? compareBytes(a.keyBytes, b.keyBytes)
    : a.namespace - b.namespace;
}

function sameName(a: RowName, b: RowName): boolean {
  return a.namespace === b.namespace && compareBytes(a.bytes, b.bytes) === 0;
}
