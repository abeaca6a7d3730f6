import { beforeEach, describe, expect, test } from "bun:test";
import { utf8Encode } from "../../src/core/bytes.ts";
import type { Disk } from "../../src/env/disk.ts";
import type { Worker } from "../../src/env/worker.ts";
import { newAntiEntropyFigures } from "../../src/replication/anti-entropy-figures.ts";
import type { Replication } from "../../src/replication/context.ts";
import { scrubWorker } from "../../src/replication/scrub.ts";
import { noteUnreadable } from "../../src/replication/tree-ranges.ts";
import { treeWorker } from "../../src/replication/tree-worker.ts";
import { RowDigester } from "../../src/storage/row-digest.ts";
import { Trees } from "../../src/storage/trees.ts";
import { SimDisk } from "../simulation/sim-disk.ts";
import { createTestHasher } from "../support/hasher.ts";
import { type StoreBench, storeOver } from "../support/store-bench.ts";

const hasher = await createTestHasher();
const WEEK_MS = 7 * 24 * 3_600_000;

let disk: SimDisk;
let bench: StoreBench;
let noted: string[];
let trees: Trees;
let figures: ReturnType<typeof newAntiEntropyFigures>;
let builder: Worker;
let scrub: Worker;

/** A process that starts on the disk as it is. */
function start(handle: Disk = disk.open()): void {
  bench = storeOver(hasher, handle);
  noted = [];
  const r = {
    store: bench.store,
    env: { clock: bench.clock, hasher, logger: bench.logger },
    doubt: { noteUnreadable: (key: { text: string }) => noted.push(key.text) },
  } as unknown as Replication;
  trees = new Trees({
    store: bench.store,
    digester: new RowDigester(hasher, new Uint8Array(32).fill(3)),
    world: () => ({ version: 1, partitions: 16, policyOf: () => "default", namespaces: () => [1] }),
    onUnreadable: ({ namespace, keyBytes }) => noteUnreadable(r, { namespace, bytes: keyBytes }),
  });
  figures = newAntiEntropyFigures();
  builder = treeWorker(r.env, trees);
  scrub = scrubWorker({ r, trees, figures, namespaces: () => [1] });
}

beforeEach(() => {
  disk = new SimDisk();
  start();
});

/** Both workers, one step after the other, with turns that end, for so many rounds. */
async function run(rounds = 30): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await builder.step();
    await scrub.step();
    bench.clock.endTurn();
  }
}

function fill(keys: number): void {
  for (let i = 0; i < keys; i++) bench.write(`k${i}`, `value ${i}`);
  bench.clock.endTurn();
}

/** Bits of the value rot, and nothing else. */
function rotValue(key: string): void {
  disk.crash();
  const handle = disk.open();
  const row = handle.get(1, utf8Encode(key));
  if (row === undefined) throw new Error(`no row ${key}`);
  handle.begin();
  handle.put({ ...row, body: row.body.map((byte) => byte ^ 1) });
  handle.commit();
  disk.crash();
}

describe("the scrub", () => {
  test("begins a week after the first start, and a week after the last one ended", async () => {
    fill(100);
    await run();
    expect(figures.scrubs).toBe(0);
    bench.clock.nowMs += WEEK_MS - 1;
    await run();
    expect(figures.scrubs).toBe(0);
    bench.clock.nowMs += 1;
    await run();
    expect(figures.scrubs).toBe(1);
    await run();
    expect(figures.scrubs).toBe(1);
    expect(trees.mismatches).toBe(0);
    const { nowMs } = bench.clock;
    disk.crash();
    start();
    bench.clock.nowMs = nowMs + WEEK_MS;
    await run();
    expect(figures.scrubs).toBe(1);
  });

  test("begins its week anew when the clock was in the future", async () => {
    bench.clock.nowMs = 10 * WEEK_MS;
    await run();
    bench.clock.nowMs = WEEK_MS;
    await run();
    bench.clock.nowMs = 2 * WEEK_MS - 1;
    await run();
    expect(figures.scrubs).toBe(0);
    bench.clock.nowMs = 2 * WEEK_MS;
    await run();
    expect(figures.scrubs).toBe(1);
  });

  test("finds a value that rots under a sound head, which no tree shows", async () => {
    fill(100);
    await run();
    rotValue("k42");
    start();
    await run();
    expect(noted).toEqual([]);
    bench.clock.nowMs += WEEK_MS;
    await run();
    expect(noted).toEqual(["k42"]);
    expect(figures).toMatchObject({ scrubs: 1, rowsUnreadable: 1, rowsHealed: 0 });
    expect(trees.mismatches).toBe(0);
  });

  test("writes anew from memory what the disk has lost under a cached row", async () => {
    fill(100);
    await run();
    disk.forget(1, utf8Encode("k7"));
    bench.clock.nowMs += WEEK_MS;
    await run();
    expect(figures).toMatchObject({ scrubs: 1, rowsUnreadable: 0, rowsHealed: 1 });
    expect(noted).toEqual([]);
    expect(trees.mismatches).toBe(0);
    disk.crash();
    start();
    expect(bench.values("k7")).toEqual(["value 7"]);
  });

  test("goes on later when the disk is full, without a word and without an end that it has not come to", async () => {
    fill(100);
    await run();
    bench.clock.nowMs += WEEK_MS;
    disk.full = true;
    await run();
    expect(figures.scrubs).toBe(0);
    expect(bench.logger.lines.filter((line) => line.event === "scrub-ended")).toEqual([]);
    disk.full = false;
    await run();
    expect(figures.scrubs).toBe(1);
  });

  test("notes a row that a scan meets and no key finds: its key has rotten", async () => {
    fill(10);
    disk.crash();
    const handle = disk.open();
    start({
      ...handle,
      scan: (range) => {
        const rows = handle.scan(range);
        const [first] = rows;
        // Its checksum is of another key.
        return first === undefined ? [] : [...rows, { ...first, key: utf8Encode("zz") }];
      },
    });
    await run();
    bench.clock.nowMs += WEEK_MS;
    await run();
    expect(figures).toMatchObject({ scrubs: 1, rowsUnreadable: 1 });
    expect(noted).toContain("zz");
  });

  test("says so when a tree is not as its rows are", async () => {
    fill(100);
    await run();
    trees.changed(bench.key("never"), null, { w0: 1, w1: 1, w2: 1, w3: 1 });
    bench.clock.nowMs += WEEK_MS;
    await run();
    expect(trees.mismatches).toBe(1);
    expect(bench.logger.lines.find((line) => line.event === "tree-mismatch")?.fields).toEqual({
      units: 1,
    });
  });

  test("goes on while rows are written, and a restart half-way begins it again", async () => {
    fill(200);
    await run();
    bench.clock.nowMs += WEEK_MS;
    const { nowMs } = bench.clock;
    await run(3);
    disk.crash();
    start();
    bench.clock.nowMs = nowMs;
    for (let i = 0; i < 40; i++) {
      bench.write(`k${i * 5}`, "newer");
      await run(1);
    }
    expect(figures.scrubs).toBe(1);
    expect(trees.mismatches).toBe(0);
  });
});

test("a page that cannot be read stops neither the node nor the log", async () => {
  const { SqliteError } = await import("../../src/env/sqlite.ts");
  fill(10);
  disk.crash();
  const handle = disk.open();
  let broken = true;
  bench = storeOver(hasher, {
    ...handle,
    scan: (range) => {
      if (broken) throw new SqliteError("corrupt", "page 7");
      return handle.scan(range);
    },
  });
  trees = new Trees({
    store: bench.store,
    digester: new RowDigester(hasher, new Uint8Array(32).fill(3)),
    world: () => ({ version: 1, partitions: 16, policyOf: () => "default", namespaces: () => [1] }),
    onUnreadable: () => undefined,
  });
  builder = treeWorker(
    { clock: bench.clock, logger: bench.logger } as unknown as Replication["env"],
    trees,
  );
  expect(await builder.step()).toBe(60_000);
  expect(await builder.step()).toBe(60_000);
  expect(bench.logger.lines.filter((line) => line.event === "tree-scan-failed").length).toBe(1);
  expect(trees.state).toBe("building");
  broken = false;
  for (let i = 0; i < 5; i++) await builder.step();
  expect(trees.state).toBe("built");
});
