import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { join } from "node:path";
import { DataDirectoryError } from "../../src/storage/data-directory-error.ts";
import { type Child, startChild } from "../support/child.ts";
import { openTestDirectory } from "../support/data-directories.ts";
import { createTestHasher } from "../support/hasher.ts";
import {
  systemDriver,
  type TemporaryDirectory,
  temporaryDirectory,
} from "../support/sqlite-drivers.ts";
import { storeOver } from "../support/store-bench.ts";

// Starts processes, on a machine that is busy with other tests.
setDefaultTimeout(60_000);

const SCRIPT = join(import.meta.dirname, "writer-child.ts");
const ROUNDS = 5;
const TURNS_BEFORE_KILL = 20;

const driver = await systemDriver();
const hasher = await createTestHasher();
let directory: TemporaryDirectory;
let child: Child | null = null;

beforeEach(() => {
  directory = temporaryDirectory();
});
afterEach(async () => {
  child?.process.kill("SIGKILL");
  await child?.ended;
  child = null;
  directory.remove();
});

test("kill -9 in the middle of writing loses nothing that was durable, time after time", async () => {
  let next = 0;
  for (let round = 0; round < ROUNDS; round++) {
    child = startChild(SCRIPT, [directory.path, "write", String(next)]);
    let acknowledged = -1;
    for (let i = 0; i < TURNS_BEFORE_KILL; i++) acknowledged = Number(await child.line());
    child.process.kill("SIGKILL");
    expect(await child.ended).toBe("SIGKILL");
    acknowledged = Number(child.unread.at(-1) ?? acknowledged);

    const opened = openTestDirectory(driver, directory.path);
    expect(opened.forgotten).toBe(false);
    const bench = storeOver(hasher, opened.disk);
    expect(bench.store.usage().rows).toBe(64);
    // A turn is all or nothing: every key is of the same one, the last that was told or the one after it.
    const found = new Set(Array.from({ length: 64 }, (_, i) => String(bench.values(`key-${i}`))));
    expect(found.size).toBe(1);
    const turn = Number([...found][0]?.slice("turn ".length));
    expect(turn).toBeGreaterThanOrEqual(acknowledged);
    expect(turn).toBeLessThanOrEqual(acknowledged + 1);
    bench.store.close();
    opened.close();
    next = turn + 1;
  }
});

test("a second process is refused, until the first is gone however it went", async () => {
  child = startChild(SCRIPT, [directory.path, "hold"]);
  expect(await child.line()).toBe("open");
  expect(() => openTestDirectory(driver, directory.path)).toThrow(DataDirectoryError);
  expect(() => openTestDirectory(driver, directory.path)).toThrow("another process is using it");
  child.process.kill("SIGKILL");
  await child.ended;
  openTestDirectory(driver, directory.path).close();
});
