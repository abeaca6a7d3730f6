/** A page that only scans meet: without this nothing would ever mend it (a write may never come). */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { RING_PLACES } from "../../src/core/key.ts";
import type { Disk } from "../../src/env/disk.ts";
import { SqliteError } from "../../src/env/sqlite.ts";
import { openTestDirectory } from "../support/data-directories.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  sqliteDrivers,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../support/sqlite-drivers.ts";
import { FailStop, recordOf, type StoreBench, storeOver } from "../support/store-bench.ts";

// Each commit waits for the disk, which other tests may keep busy.
setDefaultTimeout(60_000);

const hasher = await createTestHasher();
const ROWS = 3_000;
const PAGE_BYTES = 4096;
const SHELF = "hint/x";
let temporary: TemporaryDirectory;
let path: string;

beforeEach(() => {
  temporary = temporaryDirectory();
  path = join(temporary.path, "data");
});
afterEach(() => temporary.remove());

const name = (i: number): string => `key-${String(i).padStart(5, "0")}`;
/** Stands in the rows alone, not in the index. */
const textOf = (i: number): string => `value of ${name(i)} ${"x".repeat(60)}`;

/** Each start reads all of what is aside: only a page that breaks later is met by a read. */
function breakAside(disk: Disk): void {
  const broken = (): never => {
    throw new SqliteError("corrupt", "database disk image is malformed");
  };
  Object.assign(disk, { asides: broken, scanAside: broken });
}

for (const driver of await sqliteDrivers()) {
  function filled(): void {
    const directory = openTestDirectory(driver, path);
    const bench = storeOver(hasher, directory.disk);
    for (let i = 0; i < ROWS; i++) bench.write(name(i), textOf(i));
    bench.store.setAside(
      SHELF,
      bench.key("aside"),
      recordOf(hasher, 1, "v"),
      null,
      new Uint8Array(0),
    );
    bench.clock.endTurn();
    bench.store.close();
    directory.close();
    zeroPageOf(textOf(ROWS / 2));
  }

  function zeroPageOf(text: string): void {
    const file = join(path, "gyre.db");
    const bytes = readFileSync(file);
    const at = bytes.indexOf(text);
    expect(at).toBeGreaterThan(0);
    const page = Math.floor(at / PAGE_BYTES) * PAGE_BYTES;
    bytes.fill(0, page, page + PAGE_BYTES);
    writeFileSync(file, bytes);
  }

  const reads: readonly (readonly [string, "record" | "aside", (bench: StoreBench) => void])[] = [
    [
      "a scan of keys",
      "record",
      ({ store }) =>
        store.scan({
          namespace: 1,
          start: new Uint8Array(0),
          end: null,
          reverse: false,
          limit: ROWS,
        }),
    ],
    [
      "a scan of heads",
      "record",
      ({ store }) =>
        store.scanHeads({
          namespace: 1,
          start: new Uint8Array(0),
          end: null,
          reverse: false,
          limit: ROWS,
        }),
    ],
    [
      "a scan of places",
      "record",
      ({ store }) => store.scanPlaces({ from: 0, to: RING_PLACES, after: null, limit: ROWS }),
    ],
    ["a scan of a shelf", "aside", ({ store }) => store.scanAside(SHELF, null, ROWS)],
    ["what is aside for a key", "aside", ({ store, key }) => void store.asides(key("aside"))],
  ];

  describe(`a broken page met by a read, with ${driver.name}`, () => {
    for (const [what, table, read] of reads) {
      test(`${what} ends the process where others hold the rows, and the next start sets the file aside`, () => {
        filled();
        const directory = openTestDirectory(driver, path);
        expect(directory.forgotten).toBe(false);
        if (table === "aside") breakAside(directory.disk);
        const bench = storeOver(hasher, directory.disk, { isHeldElsewhere: () => true });
        expect(() => read(bench)).toThrow(FailStop);
        directory.close();
        const next = openTestDirectory(driver, path);
        expect(next.forgotten).toBe(true);
        expect(next.logger.lines.map(({ event }) => event)).toEqual(["database-damaged"]);
        expect(existsSync(join(path, "gyre.db.damaged-1"))).toBe(true);
        next.close();
      });
    }

    test("of the only copy throws nothing away: it is told once, and other rows are served", () => {
      filled();
      for (let start = 0; start < 2; start++) {
        const directory = openTestDirectory(driver, path);
        expect(directory.forgotten).toBe(false);
        const bench = storeOver(hasher, directory.disk);
        for (const [, table, read] of reads) {
          if (table === "record") expect(() => read(bench)).toThrow(SqliteError);
        }
        expect(bench.logger.lines.map(({ event }) => event)).toEqual(["database-broken"]);
        expect(bench.values(name(0))).toEqual([textOf(0)]);
        bench.store.close();
        directory.close();
      }
    });
  });
}
