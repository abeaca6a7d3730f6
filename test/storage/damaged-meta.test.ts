/** Small values (the table `meta`) on a bad disk: SQLite has no checksums of its own. */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openSqliteDisk } from "../../src/storage/sqlite-disk.ts";
import { openTestDirectory } from "../support/data-directories.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  systemDriver,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../support/sqlite-drivers.ts";
import { FailStop, storeOver } from "../support/store-bench.ts";

setDefaultTimeout(60_000);

const PAGE_BYTES = 4096;
const DOCUMENT = new Uint8Array(12_000).fill(5);
const HORIZONS = 60;
const driver = await systemDriver();
const hasher = await createTestHasher();
let temporary: TemporaryDirectory;
let path: string;

beforeEach(() => {
  temporary = temporaryDirectory();
  path = join(temporary.path, "data");
});
afterEach(() => temporary.remove());

function file(name: string): string {
  return join(path, name);
}

/** A stopped node's directory with small values on many pages. */
function make(): void {
  const directory = openTestDirectory(driver, path);
  directory.disk.begin();
  directory.disk.setMeta("layout/document", DOCUMENT);
  directory.disk.setMeta("paxos/promise", Uint8Array.of(7, 1, 201, 33, 7));
  for (let i = 0; i < HORIZONS; i++) {
    directory.disk.setMeta(`reap-horizon/${i}`, DOCUMENT.subarray(0, 90));
  }
  directory.disk.commit();
  const bench = storeOver(hasher, directory.disk);
  bench.write("k", "v");
  bench.clock.endTurn();
  bench.store.close();
  directory.close();
}

for (const [where, find] of [
  ["a value", Buffer.of(7, 1, 201, 33, 7)],
  ["a name", Buffer.from("paxos/promise")],
  ["a value on several pages", Buffer.from(DOCUMENT.subarray(0, 2000))],
] as const) {
  test(`a flipped bit in ${where} gives the database up: no promise or layout is taken for another`, () => {
    make();
    const bytes = readFileSync(file("gyre.db"));
    expect(bytes.indexOf(find)).toBeGreaterThan(0);
    // A page that was split still holds the bytes of what it has given away.
    for (let at = bytes.indexOf(find); at >= 0; at = bytes.indexOf(find, at + 1)) {
      bytes[at] = (bytes[at] ?? 0) ^ 1;
    }
    writeFileSync(file("gyre.db"), bytes);
    const directory = openTestDirectory(driver, path);
    expect(directory.logger.lines.map(({ event }) => event)).toEqual(["database-damaged"]);
    expect(String(directory.logger.lines[0]?.fields["reason"])).toContain("the small value ");
    expect(directory.forgotten).toBe(true);
    expect(directory.disk.getMeta("paxos/promise")).toBeUndefined();
    directory.close();
  });
}

test("no page that is zeroed keeps a node from starting, or has a small value served wrong", () => {
  make();
  const whole = readFileSync(file("gyre.db"));
  const identity = readFileSync(file("identity.json"));
  let sound = 0;
  for (let at = PAGE_BYTES; at < whole.length; at += PAGE_BYTES) {
    writeFileSync(file("gyre.db"), Buffer.from(whole).fill(0, at, at + PAGE_BYTES));
    for (const name of ["identity.json", "identity.copy.json"]) writeFileSync(file(name), identity);
    rmSync(file("high-water"));
    const directory = openTestDirectory(driver, path);
    if (!directory.forgotten) {
      sound++;
      expect(directory.disk.getMeta("layout/document")).toEqual(DOCUMENT);
      expect(directory.disk.metaNames("reap-horizon/").length).toBe(HORIZONS);
    }
    directory.close();
  }
  // Pages of rows and indexes: a row that cannot be read is a matter of its own.
  expect(sound).toBeGreaterThan(0);
  expect(sound).toBeLessThan(whole.length / PAGE_BYTES - 3);
});

test("one that is found damaged while the node runs ends the process, and the next start knows", () => {
  make();
  const told: string[] = [];
  let broken = false;
  const disk = openSqliteDisk(driver, file("gyre.db"), {
    durability: "power",
    hasher: { ...hasher, hash64: (bytes) => (broken ? { hi: 0, lo: 0 } : hasher.hash64(bytes)) },
    onCorruption: (reason) => told.push(reason),
  });
  const { store } = storeOver(hasher, disk, { isHeldElsewhere: () => true });
  expect(store.meta.get("layout/document")).toEqual(DOCUMENT);
  broken = true;
  expect(() => store.meta.get("layout/document")).toThrow(FailStop);
  expect(told).toEqual(["the checksum of the small value layout/document does not match"]);
  disk.close();
});
