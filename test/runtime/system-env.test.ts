import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { assertNodeVersion } from "../../runtimes/shared/sqlite-better.ts";
import { toSqliteError } from "../../runtimes/shared/sqlite-errors.ts";
import { systemClock } from "../../runtimes/shared/system-clock.ts";
import { systemCrypto } from "../../runtimes/shared/system-crypto.ts";
import { createSystemFiles } from "../../runtimes/shared/system-files.ts";
import { createSystemHasher } from "../../runtimes/shared/system-hasher.ts";
import { createSystemLogger } from "../../runtimes/shared/system-logger.ts";
import { createSystemRandom } from "../../runtimes/shared/system-random.ts";
import { utf8Encode } from "../../src/core/bytes.ts";
import { LockedError } from "../../src/env/files.ts";
import { SqliteError } from "../../src/env/sqlite.ts";
import { startChild } from "../support/child.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  sqliteDrivers,
  systemDriver,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../support/sqlite-drivers.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

describe("the system's clock", () => {
  test("never runs a timer before its time, also when it is set late in a long turn", async () => {
    const start = performance.now();
    while (performance.now() - start < 30);
    const setAt = systemClock.monotonicMs();
    await new Promise<void>((resolve) => systemClock.after(20.4, resolve));
    expect(systemClock.monotonicMs() - setAt).toBeGreaterThanOrEqual(20.4);
  });

  test("does not run a timer that was cancelled, nor one far away", async () => {
    let ran = 0;
    systemClock.after(1, () => ran++).cancel();
    const far = systemClock.after(2 ** 40, () => ran++);
    await new Promise<void>((resolve) => systemClock.after(10, resolve));
    expect(ran).toBe(0);
    far.cancel();
  });

  test("ends a turn after the promises of the turn", async () => {
    const order: string[] = [];
    await new Promise<void>((resolve) => {
      systemClock.endOfTurn(() => {
        order.push("end");
        resolve();
      });
      void Promise.resolve()
        .then(() => Promise.resolve())
        .then(() => order.push("promise"));
    });
    expect(order).toEqual(["promise", "end"]);
  });
});

describe("the system's chance", () => {
  test("gives bytes of any count that do not come again", () => {
    const random = createSystemRandom();
    for (const count of [0, 1, 16, 1024, 1025, 70_000])
      expect(random.bytes(count).length).toBe(count);
    const seen = new Set(Array.from({ length: 2000 }, () => hex(random.bytes(16))));
    expect(seen.size).toBe(2000);
    // Not a view of the pool: what was given does not change.
    const first = random.bytes(16);
    const copy = first.slice();
    for (let i = 0; i < 1000; i++) random.bytes(16);
    expect(first).toEqual(copy);
    expect(first.buffer.byteLength).toBe(16);
  });

  test("fills large requests to their end", () => {
    const bytes = createSystemRandom().bytes(200_000);
    for (let at = 0; at < bytes.length; at += 50_000) {
      expect(new Set(bytes.subarray(at, at + 1000)).size).toBeGreaterThan(100);
    }
  });

  test("draws evenly below a limit and refuses one that is none", () => {
    const random = createSystemRandom();
    const counts = [0, 0, 0];
    for (let i = 0; i < 30_000; i++) counts[random.below(3)] = (counts[random.below(3)] ?? 0) + 1;
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(1000);
    expect(random.below(1)).toBe(0);
    expect(random.below(2 ** 32)).toBeLessThan(2 ** 32);
    for (const limit of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN])
      expect(() => random.below(limit)).toThrow(RangeError);
  });
});

describe("the system's crypto gives the published answers", () => {
  test("SHA-256 (FIPS 180-4)", () => {
    expect(hex(systemCrypto.sha256(utf8Encode("abc")))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
  });

  test("HMAC (RFC 4231, case 2), in one part or several", () => {
    const wanted = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    const key = utf8Encode("Jefe");
    expect(hex(systemCrypto.hmacSha256(key, utf8Encode("what do ya want for nothing?")))).toBe(
      wanted,
    );
    expect(
      hex(systemCrypto.hmacSha256(key, utf8Encode("what do ya "), utf8Encode("want for nothing?"))),
    ).toBe(wanted);
  });

  test("HKDF (RFC 5869, case 1)", () => {
    const salt = Uint8Array.from({ length: 13 }, (_, i) => i);
    const info = String.fromCharCode(...Array.from({ length: 10 }, (_, i) => 0x70 + i));
    const derived = systemCrypto.hkdfSha256(new Uint8Array(22).fill(0x0b), salt, info, 42);
    expect(derived.length).toBe(42);
    expect(derived).toEqual(systemCrypto.hkdfSha256(new Uint8Array(22).fill(0x0b), salt, info, 42));
    // RFC 5869 A.1 has an info that is no text; its extract step is the same.
    const extracted = systemCrypto.hmacSha256(salt, new Uint8Array(22).fill(0x0b));
    expect(hex(extracted)).toBe("077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5");
    const block = systemCrypto.hmacSha256(extracted, utf8Encode(info), new Uint8Array([1]));
    expect(derived.subarray(0, 32)).toEqual(block);
  });

  test("comparison, also of different lengths", () => {
    expect(systemCrypto.equal(utf8Encode("ab"), utf8Encode("ab"))).toBe(true);
    expect(systemCrypto.equal(utf8Encode("ab"), utf8Encode("ac"))).toBe(false);
    expect(systemCrypto.equal(utf8Encode("ab"), utf8Encode("abc"))).toBe(false);
  });

  test("plain arrays, whose slices are copies", () => {
    for (const bytes of [
      systemCrypto.sha256(new Uint8Array(0)),
      systemCrypto.hmacSha256(new Uint8Array(1)),
    ]) {
      expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
    }
  });
});

test("the system's hash is xxHash64 with seed 0, call after call", async () => {
  const hasher = await createSystemHasher();
  for (let i = 0; i < 2; i++) {
    expect(hasher.hash64(new Uint8Array(0))).toEqual({ hi: 0xef46db37, lo: 0x51d8e999 });
    expect(hasher.hash64(utf8Encode("abc"))).toEqual({ hi: 0x44bc2cf5, lo: 0xad770999 });
  }
});

test("the system's hashes of all lengths are those of the other runtimes, also of a part of a larger array", async () => {
  const hasher = await createSystemHasher();
  const reference = await createTestHasher();
  const whole = Uint8Array.from({ length: 1_100 }, (_, i) => (i * 31) & 255);
  for (let length = 0; length <= 1_100; length += length < 70 ? 1 : 103) {
    for (const bytes of [whole.slice(0, length), whole.subarray(0, length)]) {
      expect(hasher.hash64(bytes)).toEqual(reference.hash64(bytes));
      expect(hasher.hash128(bytes)).toEqual(reference.hash128(bytes));
    }
    const part = whole.subarray(1_100 - length);
    expect(hasher.hash64(part)).toEqual(reference.hash64(part));
  }
});

describe("the system's files", () => {
  let directory: TemporaryDirectory;
  beforeEach(() => {
    directory = temporaryDirectory();
  });
  afterEach(() => directory.remove());

  test("are written whole, for their owner, and leave no other file", async () => {
    const files = createSystemFiles(await systemDriver());
    const path = join(directory.path, "f");
    expect(files.read(path)).toBeUndefined();
    expect(files.sizeBytes(path)).toBeUndefined();
    files.write(path, utf8Encode("one"));
    files.write(path, utf8Encode("three"));
    expect(readFileSync(path, "utf8")).toBe("three");
    expect(files.read(path)).toEqual(utf8Encode("three"));
    expect(files.sizeBytes(path)).toBe(5);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    files.rename(path, `${path}2`);
    expect(readdirSync(directory.path)).toEqual(["f2"]);
    files.remove(`${path}2`);
    files.remove(`${path}2`);
    expect(files.exists(`${path}2`)).toBe(false);
  });

  test("are locked with every driver of this runtime, and free again after release", async () => {
    const path = join(directory.path, "lock");
    for (const driver of await sqliteDrivers()) {
      const files = createSystemFiles(driver);
      for (let i = 0; i < 2; i++) {
        const lock = files.lock(path);
        expect(() => files.lock(path)).toThrow(LockedError);
        lock.release();
        expect(files.exists(path)).toBe(false);
      }
    }
  });

  test("that are no lock are not taken for one", async () => {
    const path = join(directory.path, "lock");
    writeFileSync(
      path,
      "these are not the bytes of a database, and there are more of them than a header has".repeat(
        9,
      ),
    );
    const files = createSystemFiles(await systemDriver());
    expect(() => files.lock(path)).toThrow("not a database");
  });

  test.skipIf(process.getuid?.() === 0)("that may not be read say why", async () => {
    const path = join(directory.path, "f");
    writeFileSync(path, "x");
    chmodSync(path, 0);
    const files = createSystemFiles(await systemDriver());
    expect(() => files.read(path)).toThrow("EACCES");
  });
});

describe("the log", () => {
  test("is one JSON object a line, from its level up", () => {
    const lines: string[] = [];
    const logger = createSystemLogger("info", (line) => lines.push(line));
    logger.debug("left-out");
    logger.info("node-ready", { port: 7070, note: 'a "quoted"\nline {port}' });
    logger.error("disk-full");
    const parsed = lines.map((line) => JSON.parse(line));
    expect(lines.join("")).not.toContain("\n");
    expect(parsed).toMatchObject([
      { level: "info", event: "node-ready", port: 7070, note: 'a "quoted"\nline {port}' },
      { level: "error", event: "disk-full" },
    ]);
    expect(Number.isNaN(Date.parse(parsed[0].time))).toBe(false);
  });

  test("can be silent", () => {
    const lines: string[] = [];
    createSystemLogger("silent", (line) => lines.push(line)).error("x");
    expect(lines).toEqual([]);
  });
});

describe("errors of SQLite", () => {
  test("have one name on every driver", async () => {
    const directory = temporaryDirectory();
    for (const driver of await sqliteDrivers()) {
      const junk = join(directory.path, "junk.db");
      writeFileSync(junk, "junk".repeat(2000));
      expect(kindOf(() => driver.open(junk).exec("SELECT * FROM sqlite_schema"))).toBe(
        "not-a-database",
      );
      const database = driver.open(join(directory.path, `${driver.name.slice(0, 4)}.db`));
      database.exec("PRAGMA max_page_count=3; CREATE TABLE t(a)");
      expect(kindOf(() => database.prepare("INSERT INTO t VALUES (zeroblob(100000))").run())).toBe(
        "full",
      );
      expect(kindOf(() => database.exec("SELECT nothing FROM nowhere"))).toBe("other");
      expect(kindOf(() => database.prepare("SELEC"))).toBe("other");
      database.close();
      expect(
        kindOf(() => driver.open(join(directory.path, "no", "such", "directory")).exec("SELECT 1")),
      ).toBe("other");
    }
    directory.remove();
  });

  test("are told by name, number or text", () => {
    const kinds = [
      { code: "SQLITE_IOERR_FSYNC" },
      { code: "SQLITE_IOERR_SHORT_READ" },
      { code: "ERR_SQLITE_ERROR", errcode: 522 },
      { code: "SQLITE_CORRUPT_VTAB" },
      { code: "ERR_SQLITE_ERROR", errcode: 5 | (2 << 8) },
      { code: "ERR_SQLITE_ERROR", errcode: 13 },
      { message: "database disk image is malformed" },
      { message: "disk I/O error" },
      { message: "anything" },
    ].map((fields) => toSqliteError(Object.assign(new Error(), fields)).kind);
    // A file that was cut off is damage: were it a failing disk, the node would end at every start.
    expect(kinds).toEqual([
      "io",
      "corrupt",
      "corrupt",
      "corrupt",
      "busy",
      "full",
      "corrupt",
      "io",
      "other",
    ]);
    const ours = new SqliteError("io", "x");
    expect(toSqliteError(ours)).toBe(ours);
  });

  function kindOf(act: () => void): string {
    try {
      act();
    } catch (error) {
      return error instanceof SqliteError ? error.kind : `not ours: ${String(error)}`;
    }
    return "nothing thrown";
  }
});

test("a fail-stop ends the process at once, with its reason on stderr", async () => {
  const child = startChild(join(import.meta.dirname, "fail-stop-child.ts"), []);
  expect(await child.line()).toBe("before");
  expect(await child.ended).toBe("SIGKILL");
  expect(child.unread).toEqual([]);
});

test("an old Node is told what it needs before its addon crashes it", () => {
  for (const version of ["18.19.0", "20.20.2", "22.12.0"]) {
    expect(() => assertNodeVersion(version)).toThrow(
      `Cannot start on Node ${version}: Gyre needs Node 22.13 or newer`,
    );
  }
  for (const version of ["22.13.0", "24.0.0", "26.1.0"]) {
    expect(() => assertNodeVersion(version)).not.toThrow();
  }
});
