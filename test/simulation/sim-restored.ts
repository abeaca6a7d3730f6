import { compareBytes } from "../../src/core/bytes.ts";
import type { AsideRow, DiskRow } from "../../src/env/disk.ts";

/** The tables of a simulated disk in which the rows of a restored backup are held apart. */
export class SimRestored {
  #rows: AsideRow[] = [];
  #before: AsideRow[] | null = null;

  /** What was held before is older, and gives way. */
  hold(rows: readonly DiskRow[], asides: readonly AsideRow[]): void {
    const note = new Uint8Array(0);
    const newer = [...rows.map((row) => ({ ...row, shelf: "", note })), ...asides];
    this.#rows = [
      ...this.#rows.filter((row) => !newer.some((other) => isSame(row, other))),
      ...newer,
    ];
  }

  next(limit: number): AsideRow[] {
    return this.#rows.slice(0, limit);
  }

  delete(row: Pick<AsideRow, "shelf" | "namespace" | "key">): void {
    this.#before ??= this.#rows;
    this.#rows = this.#rows.filter((other) => !isSame(other, row));
  }

  committed(): void {
    this.#before = null;
  }

  rolledBack(): void {
    this.#rows = this.#before ?? this.#rows;
    this.#before = null;
  }

  lose(): void {
    this.#rows = [];
    this.#before = null;
  }
}

function isSame(
  a: Pick<AsideRow, "shelf" | "namespace" | "key">,
  b: Pick<AsideRow, "shelf" | "namespace" | "key">,
): boolean {
  return a.shelf === b.shelf && a.namespace === b.namespace && compareBytes(a.key, b.key) === 0;
}
