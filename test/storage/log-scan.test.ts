import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { utf8Encode } from "../../src/core/bytes.ts";
import { hidesCommits } from "../../src/storage/log-scan.ts";
import { openSqliteDisk } from "../../src/storage/sqlite-disk.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  systemDriver,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../support/sqlite-drivers.ts";

const hasher = await createTestHasher();

// Each commit waits for the disk, which other tests may keep busy.
setDefaultTimeout(60_000);

const driver = await systemDriver();
const COMMITS = 12;
const HEADER_BYTES = 32;
let looks = 0;
let directory: TemporaryDirectory;

beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(() => directory.remove());

/** A database and its log with one row a commit, as a killed process leaves them. */
function files(reuseLog: boolean): { database: Uint8Array; log: Uint8Array } {
  const path = join(directory.path, "gyre.db");
  const disk = openSqliteDisk(driver, path, { durability: "process", hasher });
  const commit = (sequence: number, bytes: number): void => {
    const none = new Uint8Array(0);
    disk.begin();
    disk.put({
      namespace: 1,
      key: utf8Encode(`k${sequence}`),
      place: 0,
      sequence,
      minted: null,
      head: none,
      headSum: none,
      body: new Uint8Array(bytes).fill(sequence),
    });
    disk.commit();
  };
  let sequence = 0;
  if (reuseLog) {
    // The log begins anew over these frames, which then stand behind those of the new run.
    for (let i = 0; i < 30; i++) commit(++sequence, 2000);
    disk.maintain();
  }
  for (let i = 0; i < COMMITS; i++) commit(++sequence, 300);
  const found = {
    database: new Uint8Array(readFileSync(path)),
    log: new Uint8Array(readFileSync(`${path}-wal`)),
  };
  disk.close();
  return found;
}

/** What SQLite itself makes of a log: the newest sequence that is left. */
function newestLeft(database: Uint8Array, log: Uint8Array): number {
  const path = join(directory.path, `looked-at-${looks++}.db`);
  writeFileSync(path, database);
  writeFileSync(`${path}-wal`, log);
  const opened = driver.open(path);
  try {
    return Number(opened.prepare("SELECT sequence FROM counter").get()?.["sequence"]);
  } catch (error) {
    // A log cut within the first commit leaves no table.
    expect(String(error)).toContain("no such table");
    return 0;
  } finally {
    opened.close();
  }
}

for (const reuseLog of [false, true]) {
  const whose = reuseLog ? "a log that began anew" : "a first log";

  test(`${whose} is not suspected while it is whole, or only shorter`, () => {
    const { log } = files(reuseLog);
    expect(log.length).toBeGreaterThan(COMMITS * 4096);
    expect(hidesCommits(log)).toBe(false);
    for (let bytes = 0; bytes < log.length; bytes += 1777)
      expect(hidesCommits(log.subarray(0, bytes))).toBe(false);
  });

  test(`a flipped bit in ${whose} is noticed whenever it undoes two commits or more`, () => {
    const { database, log } = files(reuseLog);
    const all = newestLeft(database, log);
    fc.assert(
      fc.property(fc.integer({ min: HEADER_BYTES, max: log.length - 1 }), fc.nat(7), (at, bit) => {
        const flipped = log.slice();
        flipped[at] = (flipped[at] as number) ^ (1 << bit);
        const lost = all - newestLeft(database, flipped);
        if (lost >= 3) expect(hidesCommits(flipped)).toBe(true);
        if (lost === 0) expect(hidesCommits(flipped)).toBe(false);
      }),
      { numRuns: 100 },
    );
  });
}

test("what is no log at all is not suspected", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      expect(hidesCommits(bytes)).toBe(false);
    }),
  );
  const header = new Uint8Array(HEADER_BYTES);
  new DataView(header.buffer).setUint32(0, 0x377f0682);
  expect(hidesCommits(header)).toBe(false);
});
