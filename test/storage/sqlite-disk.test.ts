import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { closeSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import { utf8Encode } from "../../src/core/bytes.ts";
import { DiskFullError, type DiskRow } from "../../src/env/disk.ts";
import { type SqliteDriver, SqliteError } from "../../src/env/sqlite.ts";
import { assertSqliteVersion, hasWalResetDefect } from "../../src/storage/schema.ts";
import { openSqliteDisk, type SqliteDisk } from "../../src/storage/sqlite-disk.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  systemDriver,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../support/sqlite-drivers.ts";
import { storeOver } from "../support/store-bench.ts";

const hasher = await createTestHasher();

// Each commit waits for the disk, which other tests may keep busy.
setDefaultTimeout(60_000);

const driver = await systemDriver();
let directory: TemporaryDirectory;
let path: string;

beforeEach(() => {
  directory = temporaryDirectory();
  path = join(directory.path, "gyre.db");
});
afterEach(() => directory.remove());

/** The driver with a connection on which `sql` has been run. */
function prepared(sql: () => string): SqliteDriver {
  return {
    name: driver.name,
    open: (file) => {
      const database = driver.open(file);
      database.exec(sql());
      return database;
    },
  };
}

function row(sequence: number, bytes: number): DiskRow {
  const key = utf8Encode(`key-${sequence}`);
  const empty = new Uint8Array(0);
  const body = new Uint8Array(bytes).fill(sequence);
  return {
    namespace: 1,
    key,
    place: 0,
    sequence,
    minted: null,
    head: empty,
    headSum: empty,
    body,
  };
}

function pragma(disk: SqliteDriver, file: string, name: string): unknown {
  const database = disk.open(file);
  const value = Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
  database.close();
  return value;
}

test("a database that may not grow says so, keeps what it has, and takes writes again", () => {
  const limited = prepared(() => "PRAGMA max_page_count=100");
  let disk = openSqliteDisk(limited, path, { durability: "power", hasher });
  disk.begin();
  disk.put(row(1, 10_000));
  disk.commit();
  const before = disk.usage();
  const fill = (): void => {
    disk.begin();
    for (let i = 2; i < 1000; i++) disk.put(row(i, 10_000));
  };
  expect(fill).toThrow(DiskFullError);
  disk.rollback();
  expect(disk.usage()).toEqual(before);
  expect(disk.lastSequence()).toBe(1);
  expect(disk.maintenanceDue).toBe(true);
  disk.maintain();
  disk.begin();
  disk.put(row(2, 10));
  disk.commit();
  disk.close();
  disk = openSqliteDisk(driver, path, { durability: "power", hasher });
  expect(disk.uncleanStop).toBe(false);
  expect(disk.usage()).toEqual({ rows: 2, bytes: 10_010 });
  disk.close();
});

test("the store survives a database that may not grow", async () => {
  const disk = openSqliteDisk(
    prepared(() => "PRAGMA max_page_count=60"),
    path,
    { durability: "power", hasher },
  );
  const bench = storeOver(await createTestHasher(), disk);
  bench.write("small", "kept");
  bench.clock.endTurn();
  const waiting = bench.store.whenDurable(bench.write("first", "lost with its turn")).then(
    () => "done",
    (error: Error) => error.name,
  );
  expect(() => bench.write("large", "v".repeat(500_000))).toThrow(DiskFullError);
  expect(await waiting).toBe("DiskFullError");
  while (bench.clock.endTurn() > 0);
  bench.write("after", "kept");
  bench.clock.endTurn();
  const found = ["small", "first", "large", "after"].map((key) => bench.values(key));
  expect(found).toEqual([["kept"], "absent", "absent", ["kept"]]);
  bench.store.close();
});

test("verify counts anew what a torn log may have left wrong", () => {
  let disk = openSqliteDisk(driver, path, { durability: "power", hasher });
  disk.begin();
  for (let i = 1; i <= 10; i++) disk.put(row(i, 100));
  disk.commit();
  disk.close();
  const database = driver.open(path);
  database.exec("UPDATE counter SET rows = 7, bytes = 7, sequence = 7");
  database.close();
  disk = openSqliteDisk(driver, path, { durability: "power", hasher });
  expect(disk.verify()).toBe(true);
  expect(disk.usage()).toEqual({ rows: 10, bytes: 1000 });
  expect(disk.lastSequence()).toBe(10);
  disk.close();
});

test("no second connection gets in while one is open", () => {
  const disk = openSqliteDisk(driver, path, { durability: "power", hasher });
  disk.begin();
  disk.put(row(1, 10));
  disk.commit();
  let kind = "";
  try {
    openSqliteDisk(driver, path, { durability: "power", hasher });
  } catch (error) {
    if (error instanceof SqliteError) kind = error.kind;
  }
  expect(kind).toBe("busy");
  disk.close();
});

test("a write into a broken tree is told, so that the next start does not try it again", () => {
  let disk = openSqliteDisk(driver, path, { durability: "power", hasher });
  disk.begin();
  for (let i = 1; i <= 2000; i++) disk.put(row(i, 200));
  disk.commit();
  disk.close();
  overwriteLeaves();
  const told: string[] = [];
  disk = openSqliteDisk(driver, path, {
    durability: "power",
    hasher,
    onCorruption: (reason) => told.push(reason),
  });
  const rewrite = (): void => {
    disk.begin();
    for (let i = 1; i <= 2000; i++) disk.put(row(i, 300));
  };
  expect(rewrite).toThrow(SqliteError);
  expect(told).toEqual([expect.stringContaining("malformed")]);
  disk.rollback();
  disk.close();
});

/** All but the first pages, which hold the roots. */
function overwriteLeaves(): void {
  const file = openSync(path, "r+");
  const junk = new Uint8Array(4096).fill(0x55);
  for (let at = 4096 * 20; at + 4096 <= statSync(path).size; at += 4096)
    writeSync(file, junk, 0, 4096, at);
  closeSync(file);
}

test("the log is moved into the database from time to time and does not grow for ever", () => {
  const disk = openSqliteDisk(driver, path, { durability: "process", hasher });
  let moves = 0;
  let largest = 0;
  for (let i = 1; i <= 60; i++) {
    disk.begin();
    for (let j = 0; j < 20; j++) disk.put(row(j + 1, 50_000));
    disk.commit();
    largest = Math.max(largest, statSync(`${path}-wal`).size);
    if (disk.maintenanceDue) {
      disk.maintain();
      moves++;
    }
  }
  expect(moves).toBeGreaterThan(3);
  expect(moves).toBeLessThan(30);
  // 60 MB were written.
  expect(largest).toBeLessThan(20_000_000);
  disk.close();
});

test("the file is ours by its header, in the format the page says", () => {
  const disk: SqliteDisk = openSqliteDisk(driver, path, { durability: "power", hasher });
  disk.close();
  expect(Buffer.from(readFileSync(path).subarray(68, 72)).toString()).toBe("GYRE");
  expect(pragma(driver, path, "user_version")).toBe(1);
  expect(pragma(driver, path, "page_size")).toBe(4096);
  expect(pragma(driver, path, "journal_mode")).toBe("wal");
});

test("old versions of SQLite are refused, or told apart where only a warning is due", () => {
  expect(() => assertSqliteVersion("3.36.9")).toThrow("needs 3.37.0 or newer");
  for (const version of ["3.37.0", "3.40.1", "4.0.0"])
    expect(() => assertSqliteVersion(version)).not.toThrow();
  const defective = ["3.40.1", "3.44.5", "3.50.6", "3.51.2", "3.7.17"];
  const sound = ["3.51.3", "3.53.4", "3.44.6", "3.50.7", "4.0.0"];
  expect(defective.map(hasWalResetDefect)).toEqual(defective.map(() => true));
  expect(sound.map(hasWalResetDefect)).toEqual(sound.map(() => false));
});
