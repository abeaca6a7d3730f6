import { SCRUB_INTERVAL_MS, SCRUB_ROWS_PER_SECOND } from "../core/limits.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Worker } from "../env/worker.ts";
import type { PlacedRow } from "../storage/record-store.ts";
import { TableScan } from "../storage/tree-scan.ts";
import type { Trees } from "../storage/trees.ts";
import type { AntiEntropyFigures } from "./anti-entropy-figures.ts";
import type { Replication } from "./context.ts";
import { keyOf, noteUnreadable } from "./tree-ranges.ts";

export interface ScrubOptions {
  readonly r: Replication;
  readonly trees: Trees;
  readonly figures: AntiEntropyFigures;
  readonly namespaces: () => readonly number[];
  readonly intervalMs?: number;
  readonly rowsPerSecond?: number;
}

/** When the last scrub ended, by the wall clock: 8 bytes, ms since 1970. */
const META_SCRUBBED_AT = "scrubbed-at";
const IDLE_MS = 10_000;
/** After a step that found the disk full: it goes on where it stopped. */
const FULL_MS = 10_000;
/** Rows that one step looks at. Each is read whole from the disk. */
const STEP_ROWS = 32;

/**
 * Reads every row, values included, as nobody would read a row that nobody asks for: SQLite's file has no checksums. A bad
 * row is written anew from memory or left to the other owners. Then the trees are made anew and compared with those that
 * were kept. Once a week, and again from the start after a restart half-way.
 */
export function scrubWorker(options: ScrubOptions): Worker {
  const { r, trees, figures } = options;
  const intervalMs = options.intervalMs ?? SCRUB_INTERVAL_MS;
  const stepMs = (STEP_ROWS * 1000) / (options.rowsPerSecond ?? SCRUB_ROWS_PER_SECOND);
  let scan: TableScan | null = null;
  let unchecked: PlacedRow[] = [];
  let comparing = false;
  let mismatchesBefore = 0;
  const begin = (): void => {
    scan = new TableScan(r.store, options.namespaces);
    r.env.logger.info("scrub-started", {});
  };
  const end = (): void => {
    setScrubbedAt(r);
    comparing = false;
    figures.scrubs++;
    const mismatches = trees.mismatches - mismatchesBefore;
    if (mismatches > 0) r.env.logger.error("tree-mismatch", { units: mismatches });
    r.env.logger.info("scrub-ended", { mismatches, unreadable: figures.rowsUnreadable });
  };
  const step = (): number => {
    if (comparing) {
      if (!trees.isBuilding) end();
      return stepMs;
    }
    if (scan === null) {
      if (trees.state !== "built" || !isDue(r, intervalMs)) return Math.min(IDLE_MS, intervalMs);
      begin();
      return stepMs;
    }
    if (unchecked.length === 0) {
      const rows = scan.next(STEP_ROWS);
      if (rows === null) {
        scan = null;
        comparing = true;
        mismatchesBefore = trees.mismatches;
        trees.startScrub();
        return stepMs;
      }
      unchecked = [...rows];
    }
    for (let row = unchecked[0]; row !== undefined; row = unchecked[0]) {
      checkRow(r, figures, row);
      unchecked.shift();
    }
    return stepMs;
  };
  return { name: "scrub", step: () => Promise.resolve(orLater(step)) };
}

/** The store has told of a full disk already. */
function orLater(step: () => number): number {
  try {
    return step();
  } catch (error) {
    if (error instanceof DiskFullError) return FULL_MS;
    throw error;
  }
}

function checkRow(r: Replication, figures: AntiEntropyFigures, row: PlacedRow): void {
  const name = { namespace: row.namespace, bytes: row.keyBytes };
  const key = keyOf(r, name.namespace, name.bytes);
  const state = key === null ? "unknown" : r.store.checkRow(key);
  if (state === "healed") {
    figures.rowsHealed++;
    return;
  }
  // A row whose key has rotten is met by a scan, and under no key.
  if (state !== "unknown" && row.state !== "unknown") return;
  figures.rowsUnreadable++;
  noteUnreadable(r, name);
}

/** A new node has nothing to scrub: its week begins now. So does one whose clock was in the future. */
function isDue(r: Replication, intervalMs: number): boolean {
  const stored = r.store.meta.get(META_SCRUBBED_AT);
  const nowMs = r.env.clock.wallMs();
  const lastMs = stored?.length === 8 ? new DataView(stored.slice().buffer).getFloat64(0) : null;
  if (lastMs === null || lastMs > nowMs) {
    setScrubbedAt(r);
    return false;
  }
  return nowMs - lastMs >= intervalMs;
}

function setScrubbedAt(r: Replication): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, Math.floor(r.env.clock.wallMs()));
  r.store.meta.set(META_SCRUBBED_AT, bytes);
}
