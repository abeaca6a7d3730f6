/** Small values (the table `meta`) on a bad disk: SQLite has no checksums of its own. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSystemFiles } from "../../runtimes/shared/system-files.ts";
import type { Files } from "../../src/env/files.ts";
import { DataDirectoryError } from "../../src/storage/data-directory-error.ts";
import { type DatabaseState, decodeIdentity, encodeIdentity } from "../../src/storage/identity.ts";
import { ACTOR_META, IN_DOUBT_META, RESTORED_META } from "../../src/storage/meta-names.ts";
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
  directory.disk.setMeta("epoch-lease", Uint8Array.of(0, 0, 0, 0, 0, 0, 4, 0));
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

/** The bytes of the stopped node's database with one thing in it done by hand, as SQLite would do it. */
function byHand(sql: string): void {
  const database = driver.open(file("gyre.db"));
  database.exec(sql);
  database.close();
}

describe("values that are gone without a trace, as where a disk did not write their page", () => {
  for (const [what, sql] of [
    ["the lease of epochs", "DELETE FROM meta WHERE name = 'epoch-lease'"],
    ["the actor", "DELETE FROM meta WHERE name = 'actor-id'"],
    ["the layout", "DELETE FROM meta WHERE name = 'layout/document'"],
    ["a promise", "DELETE FROM meta WHERE name = 'paxos/promise'"],
    ["all of them but the owner's name", "DELETE FROM meta WHERE name <> 'node-id'"],
    ["a promise that is whole, and of another time", null],
  ] as const) {
    test(`${what}: the database is given up, and not taken for one that never had it`, () => {
      make();
      if (sql === null) age();
      else byHand(sql);
      const directory = openTestDirectory(driver, path);
      expect(directory.logger.lines.map(({ event }) => event)).toEqual(["database-damaged"]);
      expect(String(directory.logger.lines[0]?.fields["reason"])).toContain("small values are");
      expect(directory.forgotten).toBe(true);
      directory.close();
    });
  }

  /** The promise as it was before it was changed, with the sum it had then. */
  function age(): void {
    byHand("CREATE TABLE older AS SELECT * FROM meta WHERE name = 'paxos/promise'");
    const directory = openTestDirectory(driver, path);
    directory.disk.begin();
    directory.disk.setMeta("paxos/promise", Uint8Array.of(8));
    directory.disk.commit();
    directory.close();
    byHand(
      `UPDATE meta SET (sum, value) = (SELECT sum, value FROM older) WHERE name = 'paxos/promise';
       DROP TABLE older`,
    );
  }

  test("rows of a restored backup are not dropped because the mark that holds them apart is gone", () => {
    make();
    const first = openTestDirectory(driver, path);
    first.disk.begin();
    first.disk.setMeta(RESTORED_META, Uint8Array.of(1));
    first.disk.commit();
    first.close();
    openTestDirectory(driver, path).close();
    byHand(`DELETE FROM meta WHERE name = '${RESTORED_META}'`);
    openTestDirectory(driver, path).close();
    const aside = driver.open(file("gyre.db.damaged-1"));
    expect(aside.prepare("SELECT count(*) AS rows FROM restored_record").get()).toEqual({
      rows: 1,
    });
    aside.close();
  });
});

test("what is set, replaced, deleted and rolled back is complete at the next start, after a kill too", () => {
  make();
  const directory = openTestDirectory(driver, path);
  const { disk } = directory;
  const change = (end: "commit" | "rollback"): void => {
    disk.begin();
    disk.setMeta("paxos/promise", Uint8Array.of(9));
    disk.setMeta("new", Uint8Array.of(1));
    disk.deleteMeta("reap-horizon/1");
    disk.deleteMeta("never-there");
    disk[end]();
  };
  change("rollback");
  change("commit");
  directory.close();
  const again = openTestDirectory(driver, path);
  expect(again.logger.lines).toEqual([]);
  expect(again.disk.metaNames("reap-horizon/").length).toBe(HORIZONS - 1);
  again.close();
});

test("a database that has lost its newest commits may lack small values too: it goes on in doubt, and only once", () => {
  make();
  byHand("DELETE FROM meta WHERE name = 'paxos/promise'; UPDATE counter SET commits = commits - 1");
  const directory = openTestDirectory(driver, path);
  expect(directory.logger.lines.map(({ event }) => event)).toEqual(["database-lost-commits"]);
  expect(directory.forgotten).toBe(true);
  directory.close();
  const again = openTestDirectory(driver, path);
  expect(again.logger.lines).toEqual([]);
  expect(again.forgotten).toBe(false);
  again.close();
});

describe("where some rows are on no other node", () => {
  function makeOnlyCopy(): void {
    make();
    const directory = openTestDirectory(driver, path);
    directory.setOnlyCopy(true);
    directory.close();
  }

  function flip(find: Buffer): void {
    const bytes = readFileSync(file("gyre.db"));
    expect(bytes.indexOf(find)).toBeGreaterThan(0);
    for (let at = bytes.indexOf(find); at >= 0; at = bytes.indexOf(find, at + 1)) {
      bytes[at] = (bytes[at] ?? 0) ^ 1;
    }
    writeFileSync(file("gyre.db"), bytes);
  }

  test("a damaged small value costs that value: the rows stay, under a new actor, in doubt", () => {
    makeOnlyCopy();
    const actor = openTestDirectory(driver, path);
    const before = actor.disk.getMeta(ACTOR_META);
    actor.close();
    flip(Buffer.of(7, 1, 201, 33, 7));
    const directory = openTestDirectory(driver, path);
    expect(directory.logger.lines.map(({ event, fields }) => [event, fields["names"]])).toEqual([
      ["small-values-dropped", "paxos/promise"],
    ]);
    expect(directory.forgotten).toBe(true);
    expect(directory.disk.getMeta("paxos/promise")).toBeUndefined();
    expect(directory.disk.getMeta("layout/document")).toEqual(DOCUMENT);
    expect(directory.disk.getMeta(IN_DOUBT_META)).toEqual(Uint8Array.of(1));
    expect(before?.length).toBe(16);
    expect(directory.disk.getMeta(ACTOR_META)).toBeUndefined();
    const { store, values } = storeOver(hasher, directory.disk);
    expect(store.usage().rows).toBe(1);
    expect(values("k")).toEqual(["v"]);
    store.close();
    directory.close();
    const again = openTestDirectory(driver, path);
    expect(again.logger.lines).toEqual([]);
    again.close();
  });

  /** Files with which the process dies when the identity is to say so: after it does, or before. */
  function dyingAt(state: DatabaseState, when: "after" | "before"): Files {
    const files = createSystemFiles(driver);
    const write = (name: string, bytes: Uint8Array): void => {
      const dies = Buffer.from(bytes).includes(`"database": "${state}"`);
      if (!dies || when === "after") files.write(name, bytes);
      if (dies) throw new Error("the process dies here");
    };
    return Object.assign(Object.create(files) as Files, { write });
  }

  for (const [what, state, when] of [
    ["before a damaged value is dropped", "dropped", "after"],
    ["before the database is taken over without it", "ready", "before"],
  ] as const) {
    test(`a cut ${what} changes nothing: the next start serves the rows`, () => {
      makeOnlyCopy();
      flip(Buffer.of(7, 1, 201, 33, 7));
      const files = dyingAt(state, when);
      expect(() => openTestDirectory(driver, path, "power", files)).toThrow("the process dies");
      const directory = openTestDirectory(driver, path);
      expect(directory.forgotten).toBe(true);
      expect(directory.disk.getMeta(IN_DOUBT_META)).toEqual(Uint8Array.of(1));
      expect(directory.disk.getMeta(ACTOR_META)).toBeUndefined();
      const { store, values } = storeOver(hasher, directory.disk);
      expect([store.usage().rows, store.isRestoring, values("k")]).toEqual([1, false, ["v"]]);
      store.close();
      directory.close();
    });
  }

  test("commits that are lost too are more than a damaged value: the rows are held apart, after a cut as well", () => {
    for (const cut of [null, "doubtful", "ready"] as const) {
      rmSync(path, { recursive: true, force: true });
      makeOnlyCopy();
      byHand("UPDATE counter SET commits = commits - 1");
      flip(Buffer.of(7, 1, 201, 33, 7));
      if (cut !== null) {
        const files = dyingAt(cut, "before");
        expect(() => openTestDirectory(driver, path, "power", files)).toThrow("the process dies");
      }
      const directory = openTestDirectory(driver, path);
      expect(directory.forgotten).toBe(true);
      const { store } = storeOver(hasher, directory.disk);
      expect([store.usage().rows, store.isRestoring]).toEqual([0, true]);
      store.close();
      directory.close();
    }
  });

  test("a database that is doubted already stays so when a damaged value is found in it", () => {
    makeOnlyCopy();
    for (const name of ["identity.json", "identity.copy.json"]) {
      const identity = decodeIdentity(readFileSync(file(name)));
      writeFileSync(file(name), encodeIdentity({ ...identity, database: "doubtful" }));
    }
    flip(Buffer.of(7, 1, 201, 33, 7));
    const directory = openTestDirectory(driver, path);
    expect(storeOver(hasher, directory.disk).store.isRestoring).toBe(true);
    directory.close();
  });

  describe("a start that is refused leaves the mark of the last stop", () => {
    function cleanOf(): unknown {
      const database = driver.open(file("gyre.db"), { readOnly: true });
      const clean = database.prepare("SELECT clean FROM counter").get()?.["clean"];
      database.close();
      return clean;
    }

    for (const [what, sql] of [
      ["a value that is gone", "DELETE FROM meta WHERE name = 'epoch-lease'"],
      ["another node's database", "DELETE FROM meta WHERE name = 'node-id'"],
    ] as const) {
      test(`: ${what}`, () => {
        makeOnlyCopy();
        byHand(`${sql}; UPDATE counter SET clean = 0`);
        expect(() => openTestDirectory(driver, path, "process")).toThrow("left as it is");
        expect(cleanOf()).toBe(0);
      });
    }

    test(": a start that could not write what it has decided", () => {
      makeOnlyCopy();
      byHand("UPDATE counter SET clean = 0");
      const files = dyingAt("ready", "before");
      expect(() => openTestDirectory(driver, path, "process", files)).toThrow("the process dies");
      expect(cleanOf()).toBe(0);
    });
  });

  for (const [what, damage] of [
    ["the layout", () => flip(Buffer.from(DOCUMENT.subarray(0, 2000)))],
    ["the name of the layout", () => flip(Buffer.from("layout/document"))],
    ["a value that is gone", () => byHand("DELETE FROM meta WHERE name = 'epoch-lease'")],
    [
      "a damaged value and one that is gone",
      () => {
        byHand("DELETE FROM meta WHERE name = 'epoch-lease'");
        flip(Buffer.of(7, 1, 201, 33, 7));
      },
    ],
    ["the whole file", () => writeFileSync(file("gyre.db"), Buffer.alloc(65_536, "damage"))],
    ["an empty file", () => writeFileSync(file("gyre.db"), "")],
  ] as const) {
    test(`${what}: the start fails, says what to do, and leaves all as it is`, () => {
      makeOnlyCopy();
      damage();
      const content = () => [
        readdirSync(path).filter((name) => name !== "lock"),
        ["gyre.db", "identity.json", "high-water"].map((name) =>
          existsSync(file(name)) ? readFileSync(file(name)).toString("base64") : null,
        ),
      ];
      const before = content();
      expect(() => openTestDirectory(driver, path)).toThrow(/gyre verify .*gyre restore/);
      expect(content()).toEqual(before);
      expect(() => openTestDirectory(driver, path)).toThrow(
        "Some of its rows are on no other node",
      );
    });
  }

  test("that could not be written is written when it is said again: nothing is believed that is on no disk", () => {
    const files = createSystemFiles(driver);
    const disk = { isFull: false };
    const write = (name: string, bytes: Uint8Array): void => {
      if (disk.isFull && name.includes("identity")) throw new Error("no room");
      files.write(name, bytes);
    };
    const full = Object.assign(Object.create(files) as Files, { write });
    const directory = openTestDirectory(driver, path, "power", full);
    disk.isFull = true;
    expect(() => directory.setOnlyCopy(true)).toThrow(DataDirectoryError);
    disk.isFull = false;
    directory.setOnlyCopy(true);
    directory.close();
    writeFileSync(file("gyre.db"), "");
    expect(() => openTestDirectory(driver, path)).toThrow("Some of its rows are on no other node");
  });

  test("who has moved the database away has given those rows up: the node starts without them, in doubt", () => {
    makeOnlyCopy();
    rmSync(file("gyre.db"));
    const directory = openTestDirectory(driver, path);
    expect(directory.logger.lines.map(({ event }) => event)).toEqual(["database-damaged"]);
    expect(directory.forgotten).toBe(true);
    directory.close();
  });

  test("a node that has got co-owners gives a damaged database up again", () => {
    makeOnlyCopy();
    const directory = openTestDirectory(driver, path);
    directory.setOnlyCopy(false);
    directory.close();
    writeFileSync(file("gyre.db"), "");
    const again = openTestDirectory(driver, path);
    expect(again.forgotten).toBe(true);
    again.close();
  });
});
