import { beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { EPOCH_LEASE } from "../../src/core/limits.ts";
import { type Disk, DiskFullError, type DiskRow } from "../../src/env/disk.ts";
import { SqliteError } from "../../src/env/sqlite.ts";
import { SimDisk, type SimDiskHandle } from "../simulation/sim-disk.ts";
import { createTestHasher } from "../support/hasher.ts";
import { FailStop, recordOf, type StoreBench, storeOver } from "../support/store-bench.ts";

const hasher = await createTestHasher();
let disk: SimDisk;
let bench: StoreBench;

beforeEach(() => {
  disk = new SimDisk();
  bench = storeOver(hasher, disk.open());
});

function restart(): void {
  disk.crash();
  bench = storeOver(hasher, disk.open());
}

/** The disk with some of its methods replaced. */
function altered(inner: SimDiskHandle, changes: Partial<Disk>): Disk {
  return { ...inner, ...changes };
}

describe("group commit", () => {
  test("a write is seen at once and durable when the turn ends", async () => {
    const sequence = bench.write("k", "v");
    expect(bench.values("k")).toEqual(["v"]);
    expect(bench.store.isDurable(sequence)).toBe(false);
    let told = false;
    const waiting = bench.store.whenDurable(sequence).then(() => {
      told = true;
    });
    await Promise.resolve();
    expect(told).toBe(false);
    bench.clock.endTurn();
    await waiting;
    expect(bench.store.isDurable(sequence)).toBe(true);
  });

  test("the writes of one turn share one commit and one promise", () => {
    const before = disk.commits;
    const sequences = ["a", "b", "c"].map((key) => bench.write(key, "v"));
    expect(sequences).toEqual([1, 2, 3]);
    const promises = new Set(sequences.map((sequence) => bench.store.whenDurable(sequence)));
    expect(promises.size).toBe(1);
    bench.clock.endTurn();
    expect(disk.commits).toBe(before + 1);
    expect(bench.store.counters.rowsWritten).toBe(3);
  });

  test("a turn without writes commits nothing", () => {
    const before = disk.commits;
    bench.values("k");
    expect(bench.clock.endTurn()).toBe(0);
    expect(disk.commits).toBe(before);
  });

  test("a crash before the end of the turn takes all of it", () => {
    bench.write("k", "old");
    bench.clock.endTurn();
    bench.write("k", "new");
    bench.write("l", "new");
    restart();
    expect(bench.values("k")).toEqual(["old"]);
    expect(bench.values("l")).toBe("absent");
    expect(bench.store.usage().rows).toBe(1);
  });

  test("a turn that grows too long is committed early, by records or by bytes", () => {
    restartWith({ maxTurnRecords: 3 });
    const first = ["a", "b", "c"].map((key) => bench.write(key, "v"));
    expect(first.every((sequence) => bench.store.isDurable(sequence))).toBe(true);
    const fourth = bench.write("d", "v");
    expect(bench.store.isDurable(fourth)).toBe(false);
    bench.clock.endTurn();
    expect(bench.store.isDurable(fourth)).toBe(true);
    restartWith({ maxTurnBytes: 1000 });
    const large = bench.write("e", "v".repeat(1000));
    expect(bench.store.isDurable(large)).toBe(true);
  });

  test("who waits for a read's sequence waits for the commit it rests on", async () => {
    bench.write("k", "v");
    const found = bench.store.read(bench.key("k"));
    expect(bench.store.isDurable(found.sequence)).toBe(false);
    const scanned = bench.store.scan(all());
    expect(bench.store.isDurable(scanned.sequence)).toBe(false);
    bench.clock.endTurn();
    await bench.store.whenDurable(found.sequence);
    expect(bench.store.isDurable(scanned.sequence)).toBe(true);
  });

  test("absence is durable: no row is deleted in an open turn", () => {
    bench.write("k", "v");
    expect(bench.store.isDurable(bench.store.read(bench.key("absent")).sequence)).toBe(true);
  });

  test("close commits the open turn", () => {
    bench.write("k", "v");
    bench.store.close();
    bench.store.close();
    bench.clock.endTurn();
    bench = storeOver(hasher, disk.open());
    expect(bench.values("k")).toEqual(["v"]);
  });

  test("upkeep waits until the answers of the commit have left", () => {
    const events: string[] = [];
    const handle = reopened();
    const inner = altered(handle, {
      commit: () => {
        handle.commit();
        events.push("commit");
      },
      maintain: () => void events.push("maintain"),
    });
    Object.defineProperty(inner, "maintenanceDue", { get: () => events.at(-1) === "commit" });
    bench = storeOver(hasher, inner);
    events.length = 0;
    bench.write("k", "v");
    bench.clock.endTurn();
    expect(events).toEqual(["commit"]);
    bench.write("l", "v");
    bench.clock.endTurn();
    expect(events).toEqual(["commit", "commit", "maintain"]);
  });

  test("upkeep does not wait for the end of a turn of many commits", () => {
    let moves = 0;
    const inner = altered(reopened(), { maintenanceDue: true, maintain: () => void moves++ });
    bench = storeOver(hasher, inner, { maxTurnRecords: 2 });
    for (let i = 0; i < 6; i++) bench.write(`k${i}`, "v");
    expect(moves).toBe(3);
  });

  test("a slow commit is told, so that deadlines of others can be shifted", () => {
    const stalls: number[] = [];
    const inner = reopened();
    const slow = altered(inner, {
      commit: () => {
        inner.commit();
        bench.clock.nowMs += 300;
      },
    });
    bench = storeOver(hasher, slow, { onSlowCommit: (ms) => stalls.push(ms) });
    bench.write("k", "v");
    bench.clock.endTurn();
    expect(stalls).toEqual([300]);
  });
});

describe("a full disk", () => {
  test("takes back the whole turn, in the cache too, and tells all who wait", async () => {
    bench.write("k", "old");
    bench.clock.endTurn();
    const sequences = [bench.write("k", "new"), bench.write("l", "new")];
    expect(bench.values("k")).toEqual(["new"]);
    const waiting = sequences.map((sequence) => outcome(bench.store.whenDurable(sequence)));
    disk.fullCommits = 1;
    bench.clock.endTurn();
    expect(await Promise.all(waiting)).toEqual(["DiskFullError", "DiskFullError"]);
    expect(bench.values("k")).toEqual(["old"]);
    expect(bench.values("l")).toBe("absent");
    expect(bench.store.usage().rows).toBe(1);
  });

  test("leaves a last sequence that is durable: who waits for it is not refused until the next write", async () => {
    const kept = bench.write("k", "old");
    bench.clock.endTurn();
    const lost = bench.write("k", "new");
    expect(bench.store.lastSequence()).toBe(lost);
    disk.fullCommits = 1;
    bench.clock.endTurn();
    expect(bench.store.lastSequence()).toBe(kept);
    expect(await outcome(bench.store.whenDurable(bench.store.lastSequence()))).toBe("done");
    // A commit without rows makes nothing of it durable.
    bench.store.meta.set("m", new Uint8Array(1));
    bench.clock.endTurn();
    expect(bench.store.lastSequence()).toBe(kept);
    expect(await outcome(bench.store.whenDurable(bench.store.lastSequence()))).toBe("done");
    expect(bench.write("k", "newer")).toBe(lost + 1);
  });

  test("leaves its sequences undurable for ever, whatever is committed later", async () => {
    disk.fullCommits = 2;
    const lost = [bench.write("a", "v")];
    bench.clock.endTurn();
    lost.push(bench.write("a", "v"), bench.write("b", "v"));
    bench.clock.endTurn();
    const kept = bench.write("c", "v");
    bench.clock.endTurn();
    disk.fullCommits = 1;
    lost.push(bench.write("d", "v"));
    bench.clock.endTurn();
    const last = bench.write("e", "v");
    bench.clock.endTurn();
    for (const sequence of lost) {
      expect(bench.store.isDurable(sequence)).toBe(false);
      expect(await outcome(bench.store.whenDurable(sequence))).toBe("DiskFullError");
    }
    for (const sequence of [kept, last]) {
      expect(bench.store.isDurable(sequence)).toBe(true);
      expect(await outcome(bench.store.whenDurable(sequence))).toBe("done");
    }
    expect(new Set([...lost, kept, last]).size).toBe(lost.length + 2);
  });

  test("found by a write is thrown to its caller and takes back the turn", async () => {
    const inner = reopened();
    let full = false;
    bench = storeOver(
      hasher,
      altered(inner, {
        put: (row: DiskRow) => {
          if (full) throw new DiskFullError("full");
          inner.put(row);
        },
      }),
    );
    const first = outcome(bench.store.whenDurable(bench.write("a", "v")));
    full = true;
    expect(() => bench.write("b", "v")).toThrow(DiskFullError);
    expect(await first).toBe("DiskFullError");
    full = false;
    bench.write("c", "v");
    bench.clock.endTurn();
    expect(["a", "b", "c"].map((key) => bench.values(key))).toEqual(["absent", "absent", ["v"]]);
  });

  test("that nobody waits for is no unhandled rejection", async () => {
    void bench.store.whenDurable(bench.write("a", "v"));
    disk.fullCommits = 1;
    bench.clock.endTurn();
    await new Promise((resolve) => setImmediate(resolve));
    expect(bench.values("a")).toBe("absent");
  });
});

test("any other failure of a write ends the process without an answer", async () => {
  for (const broken of ["commit", "put", "begin"] as const) {
    const inner = reopened();
    const fail = (): never => {
      throw new SqliteError("io", "disk I/O error");
    };
    let on = false;
    const disk = altered(inner, {
      [broken]: (...given: never[]) =>
        on ? fail() : (inner[broken] as (...all: never[]) => void)(...given),
    });
    bench = storeOver(hasher, disk);
    on = true;
    let answered = false;
    const act = (): void => {
      void bench.store.whenDurable(bench.write("k", "v")).finally(() => {
        answered = true;
      });
      bench.clock.endTurn();
    };
    expect(act).toThrow(FailStop);
    await Promise.resolve();
    expect(answered).toBe(false);
  }
});

describe("a row that rots", () => {
  function rot(key: string, change: (row: DiskRow) => DiskRow): void {
    bench.store.close();
    const handle = disk.open();
    const row = handle.get(1, bench.key(key).bytes);
    if (row === undefined) throw new Error(`Cannot rot ${key}: absent`);
    handle.begin();
    const rotten = change(row);
    handle.delete(1, rotten.key);
    handle.put(rotten);
    handle.commit();
    handle.close();
    bench = storeOver(hasher, disk.open());
  }
  const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
    bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));

  beforeEach(() => {
    bench.write("k", "value");
    bench.clock.endTurn();
  });

  const damages: readonly (readonly [string, (row: DiskRow) => DiskRow])[] = [
    ["in its head", (row) => ({ ...row, head: flipped(row.head, 5) })],
    ["in a value", (row) => ({ ...row, body: flipped(row.body, 0) })],
    ["by losing a value's end", (row) => ({ ...row, body: row.body.subarray(1) })],
    ["in its checksum", (row) => ({ ...row, headSum: flipped(row.headSum, 7) })],
    [
      "in what it minted",
      (row) => ({ ...row, minted: row.minted && { ...row.minted, counter: 0 } }),
    ],
    ["by forgetting what it minted", (row) => ({ ...row, minted: null })],
    ["in its place", (row) => ({ ...row, place: row.place + 1 })],
    ["in its sequence", (row) => ({ ...row, sequence: row.sequence + 1 })],
  ];
  for (const [where, change] of damages) {
    test(`${where} is unknown, not absent and not served`, () => {
      rot("k", change);
      expect(bench.values("k")).toBe("unknown");
      expect(bench.store.counters.unknownReads).toBe(1);
    });
  }

  test("into another key's row is unknown", () => {
    rot("k", (row) => ({ ...row, key: bench.key("j").bytes }));
    expect(bench.values("j")).toBe("unknown");
    expect(bench.values("k")).toEqual(["value"]);
  });

  test("is told once in the log, is never cached, and heals when it is written", () => {
    bench.store.close();
    disk.forget(1, bench.key("k").bytes);
    bench = storeOver(hasher, disk.open());
    expect([bench.values("k"), bench.values("k")]).toEqual(["unknown", "unknown"]);
    expect(bench.logger.lines.filter((line) => line.event === "row-damaged").length).toBe(1);
    expect(bench.store.counters).toMatchObject({ cacheHits: 0, unknownReads: 2, cachedRecords: 0 });
    bench.write("k", "healed");
    bench.clock.endTurn();
    restart();
    expect(bench.values("k")).toEqual(["healed"]);
  });

  test("is reported by a scan, not skipped", () => {
    bench.write("j", "v");
    bench.write("l", "v");
    bench.clock.endTurn();
    disk.forget(1, bench.key("k").bytes);
    const { rows } = bench.store.scan(all());
    expect(rows.map((row) => row.state)).toEqual(["record", "unknown", "record"]);
    expect(rows[1]?.keyBytes).toEqual(bench.key("k").bytes);
  });

  test("so that SQLite cannot read it is unknown; a bug of ours is not", () => {
    let error: Error = new SqliteError("corrupt", "malformed");
    const inner = reopened();
    const broken = altered(inner, {
      get: () => {
        throw error;
      },
    });
    bench = storeOver(hasher, broken);
    expect(bench.values("k")).toBe("unknown");
    error = new SqliteError("io", "disk I/O error");
    expect(bench.values("k")).toBe("unknown");
    error = new SqliteError("other", "no such column");
    expect(() => bench.values("k")).toThrow(FailStop);
  });
});

describe("the cache", () => {
  test("gives the same object again, and an equal one from the disk", () => {
    bench.write("k", "v");
    bench.clock.endTurn();
    const first = bench.store.read(bench.key("k"));
    expect(bench.store.read(bench.key("k"))).toBe(first);
    restart();
    const second = bench.store.read(bench.key("k"));
    expect(second).not.toBe(first);
    expect(second).toEqual(first);
    expect(bench.store.read(bench.key("k"))).toBe(second);
    expect(bench.store.counters).toMatchObject({ cacheHits: 1, cacheMisses: 1 });
  });

  test("keeps within its bytes, and loses nothing by it", () => {
    restartWith({ cacheBytes: 20_000 });
    for (let i = 0; i < 200; i++) bench.write(`k${i}`, `value ${i}`);
    bench.clock.endTurn();
    expect(bench.store.counters.cachedBytes).toBeLessThanOrEqual(20_000);
    expect(bench.store.counters.cachedRecords).toBeLessThan(100);
    for (let i = 0; i < 200; i++) expect(bench.values(`k${i}`)).toEqual([`value ${i}`]);
  });

  test("drops the old copy of a record that has become too large to keep", () => {
    restartWith({ cacheBytes: 20_000 });
    bench.write("k", "small");
    bench.write("k", "v".repeat(10_000));
    expect(bench.values("k")).toEqual(["v".repeat(10_000)]);
    expect(bench.store.counters.cachedRecords).toBe(0);
  });

  test("a row pushed out of the cache within its turn is still seen", () => {
    restartWith({ cacheBytes: 4000 });
    for (let i = 0; i < 50; i++) bench.write(`k${i}`, `value ${i}`);
    expect(bench.values("k0")).toEqual(["value 0"]);
    expect(bench.store.isDurable(bench.store.read(bench.key("k0")).sequence)).toBe(false);
  });
});

describe("writes of a large turn", () => {
  test("are all durable only if no part of the turn was rolled back", async () => {
    disk = new SimDisk();
    bench = storeOver(hasher, disk.open(), { maxTurnRecords: 1 });
    disk.fullCommits = 1;
    const sequences = ["a", "b", "c"].map((key) => bench.write(key, "v"));
    bench.clock.endTurn();
    await bench.store.whenDurable(sequences[2] as number);
    await expect(bench.store.whenAllDurable(sequences)).rejects.toThrow(DiskFullError);
    await bench.store.whenAllDurable(sequences.slice(1));
    await bench.store.whenAllDurable([]);
    expect(bench.values("a")).toBe("absent");
  });
});

describe("epochs and actor", () => {
  test("no epoch is given out twice, over any turns, full disks, closes and crashes", () => {
    const step = fc.constantFrom(
      "take",
      "take",
      "take",
      "commit",
      "full",
      "crash",
      "close",
      "many",
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        disk = new SimDisk();
        bench = storeOver(hasher, disk.open());
        // What a crash or a full disk takes back had not left the node: only epochs of committed turns are used up.
        const used = new Set<number>();
        let pending: number[] = [];
        const take = (): void => {
          const epoch = bench.store.takeEpoch();
          if (epoch < 1 || used.has(epoch)) throw new Error(`epoch ${epoch} came twice`);
          pending.push(epoch);
        };
        const settle = (committed: boolean): void => {
          if (committed) for (const epoch of pending) used.add(epoch);
          pending = [];
        };
        for (const act of steps) {
          if (act === "take") take();
          if (act === "many") for (let i = 0; i < EPOCH_LEASE + 1; i++) take();
          if (act === "full") disk.fullCommits = 1;
          if (act === "commit" || act === "full") bench.clock.endTurn();
          if (act === "close") bench.store.close();
          if (act === "crash") disk.crash();
          // A turn that only took leased epochs opens no transaction, so no full disk takes them back.
          if (act !== "take" && act !== "many")
            settle(
              act === "commit" || act === "close" || (act === "full" && disk.fullCommits === 1),
            );
          disk.fullCommits = 0;
          if (act === "crash" || act === "close") bench = storeOver(hasher, disk.open());
        }
      }),
      { numRuns: 60 },
    );
  });

  test("a lease that a full disk took back is asked for again", () => {
    bench.store.takeEpoch();
    disk.fullCommits = 1;
    bench.clock.endTurn();
    const epoch = bench.store.takeEpoch();
    bench.write("k", "v");
    bench.clock.endTurn();
    restart();
    expect(bench.store.takeEpoch()).toBeGreaterThan(epoch);
  });

  test("an epoch is leased before the turn that takes it is durable, and seldom", () => {
    const before = disk.commits;
    for (let i = 0; i < EPOCH_LEASE; i++) bench.store.takeEpoch();
    bench.clock.endTurn();
    expect(disk.commits).toBe(before + 1);
    bench.store.takeEpoch();
    bench.clock.endTurn();
    expect(disk.commits).toBe(before + 2);
    restart();
    expect(bench.store.takeEpoch()).toBe(2 * EPOCH_LEASE + 1);
  });

  test("the actor stays with the database and no longer", () => {
    const first = bench.store.actorId;
    restart();
    expect(bench.store.actorId).toBe(first);
    bench.store.close();
    disk.lose();
    bench = storeOver(hasher, disk.open());
    expect(bench.store.actorId).not.toBe(first);
  });
});

describe("an actor that a start takes for itself", () => {
  test("is durable with its first epochs: no copy of any moment mints where this start does", () => {
    const { databaseId } = bench.store;
    const before = disk.image();
    bench.store.takeActor();
    const after = disk.image();
    const { actorId } = bench.store;
    const epoch = bench.store.takeEpoch();
    const openedFrom = (image: typeof before) => {
      disk.crash();
      disk.putBack(image);
      bench = storeOver(hasher, disk.open());
      return bench.store;
    };
    expect(openedFrom(before).actorId).not.toBe(actorId);
    const copy = openedFrom(after);
    expect([copy.actorId, copy.databaseId]).toEqual([actorId, databaseId]);
    expect(copy.takeEpoch()).toBeGreaterThan(epoch);
  });

  test("leaves the database what its peers know it as; a database in doubt is another one", () => {
    const { databaseId } = bench.store;
    for (let start = 0; start < 2; start++) {
      bench.store.takeActor();
      expect(bench.store.databaseId).toBe(databaseId);
      restart();
      expect(bench.store.databaseId).toBe(databaseId);
    }
    bench.store.renewActor();
    const { actorId } = bench.store;
    expect([bench.store.databaseId, actorId === databaseId]).toEqual([actorId, false]);
    restart();
    expect([bench.store.databaseId, bench.store.actorId]).toEqual([actorId, actorId]);
  });

  test("that a full disk refuses is not taken", () => {
    const { actorId } = bench.store;
    disk.fullCommits = 1;
    expect(() => bench.store.takeActor()).toThrow(DiskFullError);
    expect(bench.store.actorId).toBe(actorId);
    restart();
    expect(bench.store.actorId).toBe(actorId);
  });
});

describe("small values", () => {
  test("are durable when set returns, and so is the turn before them", () => {
    const sequence = bench.write("k", "v");
    bench.store.meta.set("vote", new Uint8Array([7]));
    expect(bench.store.isDurable(sequence)).toBe(true);
    restart();
    expect(bench.store.meta.get("vote")).toEqual(new Uint8Array([7]));
    bench.store.meta.delete("vote");
    restart();
    expect(bench.store.meta.get("vote")).toBeUndefined();
    expect(bench.values("k")).toEqual(["v"]);
  });

  test("that find the disk full are refused, alone", () => {
    const inner = reopened();
    let full = false;
    bench = storeOver(
      hasher,
      altered(inner, {
        setMeta: (name: string, value: Uint8Array) => {
          if (full) throw new DiskFullError("full");
          inner.setMeta(name, value);
        },
      }),
    );
    const sequence = bench.write("k", "v");
    full = true;
    expect(() => bench.store.meta.set("vote", new Uint8Array([7]))).toThrow(DiskFullError);
    expect(bench.store.isDurable(sequence)).toBe(true);
    expect(bench.store.meta.get("vote")).toBeUndefined();
    full = false;
    bench.write("k", "w");
    bench.clock.endTurn();
    expect(bench.values("k")).toEqual(["w"]);
  });
});

test("a record of several siblings comes back whole", () => {
  const one = recordOf(hasher, 1, "one");
  const two = recordOf(hasher, 2, "two");
  const record = { context: two.context, siblings: [...one.siblings, ...two.siblings] };
  bench.store.write(bench.key("k"), record, null);
  bench.clock.endTurn();
  restart();
  expect(bench.store.read(bench.key("k"))).toMatchObject({ state: "record", record, minted: null });
});

function restartWith(options: Parameters<typeof storeOver>[2]): void {
  disk.crash();
  bench = storeOver(hasher, disk.open(), options);
}

function reopened(): SimDiskHandle {
  disk.crash();
  return disk.open();
}

function all(): Parameters<StoreBench["store"]["scan"]>[0] {
  return { namespace: 1, start: new Uint8Array(0), end: null, reverse: false, limit: 100 };
}

function outcome(promise: Promise<void>): Promise<string> {
  return promise.then(
    () => "done",
    (error: Error) => error.name,
  );
}
