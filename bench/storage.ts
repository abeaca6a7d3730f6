/**
 * What the store does alone, without HTTP and peers: durable rows per second by commit size, gets from the cache and from
 * the disk, the worst stall, memory, and how soon it is open again.
 *
 *   node bench/storage.ts [--rows 100000] [--directory DIR]
 *
 * Runs on Node, Bun and Deno; prints one line per figure.
 */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { systemClock } from "../runtimes/shared/system-clock.ts";
import { createSystemHasher } from "../runtimes/shared/system-hasher.ts";
import { createSystemRandom } from "../runtimes/shared/system-random.ts";
import { utf8Encode } from "../src/core/bytes.ts";
import type { Hasher } from "../src/core/hasher.ts";
import { parseNamespaceId } from "../src/core/ids.ts";
import { type Key, makeKey } from "../src/core/key.ts";
import { CACHE_BYTES_DEFAULT } from "../src/core/limits.ts";
import type { CausalRecord } from "../src/core/version.ts";
import { openSqliteDisk, type SqliteDisk } from "../src/storage/sqlite-disk.ts";
import { Store } from "../src/storage/store.ts";
import { systemDriver } from "../test/support/sqlite-drivers.ts";

const VALUE_BYTES = 100;
const NAMESPACE = parseNamespaceId(1);

const { values: options } = parseArgs({
  options: { rows: { type: "string", default: "100000" }, directory: { type: "string" } },
});
const rows = Number(options.rows);
const driver = await systemDriver();
const hasher = await createSystemHasher();
const directory = options.directory ?? mkdtempSync(join(tmpdir(), "gyre-bench-"));
const path = join(directory, "gyre.db");

const store = openStore(path).store;
report("driver", driver.name);
const load = await writeRows(0, rows, 256, (i) => i);
report(`load ${rows} rows, 256 a commit`, perSecond(rows, load.ms));
for (const [size, commits] of [
  [1, 2000],
  [32, 300],
] as const) {
  const run = await writeRows(rows, size * commits, size, () => draw(rows));
  report(
    `put, ${size} a commit, fsync on`,
    `${perSecond(size * commits, run.ms)}, worst turn ${run.worstMs.toFixed(1)} ms`,
  );
}
report(
  "get, cached",
  perSecond(
    200_000,
    readRows(200_000, () => 7),
  ),
);
const before = store.counters;
const uncachedMs = readRows(50_000, () => draw(rows));
const missed = store.counters.cacheMisses - before.cacheMisses;
report(
  "get, any row",
  `${perSecond(50_000, uncachedMs)}, ${Math.round(missed / 500)} % from the disk`,
);
report(
  "cache",
  `${store.counters.cachedRecords} records, ${mib(store.counters.cachedBytes)} by estimate`,
);
report("resident", mib(process.memoryUsage().rss));

const copy = join(directory, "killed.db");
for (const suffix of ["", "-wal"])
  if (existsSync(path + suffix)) copyFileSync(path + suffix, copy + suffix);
report("open again after kill -9", timedOpen(copy));
store.close();
report("open again after a clean stop", timedOpen(path));
if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });

function openStore(file: string): { store: Store; disk: SqliteDisk } {
  const disk = openSqliteDisk(driver, file, { durability: "power", hasher });
  const opened = Store.open({
    disk,
    clock: systemClock,
    hasher,
    random: createSystemRandom(),
    logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    failStop: (reason, cause) => {
      throw new Error(reason, { cause });
    },
    cacheBytes: CACHE_BYTES_DEFAULT,
    digestKey: new Uint8Array(32),
  });
  return { store: opened, disk };
}

function timedOpen(file: string): string {
  const start = performance.now();
  const opened = openStore(file);
  opened.store.read(keyOf(1));
  const tookMs = performance.now() - start;
  const { rows: found } = opened.store.usage();
  const text = `${tookMs.toFixed(0)} ms, ${found} rows, ${opened.disk.uncleanStop ? "unclean" : "clean"}`;
  opened.store.close();
  return text;
}

async function writeRows(
  first: number,
  count: number,
  perTurn: number,
  pick: (i: number) => number,
): Promise<{ ms: number; worstMs: number }> {
  const start = performance.now();
  let worstMs = 0;
  for (let i = 0; i < count; ) {
    const turnStart = performance.now();
    let sequence = 0;
    for (let j = 0; j < perTurn && i < count; j++, i++) {
      const key = keyOf(pick(i));
      const record = recordOf(hasher, first + i + 1);
      const minted = { actor: store.actorId, epoch: 1, counter: first + i + 1 };
      sequence = store.write(key, record, minted);
    }
    await store.whenDurable(sequence);
    worstMs = Math.max(worstMs, performance.now() - turnStart);
  }
  return { ms: performance.now() - start, worstMs };
}

function readRows(count: number, pick: () => number): number {
  store.read(keyOf(7));
  const keys = Array.from({ length: Math.min(count, 50_000) }, () => keyOf(pick()));
  const start = performance.now();
  for (let i = 0; i < count; i++) {
    if (store.read(keys[i % keys.length] as Key).state !== "record")
      throw new Error("a row is gone");
  }
  return performance.now() - start;
}

/** Spread over the tree, as keys of real users are. */
function keyOf(i: number): Key {
  return makeKey(hasher, NAMESPACE, `user:${Math.imul(i, 2_654_435_761) >>> 0}:${i}`);
}

function recordOf(hash: Hasher, counter: number): CausalRecord {
  const dot = { actor: store.actorId, epoch: 1, counter };
  const value = utf8Encode(String(counter).padStart(VALUE_BYTES, "."));
  const sibling = {
    dot,
    stamp: 1_767_225_600_000_000 + counter,
    deleted: false,
    value,
    valueBytes: value.length,
    valueHash: hash.hash64(value),
    contentType: "application/octet-stream",
    metadata: "",
    expiresAtMs: 0,
    writeQuorum: 2,
    sloppy: true,
    idempotencyKey: "",
    bodyDigest: "",
  };
  return { context: [dot], siblings: [sibling] };
}

function draw(limit: number): number {
  return Math.floor(Math.random() * limit);
}

function perSecond(count: number, ms: number): string {
  return `${Math.round((count / ms) * 1000).toLocaleString("en")} /s`;
}

function mib(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MiB`;
}

function report(name: string, text: string): void {
  process.stdout.write(`${name.padEnd(34)} ${text}\n`);
}

function ignore(): void {
  // The bench prints figures only.
}
