import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { createSystemFiles } from "../../runtimes/shared/system-files.ts";
import { parseClusterId } from "../../src/core/ids.ts";
import type { Files } from "../../src/env/files.ts";
import { type SqliteDriver, SqliteError } from "../../src/env/sqlite.ts";
import { crc32 } from "../../src/storage/crc32.ts";
import { DataDirectoryError } from "../../src/storage/data-directory-error.ts";
import { type DatabaseState, decodeIdentity, encodeIdentity } from "../../src/storage/identity.ts";
import { IN_DOUBT_META } from "../../src/storage/meta-names.ts";
import { RESTORED_SHELF } from "../../src/storage/shelves.ts";
import { type OpenedDirectory, openTestDirectory } from "../support/data-directories.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  systemDriver,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../support/sqlite-drivers.ts";
import { type StoreBench, storeOver } from "../support/store-bench.ts";

// Each commit waits for the disk, which other tests may keep busy.
setDefaultTimeout(60_000);

const driver = await systemDriver();
const hasher = await createTestHasher();
let temporary: TemporaryDirectory;
let path: string;

beforeEach(() => {
  temporary = temporaryDirectory();
  path = join(temporary.path, "deep", "data");
});
afterEach(() => temporary.remove());

function open(durability: "power" | "process" = "power"): OpenedDirectory {
  return openTestDirectory(driver, path, durability);
}
function file(name: string): string {
  return join(path, name);
}
/** What the identity says, as if the node had been killed right after it was written. */
function sayOfDatabase(database: DatabaseState): void {
  const identity = decodeIdentity(readFileSync(file("identity.json")));
  writeFileSync(file("identity.json"), encodeIdentity({ ...identity, database }));
}
/** A directory with one row, and what it was. */
function used(
  act: (bench: StoreBench, directory: OpenedDirectory) => void = () => undefined,
): OpenedDirectory {
  const directory = open();
  const bench = storeOver(hasher, directory.disk);
  bench.write("k", "v");
  bench.clock.endTurn();
  act(bench, directory);
  bench.store.close();
  directory.close();
  return directory;
}
function events(directory: OpenedDirectory): string[] {
  return directory.logger.lines.map((line) => `${line.level} ${line.event}`);
}

describe("a data directory", () => {
  test("is made on the first start, for its owner only, and is the same node on the next", () => {
    const first = open();
    expect(first.forgotten).toBe(false);
    expect(first.clusterId).toBeUndefined();
    expect(first.incarnation).toBe(1);
    first.setClusterId(parseClusterId("0123456789abcdef0123456789abcdef"));
    first.close();
    first.close();
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(statSync(file("identity.json")).mode & 0o777).toBe(0o600);
    const second = open();
    expect(second.nodeId).toBe(first.nodeId);
    expect(String(second.clusterId)).toBe("0123456789abcdef0123456789abcdef");
    expect(second.incarnation).toBe(2);
    expect(second.forgotten).toBe(false);
    expect(events(second)).toEqual([]);
    second.close();
  });

  test("leaves no lock behind", () => {
    used();
    expect(readdirSync(path).sort()).toEqual([
      "gyre.db",
      "high-water",
      "identity.copy.json",
      "identity.json",
    ]);
  });

  test("is locked against this very process too", () => {
    const first = open();
    expect(open).toThrow("another process is using it");
    first.close();
    open().close();
  });

  test("keeps the secret it made, for its owner only", () => {
    const first = open();
    const secret = first.ownSecret();
    expect(secret.length).toBe(32);
    expect(first.ownSecret()).toEqual(secret);
    first.close();
    expect(statSync(file("secret")).mode & 0o777).toBe(0o600);
    const second = open();
    expect(second.ownSecret()).toEqual(secret);
    second.close();
    truncateSync(file("secret"), 5);
    const third = open();
    expect(() => third.ownSecret()).toThrow(
      `Cannot use secret ${file("secret")}, want 32 bytes: 5`,
    );
    third.close();
  });

  test("renews the actor after an unclean stop only where that may forget a dot", () => {
    const actors: string[] = [];
    for (const [durability, clean] of [
      ["power", false],
      ["power", false],
      ["process", false],
      ["process", true],
      ["process", true],
    ] as const) {
      const directory = open(durability);
      const bench = storeOver(hasher, directory.disk);
      actors.push(bench.store.actorId);
      bench.write("k", "v");
      bench.clock.endTurn();
      bench.store.close();
      directory.close();
      if (!clean) markUnclean();
    }
    const [first, second, third, fourth, fifth] = actors;
    expect(second).toBe(first as string);
    expect(third).not.toBe(second);
    expect(fourth).not.toBe(third);
    expect(fifth).toBe(fourth as string);
  });

  /** As if the last process had been killed. */
  function markUnclean(): void {
    const database = driver.open(file("gyre.db"));
    database.exec("UPDATE counter SET clean = 0");
    database.close();
  }
});

describe("the high-water mark", () => {
  test("that cannot be written fails no commit and is told once", () => {
    const system = createSystemFiles(driver);
    let room = true;
    const files: Files = {
      ...system,
      openMark: (name) => {
        const mark = system.openMark(name);
        return {
          write: (bytes) => {
            if (!room) throw new Error("ENOSPC: no space left on device, write");
            mark.write(bytes);
          },
          close: () => mark.close(),
        };
      },
    };
    const directory = openTestDirectory(driver, path, "power", files);
    const bench = storeOver(hasher, directory.disk);
    for (const hasRoom of [true, false, false, true, false]) {
      room = hasRoom;
      bench.write("k", "v");
      bench.clock.endTurn();
    }
    expect(events(directory)).toEqual([
      "warn high-water-not-written",
      "warn high-water-not-written",
    ]);
    expect(bench.store.counters.rollbacks).toBe(0);
    bench.store.close();
    directory.close();
    const again = open();
    expect(events(again)).toEqual([]);
    again.close();
  });
});

describe("a database that is gone", () => {
  const losses: readonly (readonly [string, string, () => void])[] = [
    ["missing", "the file is missing", () => rmSync(file("gyre.db"))],
    ["cut to nothing", "the file is empty", () => truncateSync(file("gyre.db"), 0)],
    [
      "overwritten",
      "not a database",
      () => writeFileSync(file("gyre.db"), new Uint8Array(8192).fill(0xaa)),
    ],
    ["cut in the middle", "its header says", () => truncateSync(file("gyre.db"), 4096)],
    [
      "cut by its last page, which no start reads",
      "its header says",
      () => truncateSync(file("gyre.db"), statSync(file("gyre.db")).size - 4096),
    ],
    ["another, empty database", "the database is empty", () => replaceBy("VACUUM")],
    [
      "without its tables",
      "missing",
      () => replaceBy("PRAGMA application_id=1197036101; PRAGMA user_version=1"),
    ],
    ["of another program", "another program", () => replaceBy("CREATE TABLE t(a)")],
    ["of a newer format, foreign", "another program", () => replaceBy("PRAGMA user_version=99")],
    ["of another node", "another node", () => copyForeign()],
    [
      "condemned while it ran",
      "found broken",
      () => writeFileSync(file("gyre.db.condemned"), "malformed"),
    ],
  ];
  for (const [how, reason, lose] of losses) {
    test(`${how}, is moved aside and never served as empty`, () => {
      let actor = "";
      const before = used((bench) => {
        actor = bench.store.actorId;
      });
      lose();
      const had = existsSync(file("gyre.db"));
      const after = open();
      expect(after.forgotten).toBe(true);
      expect(after.nodeId).toBe(before.nodeId);
      expect(after.incarnation).toBe(2);
      expect(events(after)).toEqual(["error database-damaged"]);
      expect(String(after.logger.lines[0]?.fields["reason"])).toContain(reason);
      expect(existsSync(file("gyre.db.damaged-1"))).toBe(had);
      const bench = storeOver(hasher, after.disk);
      expect(bench.store.actorId).not.toBe(actor);
      expect(bench.store.usage().rows).toBe(0);
      bench.store.close();
      after.close();
      const again = open();
      expect(again.forgotten).toBe(false);
      expect(again.disk.getMeta(IN_DOUBT_META)).toEqual(new Uint8Array([1]));
      again.close();
    });
  }

  function replaceBy(sql: string): void {
    rmSync(file("gyre.db"));
    const database = driver.open(file("gyre.db"));
    database.exec(sql);
    database.close();
  }
  function copyForeign(): void {
    const mine = path;
    path = join(temporary.path, "other");
    used();
    copyFileSync(join(temporary.path, "other", "gyre.db"), join(mine, "gyre.db"));
    path = mine;
  }

  test("takes its log with it, and a second loss keeps the first's evidence", () => {
    used();
    truncateSync(file("gyre.db"), 0);
    writeFileSync(file("gyre.db-wal"), "log");
    open().close();
    rmSync(file("gyre.db"));
    writeFileSync(file("gyre.db"), "junk");
    open().close();
    expect(readFileSync(file("gyre.db.damaged-1-wal"), "utf8")).toBe("log");
    expect(readFileSync(file("gyre.db.damaged-2"), "utf8")).toBe("junk");
  });

  test("is still gone when the replacement was cut short", () => {
    used();
    sayOfDatabase("lost");
    rmSync(file("gyre.db"));
    const after = open();
    expect(after.forgotten).toBe(true);
    expect(after.disk.getMeta(IN_DOUBT_META)).toEqual(new Uint8Array([1]));
    after.close();
  });

  test("is none when the very first start was cut short", () => {
    used();
    sayOfDatabase("none");
    truncateSync(file("gyre.db"), 0);
    const after = open();
    expect(after.forgotten).toBe(false);
    expect(events(after)).toEqual([]);
    after.close();
  });
});

describe("a database that has lost its newest commits", () => {
  const COMMITS = 8;

  /** The files as they are when a node is killed after eight commits of one row each. */
  function killed(): string {
    let actor = "";
    used();
    const directory = open();
    const bench = storeOver(hasher, directory.disk);
    actor = bench.store.actorId;
    for (let i = 0; i < COMMITS; i++) {
      bench.write(`k${i}`, "v");
      bench.clock.endTurn();
    }
    const copy = join(temporary.path, "killed");
    mkdirSync(copy);
    for (const name of readdirSync(path)) {
      if (name !== "lock") copyFileSync(file(name), join(copy, name));
    }
    bench.store.close();
    directory.close();
    path = copy;
    return actor;
  }
  function flip(name: string, at: number): void {
    const bytes = readFileSync(file(name));
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(file(name), bytes);
  }
  /** Where the log's last bytes are, counted in parts of its length. */
  function logAt(part: number): number {
    return Math.floor(statSync(file("gyre.db-wal")).size * part);
  }

  test("is not doubted when nothing is wrong", () => {
    const actor = killed();
    const directory = open();
    expect(directory.forgotten).toBe(false);
    expect(events(directory)).toEqual([]);
    const bench = storeOver(hasher, directory.disk);
    expect(bench.store.actorId).toBe(actor as typeof bench.store.actorId);
    expect(bench.store.usage().rows).toBe(COMMITS + 1);
    bench.store.close();
    directory.close();
  });

  /** Takes the rows that are held apart to their shelf. */
  function restored({ store }: StoreBench): string[] {
    while (store.isRestoring) store.shelveRestored(1_000);
    const { rows } = store.scanAside(RESTORED_SHELF, null, 1_000);
    return rows.flatMap((row) => (row.state === "record" ? [row.key.text] : []));
  }

  const losses: readonly (readonly [string, () => void, boolean?])[] = [
    ["one flipped bit in the middle of the log", () => flip("gyre.db-wal", logAt(0.5)), true],
    ["a log that was cut off", () => truncateSync(file("gyre.db-wal"), logAt(0.5))],
    ["a log whose header is torn", () => flip("gyre.db-wal", 20)],
    ["a log that is gone", () => rmSync(file("gyre.db-wal"))],
  ];
  for (const [how, lose, damaged = false] of losses) {
    test(`by ${how}, goes on in doubt and under a new actor`, () => {
      const actor = killed();
      lose();
      const left = damaged ? readFileSync(file("gyre.db-wal")) : Buffer.alloc(0);
      const directory = open();
      expect(directory.forgotten).toBe(true);
      expect(events(directory)).toEqual(["error database-lost-commits"]);
      expect(directory.disk.getMeta(IN_DOUBT_META)).toEqual(new Uint8Array([1]));
      // A log that hides commits is kept as evidence.
      if (damaged) expect(readFileSync(file("gyre.db.damaged-1-wal"))).toEqual(left);
      const bench = storeOver(hasher, directory.disk);
      expect(bench.store.actorId).not.toBe(actor);
      // Any of them may be from before a delete that was reaped since: none is served before the others were asked.
      expect([bench.store.usage().rows, bench.store.isRestoring]).toEqual([0, true]);
      expect(restored(bench)).toContain("k");
      expect(restored(bench).length).toBeLessThan(COMMITS + 1);
      bench.store.close();
      directory.close();
      const again = open();
      expect(again.forgotten).toBe(false);
      expect(events(again)).toEqual([]);
      again.close();
    });
  }

  test("by the end of its log is doubted even if that commit wrote no row: a promise", () => {
    const directory = open();
    const bench = storeOver(hasher, directory.disk);
    bench.write("k", "v");
    bench.clock.endTurn();
    const { size } = statSync(file("gyre.db-wal"));
    bench.store.meta.set("promise", new Uint8Array([7]));
    const copy = join(temporary.path, "killed");
    mkdirSync(copy);
    for (const name of readdirSync(path)) {
      if (name !== "lock") copyFileSync(file(name), join(copy, name));
    }
    bench.store.close();
    directory.close();
    path = copy;
    expect(statSync(file("gyre.db-wal")).size).toBeGreaterThan(size);
    truncateSync(file("gyre.db-wal"), size);
    const after = open();
    expect(after.disk.getMeta("promise")).toBeUndefined();
    expect(events(after)).toEqual(["error database-lost-commits"]);
    expect(after.forgotten).toBe(true);
    after.close();
    const again = open();
    expect(events(again)).toEqual([]);
    again.close();
  });

  test("is still doubted when taking it over was cut short", () => {
    const actor = killed();
    sayOfDatabase("doubtful");
    const directory = open();
    expect(directory.forgotten).toBe(true);
    const bench = storeOver(hasher, directory.disk);
    expect(bench.store.actorId).not.toBe(actor);
    expect(restored(bench).length).toBe(COMMITS + 1);
    bench.store.close();
    directory.close();
  });

  test("is still doubted after a crash in the middle of it, though the log looks whole by then", () => {
    killed();
    flip("gyre.db-wal", logAt(0.5));
    rmSync(file("high-water"));
    expect(() => openTestDirectory(failingAtMeta(), path)).toThrow("the process dies here");
    rmSync(file("high-water"));
    const directory = open();
    expect(directory.forgotten).toBe(true);
    directory.close();
  });

  /** A driver whose connections cannot store a small value. */
  function failingAtMeta(): SqliteDriver {
    return {
      name: driver.name,
      open: (name) => {
        const database = driver.open(name);
        return {
          exec: (sql) => database.exec(sql),
          backupTo: (file) => database.backupTo(file),
          close: () => database.close(),
          prepare: (sql) => {
            const statement = database.prepare(sql);
            if (!sql.startsWith("INSERT OR REPLACE INTO meta")) return statement;
            const run = (): never => {
              throw new SqliteError("io", "the process dies here");
            };
            return { run, get: run, all: run };
          },
        };
      },
    };
  }

  test("is moved aside if its structure is broken as well", () => {
    used((bench) => {
      for (let i = 0; i < 400; i++) bench.write(`k${i}`, "v".repeat(200));
      bench.clock.endTurn();
    });
    sayOfDatabase("doubtful");
    const bytes = readFileSync(file("gyre.db"));
    bytes.fill(0x55, 4096 * 10, 4096 * 11);
    writeFileSync(file("gyre.db"), bytes);
    const directory = open();
    expect(directory.forgotten).toBe(true);
    expect(directory.logger.lines[0]?.fields["reason"]).toBe("its structure is broken");
    expect(directory.disk.usage().rows).toBe(0);
    directory.close();
  });
});

describe("the identity", () => {
  const CLUSTER = parseClusterId("c".repeat(32));

  for (const [how, damage] of [
    ["emptied", () => writeFileSync(file("identity.json"), "")],
    ["missing", () => rmSync(file("identity.json"))],
    ["damaged", () => writeFileSync(file("identity.json"), "{}")],
  ] as const) {
    test(`${how}, is made again from its copy, and no boot counter is used twice`, () => {
      const before = used((_bench, directory) => directory.setClusterId(CLUSTER));
      damage();
      const after = open();
      expect(after.nodeId).toBe(before.nodeId);
      expect(after.clusterId).toBe(CLUSTER);
      expect(after.forgotten).toBe(false);
      expect(after.incarnation).toBeGreaterThan(before.incarnation + 1);
      expect(events(after)).toContain("warn identity-repaired");
      expect(readFileSync(file("identity.json"))).toEqual(readFileSync(file("identity.copy.json")));
      after.close();
      expect(events(open())).toEqual([]);
    });
  }

  test("whose copy is damaged goes on, and makes the copy again", () => {
    const before = used();
    writeFileSync(file("identity.copy.json"), "");
    const after = open();
    expect(after.incarnation).toBe(before.incarnation + 1);
    expect(readFileSync(file("identity.json"))).toEqual(readFileSync(file("identity.copy.json")));
    after.close();
  });

  test("that was put back from long ago does not take the node back", () => {
    used();
    const old = readFileSync(file("identity.json"));
    const newer = open();
    newer.close();
    writeFileSync(file("identity.json"), old);
    const after = open();
    expect(after.incarnation).toBe(newer.incarnation + 1);
    after.close();
  });
});

describe("a directory that cannot be used is named, with the reason and what to do", () => {
  test("a file in its place", () => {
    mkdirSync(join(temporary.path, "deep"));
    writeFileSync(path, "");
    expectRefusal(`Cannot make data directory ${path}: `);
  });

  test("a directory where the lock should be", () => {
    mkdirSync(file("lock"), { recursive: true });
    expectRefusal(`Cannot lock data directory ${path}: `, "readable and writable");
  });

  test("an identity that is no JSON, of another version, or short of a field", () => {
    const whole = used();
    const fields = {
      version: 1,
      nodeId: whole.nodeId,
      createdAtMs: 1,
      boots: 1,
      database: "ready",
    };
    rmSync(file("identity.copy.json"));
    for (const text of [
      "",
      "{",
      "null",
      JSON.stringify({ ...fields, version: 2 }),
      JSON.stringify({ ...fields, nodeId: "x" }),
      JSON.stringify({ ...fields, clusterId: 7 }),
      JSON.stringify({ ...fields, boots: -1 }),
      JSON.stringify({ ...fields, database: "perhaps" }),
      "\xff\xfe",
    ]) {
      writeFileSync(file("identity.json"), Buffer.from(text, "latin1"));
      expectRefusal(`Cannot understand ${file("identity.json")}: `, "Restore it from a backup");
    }
    const check = crc32(Buffer.from(JSON.stringify([whole.nodeId, null, 1, 1, "ready"])));
    const sound = { ...fields, check: check.toString(16).padStart(8, "0") };
    writeFileSync(file("identity.json"), JSON.stringify(sound));
    open().close();
  });

  test("an identity of which one digit is another, and whose copy is no better", () => {
    used();
    for (const name of ["identity.json", "identity.copy.json"]) {
      const text = readFileSync(file(name), "utf8");
      const digit = /"nodeId": "(.)/.exec(text)?.[1] === "0" ? "1" : "0";
      writeFileSync(file(name), text.replace(/"nodeId": "./, `"nodeId": "${digit}`));
    }
    expectRefusal("the check does not match", "Restore it from a backup");
  });

  test("an identity that cannot be read", () => {
    used();
    rmSync(file("identity.json"));
    mkdirSync(file("identity.json"));
    expectRefusal(`Cannot read ${file("identity.json")}: `, "Make it readable");
  });

  test("a database without an identity", () => {
    used();
    rmSync(file("identity.json"));
    rmSync(file("identity.copy.json"));
    expectRefusal("it has a database but no identity.json");
    expect(existsSync(file("gyre.db"))).toBe(true);
  });

  test("a database of a newer format, which is whole and stays where it is", () => {
    used();
    const database = driver.open(file("gyre.db"));
    database.exec("PRAGMA user_version=99");
    database.close();
    expectRefusal("Cannot open a database of format 99", "Start a newer Gyre");
    expect(readdirSync(path).filter((name) => name.includes("damaged"))).toEqual([]);
  });

  /** And is not left locked. */
  function expectRefusal(...texts: readonly string[]): void {
    let message = "";
    try {
      open();
    } catch (error) {
      expect(error).toBeInstanceOf(DataDirectoryError);
      message = String(error);
    }
    for (const text of texts) expect(message).toContain(text);
    expect(existsSync(file("lock")) && statSync(file("lock")).isFile()).toBe(false);
  }
});
