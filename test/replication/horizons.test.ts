/** Reap horizons: how many of them share a commit. Each commit is a sync of the disk that the whole process waits for. */
import { afterEach, expect, test } from "bun:test";
import type { PartitionId } from "../../src/core/ids.ts";
import { REAP_KEYS_MAX } from "../../src/core/limits.ts";
import { DiskFullError } from "../../src/env/disk.ts";
import { Horizons } from "../../src/replication/horizons.ts";
import { encodeHorizons } from "../../src/replication/reap-messages.ts";
import { SimDisk } from "../simulation/sim-disk.ts";
import { dotOf, tombstoneOf } from "../support/arbitraries.ts";
import { createTestHasher } from "../support/hasher.ts";
import { GRACE_MS, LIFE_MS, QUIET_MS, ReapingCluster } from "../support/reaping-cluster.ts";
import type { FakeStore } from "../support/replication-cluster.ts";
import { storeOver } from "../support/store-bench.ts";

const hasher = await createTestHasher();
const PARTITIONS = 16;
const UNITS = Array.from({ length: PARTITIONS }, (_, partition) => ({
  policy: "default",
  partition: partition as PartitionId,
  stamp: 7 + partition,
}));

let running: ReapingCluster | null = null;
afterEach(async () => {
  await running?.stop();
  running = null;
});

function cluster(nodes: number): ReapingCluster {
  running = new ReapingCluster(nodes, nodes);
  return running;
}

/** Counts the commits that a store makes for horizons. */
function countCommits(store: FakeStore): () => number {
  let commits = 0;
  const { meta } = store;
  const remove = store.remove.bind(store);
  const set = meta.set.bind(meta);
  const isHorizon = (name: string) => name.startsWith("reap-horizon/");
  store.remove = (rows, values) => {
    if (rows.length > 0 || [...(values?.keys() ?? [])].some(isHorizon)) commits++;
    return remove(rows, values);
  };
  meta.set = (name, value) => {
    if (isHorizon(name)) commits++;
    set(name, value);
  };
  return () => commits;
}

test("many rise in one commit, to the highest that was told of each", () => {
  const disk = new SimDisk();
  const horizons = new Horizons(storeOver(hasher, disk.open()).store.meta);
  const before = disk.commits;
  horizons.raise([...UNITS, ...UNITS.map((unit) => ({ ...unit, stamp: 3 }))]);
  expect(disk.commits).toBe(before + 1);
  horizons.raise(UNITS);
  expect(disk.commits).toBe(before + 1);
  disk.crash();
  const again = new Horizons(storeOver(hasher, disk.open()).store.meta);
  for (const { policy, partition, stamp } of UNITS) {
    expect(horizons.of(policy, partition)).toBe(stamp);
    expect(again.of(policy, partition)).toBe(stamp);
  }
});

test("none has risen when the disk is full", () => {
  const disk = new SimDisk();
  const horizons = new Horizons(storeOver(hasher, disk.open()).store.meta);
  disk.fullCommits = 1;
  expect(() => horizons.raise(UNITS)).toThrow(DiskFullError);
  expect(horizons.all()).toEqual([]);
  horizons.raise(UNITS);
  expect(horizons.all().length).toBe(PARTITIONS);
});

test("a reap round raises those of all its units and forgets its rows in one commit", async () => {
  const c = cluster(1);
  const [one] = c.reapers;
  if (one === undefined) throw new Error("no node");
  const stamp = Math.floor(c.clock.wallMs() - GRACE_MS - LIFE_MS) * 1000;
  for (let i = 0; i < REAP_KEYS_MAX; i++) {
    const dead = tombstoneOf(dotOf(1, 1, i + 1), { stamp });
    one.node.store.write(c.key(`k${i}`), { context: [dead.dot], siblings: [dead] }, null);
  }
  const commits = countCommits(one.node.store);
  await c.pass(QUIET_MS + 2 * LIFE_MS);
  expect(one.node.store.rows.size).toBe(0);
  expect(one.reaping.horizons.all().length).toBeGreaterThan(1);
  expect(commits()).toBe(1);
});

test("what an owner tells, and what it answers, is one commit each", async () => {
  const c = cluster(2);
  const [first, second] = c.reapers;
  if (first === undefined || second === undefined) throw new Error("no nodes");
  second.reaping.horizons.raise(UNITS.slice(0, 8));
  first.reaping.horizons.raise(UNITS.slice(8));
  const commits = [first, second].map(({ node }) => countCommits(node.store));
  await c.pass(QUIET_MS);
  for (const { reaping } of [first, second]) {
    expect(reaping.horizons.all().length).toBe(PARTITIONS);
  }
  expect(commits.map((count) => count())).toEqual([1, 1]);
});

test("owners that know it all are not told again, until one rises or somebody did not answer", async () => {
  const c = cluster(2);
  const [first, second] = c.reapers;
  const [low, high] = UNITS;
  if (first === undefined || second === undefined) throw new Error("no nodes");
  if (low === undefined || high === undefined) throw new Error("no units");
  let told = 0;
  let answers = false;
  c.drop = (_from, to, kind) => {
    if (kind !== "horizons" || to !== second.node.id) return "deliver";
    told++;
    return answers ? "deliver" : "refuse";
  };
  await c.pass(QUIET_MS);
  expect(told).toBeGreaterThan(2);
  answers = true;
  await c.pass(QUIET_MS);
  const before = told;
  await c.pass(GRACE_MS);
  expect(told).toBe(before);
  first.reaping.horizons.raise([low]);
  await c.pass(QUIET_MS);
  expect(told).toBe(before + 1);
  expect(second.reaping.horizons.all()).toEqual([low]);
  // What rises at the other comes from the other.
  second.reaping.horizons.raise([high]);
  await c.pass(QUIET_MS);
  expect(first.reaping.horizons.all()).toEqual([low, high]);
});

test("a peer's unit of a policy that is none, of whatever name, is not kept", async () => {
  const c = cluster(2);
  const [first, second] = c.reapers;
  if (first === undefined || second === undefined) throw new Error("no nodes");
  const version = first.reaping.r.membership.layout()?.version ?? 0;
  const [unit] = UNITS as [(typeof UNITS)[0]];
  const told = ["constructor", "toString", "none"].map((policy) => ({ ...unit, policy }));
  const outside = { ...unit, partition: PARTITIONS as PartitionId };
  const message = encodeHorizons(version, [...told, outside, unit]);
  const context = { from: second.node.id, timeoutMs: 1_000, diesMs: 60_000 };
  await first.node.handlers.horizons?.(message, context);
  expect(first.reaping.horizons.all()).toEqual([unit]);
  // Nor from an answer.
  second.node.handlers.horizons = () => encodeHorizons(version, [...told, outside]);
  await c.pass(QUIET_MS);
  expect(first.reaping.horizons.all()).toEqual([unit]);
});
