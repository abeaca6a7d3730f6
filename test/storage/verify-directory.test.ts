import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { createSystemFiles } from "../../runtimes/shared/system-files.ts";
import {
  type DirectoryReport,
  verifyDirectory,
  whileStopped,
} from "../../src/storage/verify-directory.ts";
import { openTestDirectory } from "../support/data-directories.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  copyDatabase,
  sqliteDrivers,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../support/sqlite-drivers.ts";
import { storeOver } from "../support/store-bench.ts";

// Each commit waits for the disk, which other tests may keep busy.
setDefaultTimeout(60_000);

const drivers = await sqliteDrivers();
const hasher = await createTestHasher();
const ROWS = 600;
let temporary: TemporaryDirectory;
let path: string;

beforeEach(() => {
  temporary = temporaryDirectory();
  path = join(temporary.path, "data");
});
afterEach(() => temporary.remove());

const file = (name: string): string => join(path, name);

for (const driver of drivers) {
  const files = createSystemFiles(driver);

  /** A directory with rows, one of them aside; stopped in order, or as kill -9 leaves it. */
  function make(how: "stopped" | "killed"): void {
    const directory = openTestDirectory(driver, path);
    const bench = storeOver(hasher, directory.disk);
    for (let i = 0; i < ROWS; i++) {
      bench.write(`key-${i}`, `value ${i} `.repeat(10));
      if (i % 50 === 0) bench.clock.endTurn();
    }
    bench.clock.endTurn();
    const killed = join(temporary.path, "killed");
    if (how === "killed") {
      mkdirSync(killed);
      copyDatabase(file("gyre.db"), join(killed, "gyre.db"));
      copyFileSync(file("high-water"), join(killed, "high-water"));
    }
    bench.store.close();
    directory.close();
    if (how === "killed") cpSync(killed, path, { recursive: true });
  }

  function verify(): Promise<DirectoryReport> {
    return whileStopped({ path, files }, () =>
      verifyDirectory({ path, files, driver, hasher, onProgress: () => Promise.resolve() }),
    );
  }

  async function damage(): Promise<string[]> {
    const { findings } = await verify();
    return findings.filter(({ kind }) => kind === "damage").map(({ where }) => where);
  }

  function flip(name: string, at: number): void {
    const bytes = readFileSync(file(name));
    bytes[at] = (bytes[at] ?? 0) ^ 4;
    writeFileSync(file(name), bytes);
  }

  describe(`verify with ${driver.name}`, () => {
    for (const how of ["stopped", "killed"] as const) {
      test(`finds a directory sound that was ${how}, counts it, and changes no byte of it`, async () => {
        make(how);
        const before = readdirSync(path).map((name) => [name, readFileSync(file(name))]);
        const report = await verify();
        expect(report.findings.filter(({ kind }) => kind === "damage")).toEqual([]);
        expect(report.database).toMatchObject({ rows: ROWS, values: ROWS, damagedRows: 0 });
        expect(report.identity?.boots).toBe(1);
        expect(readdirSync(path).map((name) => [name, readFileSync(file(name))])).toEqual(before);
      });
    }

    test("refuses a directory that is in use, and one that is none", async () => {
      const directory = openTestDirectory(driver, path);
      await expect(verify()).rejects.toThrow("a node is running on it");
      directory.close();
      rmSync(path, { recursive: true });
      await expect(verify()).rejects.toThrow("Cannot find a data directory");
      expect(existsSync(path)).toBe(false);
    });

    test("finds a flipped bit in a value, which SQLite does not", async () => {
      make("stopped");
      const bytes = readFileSync(file("gyre.db"));
      flip("gyre.db", bytes.indexOf("value 300 "));
      const { findings, database } = await verify();
      expect(database?.damagedRows).toBe(1);
      expect(findings.map(({ kind, what }) => [kind, what])).toEqual([
        ["damage", "a value is damaged"],
      ]);
    });

    test("finds a flipped bit in a small value", async () => {
      make("stopped");
      const directory = openTestDirectory(driver, path);
      directory.disk.begin();
      directory.disk.setMeta("vote", Uint8Array.of(7, 1, 201, 33, 7));
      directory.disk.commit();
      directory.close();
      flip("gyre.db", readFileSync(file("gyre.db")).indexOf(Buffer.of(7, 1, 201, 33, 7)));
      expect(await damage()).toEqual(["meta vote"]);
    });

    test("finds a flipped bit in a key", async () => {
      make("stopped");
      flip("gyre.db", readFileSync(file("gyre.db")).indexOf("key-300") + 4);
      const found = await damage();
      expect(found.some((where) => where.startsWith("row "))).toBe(true);
    });

    test("finds a broken tree, an empty and a missing database", async () => {
      make("stopped");
      const bytes = readFileSync(file("gyre.db"));
      bytes.fill(0x55, 4096 * 12, 4096 * 13);
      writeFileSync(file("gyre.db"), bytes);
      expect(await damage()).toContain("tree");
      truncateSync(file("gyre.db"), 0);
      expect(await damage()).toEqual(["gyre.db"]);
      rmSync(file("gyre.db"));
      expect(await damage()).toEqual(["gyre.db"]);
    });

    test("finds commits that a damaged log hides, and ones that a shortened log lacks", async () => {
      make("killed");
      const log = readFileSync(file("gyre.db-wal"));
      flip("gyre.db-wal", 32 + 24 + 4096 * 40);
      expect(await damage()).toContain("gyre.db-wal");
      writeFileSync(file("gyre.db-wal"), log.subarray(0, Math.floor(log.length / 2)));
      expect(await damage()).toContain("gyre.db");
    });

    test("finds a damaged identity though its copy is whole, and notes a torn high-water mark", async () => {
      make("stopped");
      writeFileSync(file("identity.json"), "");
      writeFileSync(file("high-water"), "");
      const { findings, identity } = await verify();
      expect(findings.map(({ kind, where }) => [kind, where])).toEqual([
        ["damage", "identity.json"],
        ["note", "high-water"],
      ]);
      expect(identity).not.toBeNull();
    });

    test("finds counters that do not say what is there", async () => {
      make("stopped");
      const database = driver.open(file("gyre.db"));
      database.exec("UPDATE counter SET rows = rows + 1");
      database.close();
      expect(await damage()).toEqual(["counter"]);
    });
  });
}
