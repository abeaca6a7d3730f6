/** What a power cut leaves of a killed node's files: see power-shim.c, which recorded what was not synced. */
import { execFileSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * Of the writes that were not synced, in each file: `none` reached the disk; a `prefix` did; any `subset`, in any order; or a
 * subset of which one write is `torn` at a sector.
 */
export const CUTS = ["none", "prefix", "subset", "torn"] as const;
export type Cut = (typeof CUTS)[number];

const HEADER_BYTES = 32;
const SECTOR_BYTES = 512;
const TRUNCATE = 1n;

interface Unsynced {
  readonly isTruncate: boolean;
  readonly offset: number;
  readonly sizeBefore: number;
  readonly before: Buffer;
  readonly written: Buffer;
}

/** Compiles the shim. @throws Error that says what to install when there is no C compiler. */
export function buildShim(directory: string): string {
  const source = fileURLToPath(new URL("power-shim.c", import.meta.url));
  const library = join(directory, "power-shim.so");
  try {
    execFileSync("cc", ["-shared", "-fPIC", "-O1", "-o", library, source, "-ldl"]);
  } catch (cause) {
    const advice = "a C compiler is needed, such as from: apt-get install -y gcc libc6-dev";
    throw new Error(`Cannot build power-shim.c: ${advice}`, { cause });
  }
  return library;
}

/** Takes back un-synced writes. Returns how many there were, and how many of them are lost. */
export function cutPower(
  data: string,
  log: string,
  cut: Cut,
  below: (limit: number) => number,
): { readonly unsynced: number; readonly lost: number } {
  let unsynced = 0;
  let lost = 0;
  for (const name of readdirSync(data)) {
    const file = join(data, name);
    const { ino } = statSync(file);
    const recorded = join(log, String(ino));
    if (!existsSync(recorded)) continue;
    const writes = decode(readFileSync(recorded));
    const kept = survivors(writes, cut, below);
    rewrite(file, writes, kept);
    unsynced += writes.length;
    lost += writes.length - kept.length;
  }
  rmSync(log, { recursive: true, force: true });
  return { unsynced, lost };
}

function decode(bytes: Buffer): Unsynced[] {
  const writes: Unsynced[] = [];
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const isTruncate = bytes.readBigUInt64LE(at) === TRUNCATE;
    const [offset, length, sizeBefore] = [8, 16, 24].map((field) =>
      Number(bytes.readBigUInt64LE(at + field)),
    ) as [number, number, number];
    const body = at + HEADER_BYTES;
    const end = body + (isTruncate ? length : 2 * length);
    // Killed while it was being recorded: then the write itself had not begun.
    if (end > bytes.length) break;
    writes.push({
      ...{ isTruncate, offset, sizeBefore },
      before: bytes.subarray(body, body + length),
      written: isTruncate ? Buffer.alloc(0) : bytes.subarray(body + length, end),
    });
    at = end;
  }
  return writes;
}

function survivors(
  writes: readonly Unsynced[],
  cut: Cut,
  below: (limit: number) => number,
): Unsynced[] {
  if (cut === "none") return [];
  if (cut === "prefix") return writes.slice(0, below(writes.length + 1));
  const kept = writes.filter(() => below(2) === 0);
  const victim = kept[below(Math.max(1, kept.length))];
  if (cut === "subset" || victim === undefined || victim.isTruncate) return kept;
  const sectors = Math.ceil(victim.written.length / SECTOR_BYTES);
  const torn = victim.written.subarray(0, below(sectors) * SECTOR_BYTES);
  return kept.map((write) => (write === victim ? { ...write, written: torn } : write));
}

/** Back to what was synced, then forward by what survived. */
function rewrite(file: string, writes: readonly Unsynced[], kept: readonly Unsynced[]): void {
  const target = openSync(file, "r+");
  try {
    for (const { offset, sizeBefore, before } of [...writes].reverse()) {
      const length = Math.max(0, Math.min(before.length, sizeBefore - offset));
      if (length > 0) writeSync(target, before, 0, length, offset);
      ftruncateSync(target, sizeBefore);
    }
    for (const { isTruncate, offset, written } of kept) {
      if (isTruncate) ftruncateSync(target, offset);
      else if (written.length > 0) writeSync(target, written, 0, written.length, offset);
    }
  } finally {
    closeSync(target);
  }
}
