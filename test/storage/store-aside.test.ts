/** Rows by place, removal, what is kept aside, digests, and what watchers are told. */
import { beforeEach, describe, expect, test } from "bun:test";
import { bytesToHex, utf8Decode, utf8Encode } from "../../src/core/bytes.ts";
import type { Key } from "../../src/core/key.ts";
import { placeOf, RING_PLACES } from "../../src/core/key.ts";
import { DiskFullError } from "../../src/env/disk.ts";
import type { AsideFound, RowWatcher } from "../../src/storage/record-store.ts";
import { digestToBytes, type RowDigest } from "../../src/storage/row-digest.ts";
import { SimDisk } from "../simulation/sim-disk.ts";
import { createTestHasher } from "../support/hasher.ts";
import { recordOf, type StoreBench, storeOver } from "../support/store-bench.ts";

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

function all() {
  return bench.store.scanPlaces({ from: 0, to: RING_PLACES, after: null, limit: 100 });
}

function setAside(shelf: string, key: string, value: string): number {
  const record = recordOf(hasher, value.length, value);
  return bench.store.setAside(shelf, bench.key(key), record, null, utf8Encode(`for ${key}`));
}

describe("rows by place", () => {
  test("are in the order of the ring, each with its sequence, and a bad one is reported", () => {
    for (const key of ["a", "b", "c", "d", "e"]) bench.write(key, "v");
    bench.clock.endTurn();
    disk.forget(1, utf8Encode("c"));
    const { rows, sequence, next } = all();
    const sorted = ["a", "b", "c", "d", "e"].sort(
      (one, other) => placeOf(bench.key(one).hash) - placeOf(bench.key(other).hash),
    );
    expect(rows.map((row) => utf8Decode(row.keyBytes))).toEqual(sorted);
    expect(rows.map((row) => row.state).sort()).toEqual([
      "record",
      "record",
      "record",
      "record",
      "unknown",
    ]);
    expect([sequence, next]).toEqual([5, null]);
  });

  test("are paged from row to row", () => {
    for (let i = 0; i < 10; i++) bench.write(`k${i}`, "v");
    const seen: string[] = [];
    let after = null;
    do {
      const page = bench.store.scanPlaces({ from: 0, to: RING_PLACES, after, limit: 3 });
      seen.push(...page.rows.map((row) => utf8Decode(row.keyBytes)));
      after = page.next;
    } while (after !== null);
    expect(new Set(seen).size).toBe(10);
    expect(seen.length).toBe(10);
  });
});

describe("removal", () => {
  test("takes a row only if it is the very one, durably and in one commit", () => {
    const sequences = ["a", "b", "c"].map((key) => bench.write(key, "v"));
    bench.clock.endTurn();
    bench.write("b", "newer");
    bench.clock.endTurn();
    const commits = disk.commits;
    const rows = ["a", "b", "c", "never"].map((key, i) => ({
      key: bench.key(key),
      sequence: sequences[i] ?? 1,
    }));
    expect(bench.store.remove(rows)).toEqual([true, false, true, false]);
    expect(disk.commits).toBe(commits + 1);
    restart();
    expect(["a", "b", "c"].map((key) => bench.values(key))).toEqual([
      "absent",
      ["newer"],
      "absent",
    ]);
    expect(bench.store.usage().rows).toBe(1);
  });

  test("commits the open turn first, and takes nothing that this turn's failure brought back", () => {
    const first = bench.write("k", "old");
    bench.clock.endTurn();
    const second = bench.write("k", "new");
    disk.fullCommits = 1;
    expect(bench.store.remove([{ key: bench.key("k"), sequence: second }])).toEqual([false]);
    expect(bench.values("k")).toEqual(["old"]);
    expect(bench.store.remove([{ key: bench.key("k"), sequence: first }])).toEqual([true]);
    bench.write("k", "again");
    bench.clock.endTurn();
    expect(bench.values("k")).toEqual(["again"]);
    expect(bench.store.usage().rows).toBe(1);
  });

  test("that finds the disk full leaves the row, in the cache too", () => {
    const sequence = bench.write("k", "v");
    bench.clock.endTurn();
    disk.fullCommits = 1;
    expect(() => bench.store.remove([{ key: bench.key("k"), sequence }])).toThrow(DiskFullError);
    expect(bench.values("k")).toEqual(["v"]);
  });

  test("sets values in the same commit: a power cut, or a full disk, leaves both or neither", () => {
    const rows = [{ key: bench.key("k"), sequence: bench.write("k", "v") }];
    const values = new Map(["a", "b"].map((name) => [name, Uint8Array.of(7)]));
    bench.clock.endTurn();
    disk.fullCommits = 1;
    expect(() => bench.store.remove(rows, values)).toThrow(DiskFullError);
    expect(bench.store.meta.get("a")).toBeUndefined();
    const { commits } = disk;
    expect(bench.store.remove(rows, values)).toEqual([true]);
    expect(disk.commits).toBe(commits + 1);
    restart();
    expect(bench.values("k")).toBe("absent");
    expect(["a", "b"].map((name) => bench.store.meta.get(name))).toEqual([...values.values()]);
  });

  test("of nothing, with nothing to set, commits nothing", () => {
    const { commits } = disk;
    expect(bench.store.remove([])).toEqual([]);
    bench.store.meta.setAll(new Map());
    expect(disk.commits).toBe(commits);
  });

  test("does not take a row that cannot be read", () => {
    const sequence = bench.write("k", "v");
    bench.clock.endTurn();
    disk.forget(1, utf8Encode("k"));
    restart();
    expect(bench.store.remove([{ key: bench.key("k"), sequence }])).toEqual([false]);
    expect(bench.values("k")).toBe("unknown");
  });
});

describe("what is kept aside", () => {
  function values(found: readonly AsideFound[]): string[] {
    return found.map((row) => {
      if (row.state === "unknown") return `${row.shelf} unknown`;
      const value = row.record.siblings[0]?.value ?? new Uint8Array(0);
      return `${row.shelf} ${utf8Decode(value)} ${utf8Decode(row.note)}`;
    });
  }

  test("is found by key and by shelf, is no row of the node, and survives a crash", () => {
    setAside("hint/b", "k", "one");
    setAside("hint/a", "k", "two");
    const sequence = setAside("hint/a", "l", "three");
    expect(bench.store.isDurable(sequence)).toBe(false);
    expect(bench.store.lastSequence()).toBe(sequence);
    bench.clock.endTurn();
    restart();
    expect(values(bench.store.asides(bench.key("k")))).toEqual([
      "hint/a two for k",
      "hint/b one for k",
    ]);
    const { rows, next } = bench.store.scanAside("hint/a", null, 10);
    expect(values(rows).sort()).toEqual(["hint/a three for l", "hint/a two for k"]);
    expect(next).toBeNull();
    expect(bench.values("k")).toBe("absent");
    expect(bench.store.lastSequence()).toBe(sequence);
    expect([...bench.store.asideUsage().keys()].sort()).toEqual(["hint/a", "hint/b"]);
  });

  test("is dropped only as it was when it was looked at", () => {
    const first = setAside("hint/a", "k", "old");
    const second = setAside("hint/a", "k", "newer");
    bench.clock.endTurn();
    const drop = (sequence: number) =>
      bench.store.dropAside([{ shelf: "hint/a", key: bench.key("k"), sequence }]);
    expect(drop(first)).toEqual([false]);
    expect(drop(second)).toEqual([true]);
    expect(drop(second)).toEqual([false]);
    restart();
    expect(bench.store.asides(bench.key("k"))).toEqual([]);
    expect(bench.store.asideUsage().size).toBe(0);
  });

  test("is gone with a turn that is rolled back", () => {
    disk.fullCommits = 1;
    setAside("hint/a", "k", "v");
    bench.clock.endTurn();
    expect(bench.store.asides(bench.key("k"))).toEqual([]);
  });

  for (const [what, damage] of [
    ["a bit of its head", (row) => ({ ...row, head: row.head.map((byte) => byte ^ 1) })],
    ["its note", (row) => ({ ...row, note: utf8Encode("for m") })],
    ["its shelf", (row) => ({ ...row, shelf: "hint/b" })],
    ["its value", (row) => ({ ...row, body: utf8Encode("w") })],
    ["nothing but the table it stands in", (row) => row],
  ] as const satisfies readonly (readonly [string, (row: Rotten) => Rotten])[]) {
    test(`with ${what} changed is unknown and can be dropped`, () => {
      const sequence =
        what === "nothing but the table it stands in"
          ? bench.write("k", "v")
          : setAside("hint/a", "k", "v");
      bench.clock.endTurn();
      const handle = reopened();
      const stored = handle.asides(1, utf8Encode("k"))[0] ?? {
        ...(handle.get(1, utf8Encode("k")) as Rotten),
        shelf: "hint/a",
        note: new Uint8Array(0),
      };
      const rotten = damage(stored);
      handle.begin();
      handle.deleteAside("hint/a", 1, utf8Encode("k"));
      handle.putAside(rotten);
      handle.commit();
      restart();
      const [found] = bench.store.asides(bench.key("k"));
      expect(found?.state).toBe("unknown");
      const { shelf } = rotten;
      const drop = { shelf, key: bench.key("k"), sequence };
      expect(bench.store.dropAside([drop])).toEqual([true]);
    });
  }
});

type Rotten = Parameters<ReturnType<SimDisk["open"]>["putAside"]>[0];

function reopened(): ReturnType<SimDisk["open"]> {
  disk.crash();
  return disk.open();
}

describe("watchers", () => {
  /** Digests by key, as a watcher that starts with an empty store would hold them. */
  class Model implements RowWatcher {
    readonly digests = new Map<string, string>();
    readonly lostKeys: string[] = [];

    changed(key: Key, before: RowDigest | null, after: RowDigest | null): void {
      const text = (digest: RowDigest | null) =>
        digest === null ? undefined : bytesToHex(digestToBytes(digest));
      expect(this.digests.get(key.text)).toBe(text(before) as string);
      const now = text(after);
      if (now === undefined) this.digests.delete(key.text);
      else this.digests.set(key.text, now);
    }

    lost(key: Key): void {
      this.lostKeys.push(key.text);
    }
  }

  function digest(key: string): string | undefined {
    const bytes = bench.store.digestOf(bench.key(key));
    return bytes === null ? undefined : bytesToHex(bytes);
  }

  test("are told of writes, overwrites and removals with the digests of the rows", () => {
    const model = new Model();
    bench.store.watchRows(model);
    bench.write("k", "one");
    bench.write("l", "two");
    const one = digest("k");
    expect(model.digests.get("k")).toBe(one as string);
    bench.write("k", "three");
    expect(digest("k")).not.toBe(one as string);
    expect(model.digests.get("k")).toBe(digest("k") as string);
    bench.clock.endTurn();
    const found = bench.store.read(bench.key("k"));
    bench.store.remove([{ key: bench.key("k"), sequence: found.sequence }]);
    expect([...model.digests.keys()]).toEqual(["l"]);
    expect(digest("k")).toBeUndefined();
  });

  test("are told the digest of a row that is only on the disk", () => {
    bench.write("k", "one");
    bench.clock.endTurn();
    const one = digest("k") as string;
    restart();
    expect(digest("k")).toBe(one);
    restart();
    const model = new Model();
    model.digests.set("k", one);
    bench.store.watchRows(model);
    // Without a read before it.
    bench.write("k", "two");
    expect(model.digests.get("k")).toBe(digest("k") as string);
  });

  test("are told the changes of a rolled back turn backwards", () => {
    const model = new Model();
    bench.store.watchRows(model);
    bench.write("k", "one");
    bench.clock.endTurn();
    const before = new Map(model.digests);
    disk.fullCommits = 1;
    bench.write("k", "two");
    bench.write("k", "three");
    bench.write("new", "four");
    expect(model.digests.size).toBe(2);
    bench.clock.endTurn();
    expect(model.digests).toEqual(before);
    expect(digest("k")).toBe(before.get("k") as string);
  });

  test("are told that what a damaged row had been is lost, and again when it comes back", () => {
    bench.write("k", "one");
    bench.clock.endTurn();
    disk.forget(1, utf8Encode("k"));
    restart();
    const model = new Model();
    bench.store.watchRows(model);
    expect(bench.values("k")).toBe("unknown");
    disk.fullCommits = 1;
    bench.write("k", "two");
    expect(model.lostKeys).toEqual(["k"]);
    bench.clock.endTurn();
    expect(model.lostKeys).toEqual(["k", "k"]);
    expect(bench.values("k")).toBe("unknown");
    bench.store.discard(bench.key("k"));
    expect(model.lostKeys).toEqual(["k", "k", "k"]);
    expect(bench.store.usage().rows).toBe(0);
  });

  test("a row in a wrong place moves to its own when it is written again", () => {
    bench.write("k", "one");
    bench.clock.endTurn();
    const handle = reopened();
    const row = handle.get(1, utf8Encode("k"));
    if (row === undefined) throw new Error("no row");
    handle.begin();
    handle.delete(1, row.key);
    handle.put({ ...row, place: (row.place + 1) % RING_PLACES });
    handle.commit();
    restart();
    expect(bench.values("k")).toBe("unknown");
    bench.write("k", "two");
    bench.clock.endTurn();
    expect(all().rows.map((found) => found.place)).toEqual([placeOf(bench.key("k").hash)]);
    expect(bench.store.usage().rows).toBe(1);
  });
});
