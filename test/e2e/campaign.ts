/** What the campaigns share: totals that are kept between runs. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

/** Figures that are added up over the runs that name the same file. */
export class Totals {
  readonly #file: string | undefined;
  readonly figures: Record<string, number>;

  constructor(file: string | undefined, names: readonly string[]) {
    this.#file = file;
    const stored: unknown =
      file !== undefined && existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : {};
    this.figures = Object.fromEntries(names.map((name) => [name, 0]));
    for (const [name, value] of Object.entries(stored as object)) {
      if (typeof value === "number") this.figures[name] = value;
    }
  }

  add(name: string, count = 1): void {
    this.figures[name] = (this.figures[name] ?? 0) + count;
  }

  of(name: string): number {
    return this.figures[name] ?? 0;
  }

  /** After each round, so that a run that is ended loses at most one. */
  save(): void {
    if (this.#file !== undefined) writeFileSync(this.#file, `${JSON.stringify(this.figures)}\n`);
  }

  describe(): string {
    return Object.entries(this.figures)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ");
  }
}
