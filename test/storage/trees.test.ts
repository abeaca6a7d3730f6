import { beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { utf8Encode } from "../../src/core/bytes.ts";
import { parseNamespaceId } from "../../src/core/ids.ts";
import { type Key, makeKey } from "../../src/core/key.ts";
import type { PlacedRow } from "../../src/storage/record-store.ts";
import {
  digestToBytes,
  equalDigests,
  type RowDigest,
  RowDigester,
} from "../../src/storage/row-digest.ts";
import { TreeShape } from "../../src/storage/tree-shape.ts";
import { Trees, type TreeWorld } from "../../src/storage/trees.ts";
import { addDigests, UnitTree, ZERO_DIGEST } from "../../src/storage/unit-tree.ts";
import { SimDisk } from "../simulation/sim-disk.ts";
import { createTestHasher } from "../support/hasher.ts";
import { recordOf, type StoreBench, storeOver } from "../support/store-bench.ts";

const hasher = await createTestHasher();
// Sums of thousands of leaves after each of many runs, on machines that do other things too.
setDefaultTimeout(60_000);

const digester = new RowDigester(hasher, new Uint8Array(32).fill(3));
const PARTITIONS = 16;

let disk: SimDisk;
let bench: StoreBench;
let trees: Trees;
/** Policy of each namespace. */
let policies: Map<number, string>;
let unreadable: string[];

function treesOver(world: () => TreeWorld | null = () => worldOf(policies)): Trees {
  return new Trees({
    store: bench.store,
    digester,
    world,
    onUnreadable: (row) => unreadable.push(new TextDecoder().decode(row.keyBytes)),
  });
}

/** Each is another one to the trees: they look after every step whether a namespace has gone. */
let worlds = 0;

function worldOf(map: ReadonlyMap<number, string>): TreeWorld {
  return {
    version: ++worlds,
    partitions: PARTITIONS,
    policyOf: (namespace) => map.get(namespace),
    namespaces: () => [...map.keys()].sort((a, b) => a - b),
  };
}

beforeEach(() => {
  disk = new SimDisk();
  bench = storeOver(hasher, disk.open());
  policies = new Map([
    [1, "default"],
    [2, "eu"],
    [5, "default"],
  ]);
  unreadable = [];
  trees = treesOver();
});

function build(of: Trees = trees, limit = 1000): void {
  let steps = 0;
  while (of.step(limit)) if (++steps > 10_000) throw new Error("never built");
}

function keyIn(namespace: number, text: string): Key {
  return makeKey(hasher, parseNamespaceId(namespace), text);
}

let counter = 0;
function write(namespace: number, text: string): number {
  counter++;
  return bench.store.write(keyIn(namespace, text), recordOf(hasher, counter, `v${counter}`), null);
}

function remove(namespace: number, text: string): void {
  const key = keyIn(namespace, text);
  bench.store.remove([{ key, sequence: bench.store.read(key).sequence }]);
}

/** Every leaf and root of every unit as text: what two owners compare. */
function sums(of: Trees): string[] {
  const shape = of.shape as TreeShape;
  const lines: string[] = [];
  for (const policy of new Set(policies.values())) {
    for (let p = 0; p < PARTITIONS; p++) {
      lines.push(`${policy}/${p} ${text(of.root(policy, p))}`);
      for (let leaf = 0; leaf < shape.leaves; leaf++) {
        const sum = of.sum(policy, p, leaf, leaf + 1);
        if (!equalDigests(sum, ZERO_DIGEST)) lines.push(`${policy}/${p}/${leaf} ${text(sum)}`);
      }
    }
  }
  return lines;
}

function text(digest: RowDigest): string {
  return Buffer.from(digestToBytes(digest)).toString("hex");
}

/** What a process that starts now would make of the rows. */
function fresh(): string[] {
  const other = treesOver();
  build(other);
  return sums(other);
}

describe("sums", () => {
  const words = fc.tuple(...Array.from({ length: 4 }, () => fc.integer()));
  const someDigest = words.map(([w0, w1, w2, w3]): RowDigest => ({ w0, w1, w2, w3 }) as RowDigest);

  function asNumber(digest: RowDigest): bigint {
    return BigInt(`0x${text(digest)}`);
  }

  test("are those of numbers mod 2^128, and what is added can be taken away in any order", () => {
    const edge = fc.constantFrom(0, 1, -1, 2 ** 31 - 1, -(2 ** 31));
    const edges = fc.tuple(edge, edge, edge, edge);
    const digests = fc.oneof(
      someDigest,
      edges.map(([w0, w1, w2, w3]) => ({ w0, w1, w2, w3 })),
    );
    fc.assert(
      fc.property(fc.array(digests, { maxLength: 20 }), (list) => {
        const tree = new UnitTree(16);
        let sum = 0n;
        list.forEach((digest, i) => {
          tree.add(i % 16, digest);
          sum = (sum + asNumber(digest)) % 2n ** 128n;
        });
        expect(asNumber(tree.root())).toBe(sum);
        expect(asNumber(tree.sum(0, 16))).toBe(sum);
        const halves = addDigests(tree.sum(0, 5), tree.sum(5, 16));
        expect(asNumber(halves)).toBe(sum);
        for (const [from, count, width] of [
          [0, 16, 1],
          [4, 3, 4],
          [0, 1, 16],
        ] as const) {
          const wanted = Array.from({ length: count }, (_, i) => {
            const child = from + i * width;
            return text(tree.sum(child, child + width)).slice(16);
          });
          const low = Buffer.from(tree.lowSums(from, count, width)).toString("hex");
          expect(low).toBe(wanted.join(""));
        }
        for (const i of list.keys()) tree.subtract(i % 16, list[i] as RowDigest);
        expect(tree.isZero).toBe(true);
      }),
    );
  });
});

describe("the shape", () => {
  for (const partitions of [16, 1024, 4096, 8192, 16_384]) {
    test(`of ${partitions} partitions puts a key and its place into the same leaf`, () => {
      const shape = new TreeShape(partitions);
      expect(shape.fanOut ** 2).toBe(shape.leaves);
      expect(shape.partitions * shape.leaves * 16).toBeLessThanOrEqual(64 * 1024 * 1024);
      for (let i = 0; i < 200; i++) {
        const { hash } = keyIn(1, `key-${i}`);
        const place = hash.hi * 2 ** 20 + (hash.lo >>> 12);
        const partition = shape.partitionOf(hash);
        const { from, to } = shape.partitionRange(partition);
        expect(place >= from && place < to).toBe(true);
        expect(shape.leafOf(shape.hashAt(place))).toBe(shape.leafOf(hash));
        const start = shape.leafStart(partition, shape.leafOf(hash));
        const width = 2 ** (52 - shape.leafPlaceBits);
        expect(place >= start && place < start + width).toBe(true);
      }
    });
  }
});

describe("trees", () => {
  test("are not there before a layout is, nor before they were built", () => {
    let world: TreeWorld | null = null;
    const early = treesOver(() => world);
    expect(early.step(10)).toBe(false);
    expect(early.shape).toBeNull();
    write(1, "k");
    world = worldOf(policies);
    expect(early.isBuilt(0)).toBe(false);
    expect(early.state).toBe("building");
    build(early);
    expect(early.isBuilt(0)).toBe(true);
    expect(sums(early)).toEqual(fresh());
  });

  test("have a unit for each policy, and nothing of namespaces that do not exist", () => {
    build();
    write(1, "k");
    write(2, "k");
    write(5, "k");
    write(9, "k");
    const lines = sums(trees).filter((line) => !line.endsWith(text(ZERO_DIGEST)));
    expect(lines.filter((line) => line.startsWith("eu/")).length).toBe(2);
    expect(lines.filter((line) => line.startsWith("default/")).length).toBe(4);
    expect(sums(trees)).toEqual(fresh());
  });

  test("lose the rows of a namespace that was deleted", () => {
    build();
    write(1, "k");
    write(5, "k");
    policies.delete(5);
    build();
    expect(sums(trees)).toEqual(fresh());
    expect(trees.mismatches).toBe(0);
    bench.clock.endTurn();
    remove(5, "k");
    expect(sums(trees)).toEqual(fresh());
  });

  test("follow a namespace to another policy, with what is written meanwhile", () => {
    for (let i = 0; i < 30; i++) write(5, `k${i}`);
    build();
    policies.set(5, "eu");
    trees.step(10);
    write(5, "k0");
    write(5, "k9");
    write(5, "new");
    build();
    expect(sums(trees)).toEqual(fresh());
    expect(trees.mismatches).toBe(0);
  });

  test("are wrong where a damaged row was replaced, say so, and are built anew there", () => {
    for (let i = 0; i < 50; i++) write(1, `k${i}`);
    bench.clock.endTurn();
    build();
    disk.forget(1, utf8Encode("k7"));
    disk.crash();
    bench = storeOver(hasher, disk.open());
    trees = treesOver();
    build();
    expect(unreadable).toEqual(["k7"]);
    const partition = (trees.shape as TreeShape).partitionOf(keyIn(1, "k7").hash);
    expect(trees.isBuilt(partition)).toBe(true);
    write(1, "k7");
    expect(trees.isBuilt(partition)).toBe(false);
    expect(trees.state).toBe("building");
    const scanned = trees.rowsScanned;
    build(trees, 3);
    expect(trees.rowsScanned - scanned).toBeLessThan(50);
    expect(trees.isBuilt(partition)).toBe(true);
    expect(sums(trees)).toEqual(fresh());
  });

  test("are built anew where a row that they could not read is written over its good copy in the cache", () => {
    for (const key of "abcdef") write(1, key);
    bench.clock.endTurn();
    build();
    const partition = (trees.shape as TreeShape).partitionOf(keyIn(1, "c").hash);
    disk.forget(1, utf8Encode("c"));
    trees.startScrub();
    build();
    expect(unreadable).toEqual(["c"]);
    write(1, "c");
    expect(trees.isBuilt(partition)).toBe(false);
    build();
    expect(sums(trees)).toEqual(fresh());
    write(1, "c");
    expect(trees.isBuilt(partition)).toBe(true);
    // The scan under way has left it out, the kept sums have not.
    disk.forget(1, utf8Encode("c"));
    trees.startScrub();
    trees.step(4);
    write(1, "c");
    build();
    expect(sums(trees)).toEqual(fresh());
    expect(trees.mismatches).toBe(0);
  });

  test("are wrong where a row was lost behind the scan that builds them", () => {
    for (const key of "abcdef") write(1, key);
    bench.clock.endTurn();
    disk.crash();
    bench = storeOver(hasher, disk.open());
    trees = treesOver();
    trees.step(4);
    disk.forget(1, utf8Encode("b"));
    write(1, "b");
    build();
    expect(sums(trees)).toEqual(fresh());
  });

  test("follow the very row at which the scan stands", () => {
    for (const key of "abcdef") write(1, key);
    bench.clock.endTurn();
    const keys = [..."abcdef"];
    while (trees.step(1)) {
      const key = keys.shift();
      if (key !== undefined) write(1, key);
    }
    expect(sums(trees)).toEqual(fresh());
  });

  test("that were kept are compared with those of a scrub, which takes their place", () => {
    for (let i = 0; i < 50; i++) write(1, `k${i}`);
    build();
    trees.startScrub();
    trees.step(20);
    // On both sides of where the scan is.
    write(1, "a");
    write(1, "z");
    build();
    expect(trees.mismatches).toBe(0);
    trees.changed(keyIn(1, "never"), null, { w0: 1, w1: 2, w2: 3, w3: 4 });
    expect(sums(trees)).not.toEqual(fresh());
    trees.startScrub();
    build();
    expect(trees.mismatches).toBe(1);
    expect(sums(trees)).toEqual(fresh());
  });

  test("equal the rows after any writes, removals, damage, full disks and restarts, at any pace of building", () => {
    const name = fc.constantFrom(..."abcdefghij");
    const namespace = fc.constantFrom(1, 2, 5);
    const step = fc.oneof(
      { weight: 8, arbitrary: fc.tuple(fc.constant("write" as const), namespace, name) },
      { weight: 2, arbitrary: fc.tuple(fc.constant("remove" as const), namespace, name) },
      { weight: 4, arbitrary: fc.tuple(fc.constant("build" as const), namespace, name) },
      {
        weight: 1,
        arbitrary: fc.tuple(
          fc.constantFrom("commit", "full", "damage", "scrub", "restart"),
          namespace,
          name,
        ),
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 120 }), (steps) => {
        disk = new SimDisk();
        // So small a cache that rows are read from the disk again and again.
        const open = (): void => {
          bench = storeOver(hasher, disk.open(), { cacheBytes: 6000 });
          trees = treesOver();
          trees.step(1);
        };
        open();
        for (const [act, ns, key] of steps) {
          if (act === "write") write(ns, key);
          else if (act === "remove") remove(ns, key);
          else if (act === "build") trees.step(2);
          else if (act === "commit") bench.clock.endTurn();
          else if (act === "damage") {
            bench.clock.endTurn();
            disk.forget(ns, utf8Encode(key));
          } else if (act === "scrub") trees.startScrub();
          else if (act === "full") {
            disk.fullCommits = 1;
            bench.clock.endTurn();
            disk.fullCommits = 0;
          } else {
            bench.clock.endTurn();
            disk.crash();
            open();
          }
        }
        build();
        // Rows that are damaged now are in the cache, and so in the sums, or in neither: a scrub decides.
        trees.startScrub();
        build();
        expect(sums(trees)).toEqual(fresh());
      }),
      { numRuns: 80 },
    );
  });

  test("equal the rows without a scrub as long as no row is damaged, and a scrub finds nothing", () => {
    const name = fc.constantFrom(..."abcdefghij");
    const act = fc.constantFrom("write", "write", "remove", "build", "commit", "full", "scrub");
    fc.assert(
      fc.property(fc.array(fc.tuple(act, name), { maxLength: 120 }), (steps) => {
        disk = new SimDisk();
        bench = storeOver(hasher, disk.open(), { cacheBytes: 6000 });
        trees = treesOver();
        trees.step(1);
        for (const [what, key] of steps) {
          if (what === "write") write(1, key);
          else if (what === "remove") remove(1, key);
          else if (what === "build") trees.step(2);
          else if (what === "scrub") trees.startScrub();
          else {
            if (what === "full") disk.fullCommits = 1;
            bench.clock.endTurn();
            disk.fullCommits = 0;
          }
        }
        build();
        expect(sums(trees)).toEqual(fresh());
        expect(trees.mismatches).toBe(0);
      }),
      { numRuns: 80 },
    );
  });
});

test("a scan by place follows what is written behind it and leaves alone what is before it", () => {
  for (let i = 0; i < 40; i++) write(1, `k${i}`);
  bench.clock.endTurn();
  build();
  for (let p = 0; p < PARTITIONS; p++) {
    // Breaks the partition of some key in each round.
    const key = keyIn(1, `k${p}`);
    trees.lost(key);
  }
  let i = 0;
  while (trees.step(1)) write(1, `k${i++ % 40}`);
  expect(sums(trees)).toEqual(fresh());
});

test("checking a row tells what is on the disk, and heals it from memory if it can", () => {
  write(1, "k");
  write(1, "l");
  bench.clock.endTurn();
  build();
  const before = sums(trees);
  expect(bench.store.checkRow(keyIn(1, "k"))).toBe("sound");
  expect(bench.store.checkRow(keyIn(1, "never"))).toBe("absent");
  disk.forget(1, utf8Encode("k"));
  expect(bench.store.checkRow(keyIn(1, "k"))).toBe("healed");
  bench.clock.endTurn();
  expect(bench.store.checkRow(keyIn(1, "k"))).toBe("sound");
  build();
  expect(sums(trees)).toEqual(before);
  disk.forget(1, utf8Encode("l"));
  disk.crash();
  bench = storeOver(hasher, disk.open());
  expect(bench.store.checkRow(keyIn(1, "l"))).toBe("unknown");
  expect(bench.store.usage().rows).toBe(2);
});

test("a scan of heads gives the rows of a namespace in key order with their places", () => {
  write(1, "b");
  write(1, "a");
  write(2, "c");
  const { rows, sequence } = bench.store.scanHeads({
    namespace: 1,
    start: new Uint8Array(0),
    end: null,
    reverse: false,
    limit: 10,
  });
  const found = rows.map((row: PlacedRow) => [
    new TextDecoder().decode(row.keyBytes),
    row.sequence,
    row.state,
  ]);
  expect(found).toEqual([
    ["a", 2, "record"],
    ["b", 1, "record"],
  ]);
  expect(sequence).toBe(2);
});
