/** Damage to the files of a stopped node, drawn by a seed. */
import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export const DAMAGES = ["flip", "zero a page", "truncate", "empty"] as const;
export type Damage = (typeof DAMAGES)[number];

/** The database most often: it is the largest. */
const FILES = [
  "gyre.db",
  "gyre.db",
  "gyre.db",
  "gyre.db-wal",
  "gyre.db-wal",
  "identity.json",
  "identity.copy.json",
  "high-water",
] as const;
const PAGE_BYTES = 4096;
const BITS_MAX = 8;

/** What was done, for the report. */
export interface Done {
  readonly file: string;
  readonly damage: Damage;
  readonly detail: string;
}

export function damageOne(data: string, below: (limit: number) => number): Done {
  const there = FILES.filter((name) => {
    const file = join(data, name);
    return existsSync(file) && statSync(file).size > 0;
  });
  const name = there[below(there.length)] ?? "gyre.db";
  const damage = DAMAGES[below(DAMAGES.length)] ?? "flip";
  return { file: name, damage, detail: act(join(data, name), damage, below) };
}

function act(file: string, damage: Damage, below: (limit: number) => number): string {
  const bytes = readFileSync(file);
  switch (damage) {
    case "flip": {
      const places = Array.from({ length: 1 + below(BITS_MAX) }, () => below(bytes.length * 8));
      for (const bit of places) {
        const at = bit >> 3;
        bytes[at] = (bytes[at] ?? 0) ^ (1 << (bit & 7));
      }
      writeFileSync(file, bytes);
      return `bits ${places.join(" ")}`;
    }
    case "zero a page": {
      const at = below(Math.ceil(bytes.length / PAGE_BYTES)) * PAGE_BYTES;
      bytes.fill(0, at, Math.min(at + PAGE_BYTES, bytes.length));
      writeFileSync(file, bytes);
      return `bytes ${at} to ${at + PAGE_BYTES}`;
    }
    case "truncate": {
      const size = below(bytes.length);
      truncateSync(file, size);
      return `${bytes.length} to ${size} bytes`;
    }
    case "empty":
      truncateSync(file, 0);
      return `${bytes.length} bytes`;
  }
}
