import { describe, expect, test } from "bun:test";
import { bytesToHex } from "../../src/core/bytes.ts";
import type { NodeId } from "../../src/core/ids.ts";
import { REQUEST_TIMEOUT_DEFAULT_MS } from "../../src/core/limits.ts";
import { encodeBody, encodeHead } from "../../src/core/record-codec.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import { AntiEntropy } from "../../src/replication/anti-entropy.ts";
import { decodeRootsAnswer, encodeRoots } from "../../src/replication/exchange-messages.ts";
import { createTestHasher } from "../support/hasher.ts";
import { type FakeNode, ReplicationCluster } from "../support/replication-cluster.ts";
import { recordOf } from "../support/store-bench.ts";

const hasher = await createTestHasher();
const REGIONS = ["eu", "eu", "eu"];

function clusterOf(nodes: number, copies = nodes): ReplicationCluster {
  const cluster = new ReplicationCluster(REGIONS.slice(0, nodes), copies);
  return cluster;
}

function buildTrees(cluster: ReplicationCluster): void {
  for (const node of cluster.nodes) while (node.trees.step(100));
}

/** `k` and each of these numbers, in base 36 here, fall into one leaf of sixteen partitions: found by trying a million. */
const KEYS_OF_ONE_LEAF = (
  "0 1xfg 2f5n 2f6k 2ofq 3b4l 464k 4acb 4nkq 4pcg 4wh3 552z 5atn 5g57 5mhk 5tce 5um3 5v14 63te " +
  "6m7v 6s87 6uyk 70a7 70e6 74bv 7eym 7g8o 7m2h 7qq0 7vlf 94z4 9d57 9rub a9o5 ae6p aswt at08 " +
  "bnld c558 caww cgv7 cpow cts3 cu3x cwiw d5b9 dpra e4od enrw fhed fksk fycz geb3 hasi hi8o " +
  "hnu0 i360 i39j i81k iczh iih4 inzk ioer j35g jehq jf9f jkju jrc4 kyt7 l4kq m27k m9qi mksh " +
  "mty3 n4w2 nhei nm4k npxa nzg9 obdm"
)
  .split(" ")
  .map((digits) => Number.parseInt(digits, 36));

let counter = 0;
/** A row at one node alone: what the others have missed. */
function writeAt(cluster: ReplicationCluster, at: number, text: string, value = "v"): CausalRecord {
  const record = recordOf(hasher, ++counter, value);
  cluster.node(at).store.write(cluster.key(text), record, null);
  return record;
}

function writeEverywhere(cluster: ReplicationCluster, text: string): void {
  const record = recordOf(hasher, ++counter, "v");
  for (const node of cluster.nodes) node.store.write(cluster.key(text), record, null);
}

/** Lets the turn end, so that what was written is durable. */
function commit(cluster: ReplicationCluster): void {
  for (const node of cluster.nodes) node.store.commit();
}

function rowsOf(node: FakeNode): string[] {
  return [...node.store.rows.values()]
    .map(
      ({ key, record }) =>
        `${key.id} ${bytesToHex(encodeHead(record))} ${bytesToHex(encodeBody(record))}`,
    )
    .sort();
}

function round(
  cluster: ReplicationCluster,
  from: number,
  to: number,
): Promise<number | "busy" | "failed"> {
  const { replication, antiEntropy } = cluster.node(from);
  const layout = replication.membership.layout();
  if (layout === undefined) throw new Error("no layout");
  return cluster.settle(antiEntropy.roundWith(cluster.node(to).id as NodeId, layout), 600_000);
}

/** Two keys for which `of` says the same. */
function neighbours(of: (text: string) => string): [string, string] {
  const seen = new Map<string, string>();
  for (let i = 0; ; i++) {
    const text = `n${i}`;
    const before = seen.get(of(text));
    if (before !== undefined) return [before, text];
    seen.set(of(text), text);
  }
}

function kindsSent(cluster: ReplicationCluster, at: number): string[] {
  return cluster.node(at).sent.map((message) => message.kind);
}

describe("a round of anti-entropy", () => {
  test("between equal owners is one message", async () => {
    const cluster = clusterOf(3);
    for (let i = 0; i < 50; i++) writeEverywhere(cluster, `k${i}`);
    commit(cluster);
    buildTrees(cluster);
    expect(await round(cluster, 0, 1)).toBe(0);
    expect(kindsSent(cluster, 0)).toEqual(["treeRoots"]);
  });

  test("gives each side what it lacks, and nobody else", async () => {
    const cluster = clusterOf(3);
    for (let i = 0; i < 200; i++) writeEverywhere(cluster, `k${i}`);
    for (let i = 0; i < 20; i++) writeAt(cluster, i % 2, `only-${i}`);
    commit(cluster);
    buildTrees(cluster);
    expect(await round(cluster, 0, 1)).toBe(20);
    expect(rowsOf(cluster.node(0))).toEqual(rowsOf(cluster.node(1)));
    expect(rowsOf(cluster.node(0)).length).toBe(220);
    expect(rowsOf(cluster.node(2)).length).toBe(200);
    expect(await round(cluster, 0, 1)).toBe(0);
    expect(cluster.node(0).antiEntropy.figures).toMatchObject({ rounds: 2, roundsFailed: 0 });
  });

  test("of which one message fails sends no further one, and is over only when the others have ended", async () => {
    const cluster = clusterOf(2);
    for (let i = 0; i < 1_000; i++) writeEverywhere(cluster, `k${i}`);
    for (let i = 0; i < 100; i++) writeAt(cluster, 0, `only-${i}`);
    commit(cluster);
    buildTrees(cluster);
    let rowMessages = 0;
    cluster.drop = (_from, _to, kind) => {
      if (kind !== "treeRows" && kind !== "treePush") return "deliver";
      rowMessages++;
      return rowMessages === 1 ? "refuse" : "silence";
    };
    const beganMs = cluster.clock.monotonicMs();
    expect(await round(cluster, 0, 1)).toBe("failed");
    expect(rowMessages).toBeGreaterThan(1);
    expect(rowMessages).toBeLessThanOrEqual(4);
    expect(cluster.clock.monotonicMs() - beganMs).toBeGreaterThanOrEqual(
      REQUEST_TIMEOUT_DEFAULT_MS,
    );
    const before = rowMessages;
    await cluster.clock.run(cluster.clock.monotonicMs() + 60_000);
    expect(rowMessages).toBe(before);
    cluster.drop = () => "deliver";
    expect(await round(cluster, 0, 1)).toBe(100);
  });

  test("merges records that are different on both sides: siblings meet", async () => {
    const cluster = clusterOf(2);
    for (let i = 0; i < 10; i++) {
      cluster.drop = (from) => (from === cluster.node(0).id ? "refuse" : "deliver");
      await cluster.put(0, `k${i}`, "left", { consistency: { count: 1 } });
      cluster.drop = () => "refuse";
      await cluster.put(1, `k${i}`, "right", { consistency: { count: 1 } });
    }
    cluster.drop = () => "deliver";
    buildTrees(cluster);
    expect(await round(cluster, 0, 1)).toBeGreaterThan(0);
    expect(rowsOf(cluster.node(0))).toEqual(rowsOf(cluster.node(1)));
    for (const node of cluster.nodes) {
      const merged = node.store.read(cluster.key("k3"));
      expect(merged.state === "record" && merged.record.siblings.length).toBe(2);
    }
  });

  test("pulls what is newer there and does not send it back", async () => {
    const cluster = clusterOf(2);
    writeEverywhere(cluster, "k");
    commit(cluster);
    cluster.drop = () => "refuse";
    await cluster.put(1, "k", "newer", { consistency: { count: 1 } });
    cluster.drop = () => "deliver";
    expect(rowsOf(cluster.node(0))).not.toEqual(rowsOf(cluster.node(1)));
    cluster.node(0).sent.length = 0;
    buildTrees(cluster);
    await round(cluster, 0, 1);
    expect(rowsOf(cluster.node(0))).toEqual(rowsOf(cluster.node(1)));
    expect(kindsSent(cluster, 0)).not.toContain("treePush");
  });

  test("does nothing about a write that was only on its way", async () => {
    const cluster = clusterOf(2);
    for (let i = 0; i < 50; i++) writeEverywhere(cluster, `k${i}`);
    commit(cluster);
    buildTrees(cluster);
    const record = writeAt(cluster, 0, "late");
    commit(cluster);
    cluster.clock.after(200, () => {
      cluster.node(1).store.write(cluster.key("late"), record, null);
      cluster.node(1).store.commit();
    });
    expect(await round(cluster, 0, 1)).toBe(0);
    expect(kindsSent(cluster, 0)).toEqual(["treeRoots", "treeSums", "treeSums", "treeSums"]);
  });

  test("does nothing about a leaf of which another one of its group differed before", async () => {
    const cluster = clusterOf(2);
    const { shape } = cluster.node(0).trees;
    if (shape === null) throw new Error("no shape");
    const groupOf = (text: string): string => {
      const { hash } = cluster.key(text);
      return `${shape.partitionOf(hash)}/${Math.floor(shape.leafOf(hash) / shape.fanOut)}`;
    };
    const [one, other] = neighbours((text) => groupOf(text));
    buildTrees(cluster);
    const record = writeAt(cluster, 0, one);
    commit(cluster);
    cluster.clock.after(200, () => {
      cluster.node(1).store.write(cluster.key(one), record, null);
      writeAt(cluster, 0, other);
      commit(cluster);
    });
    expect(await round(cluster, 0, 1)).toBe(0);
    expect(await round(cluster, 0, 1)).toBe(1);
  });

  test("goes on where an answer has ended early", async () => {
    const cluster = clusterOf(2);
    for (let i = 0; i < 4500; i++) writeAt(cluster, 1, `k${i}`);
    commit(cluster);
    buildTrees(cluster);
    // One answer names 4,096 keys at most, in the last unit of which it leaves the rest to the next round.
    const first = await round(cluster, 0, 1);
    expect(first).toBeGreaterThan(4096);
    expect(await round(cluster, 0, 1)).toBe(4500 - Number(first));
  });

  test("tells nothing of a row before it is durable, on either side", async () => {
    for (const [writer, asker] of [
      [0, 0],
      [1, 0],
    ] as const) {
      const cluster = clusterOf(2);
      buildTrees(cluster);
      const { store } = cluster.node(writer);
      store.autoCommit = false;
      writeAt(cluster, writer, "uncommitted");
      const running = round(cluster, asker, 1 - asker).catch(() => "stuck");
      cluster.clock.after(100, () => store.rollback());
      expect(await running).toBe(0);
      // What was compared in the end are the rows without it.
      expect(kindsSent(cluster, asker)).toEqual(["treeRoots"]);
      expect(cluster.nodes.map((node) => node.store.rows.size)).toEqual([0, 0]);
    }
  });

  test("cuts leaves with many rows into sixteen, and lists only what is short", async () => {
    const cluster = clusterOf(2);
    const keys = KEYS_OF_ONE_LEAF.map((number) => `k${number}`);
    for (const key of keys.slice(3)) writeEverywhere(cluster, key);
    for (const key of keys.slice(0, 3)) writeAt(cluster, 0, key);
    commit(cluster);
    buildTrees(cluster);
    expect(await round(cluster, 0, 1)).toBe(3);
    expect(rowsOf(cluster.node(0))).toEqual(rowsOf(cluster.node(1)));
    const lists = cluster.node(0).sent.filter((message) => message.kind === "treeRows");
    expect(lists.length).toBeGreaterThanOrEqual(2);
  });

  test("compares nothing while trees are being built, here or there", async () => {
    for (const unbuilt of [0, 1]) {
      const cluster = clusterOf(2);
      writeAt(cluster, 0, "k");
      commit(cluster);
      while (cluster.node(1 - unbuilt).trees.step(100));
      expect(await round(cluster, 0, 1)).toBe(0);
      expect(kindsSent(cluster, 0).length).toBe(unbuilt === 0 ? 0 : 1);
      buildTrees(cluster);
      expect(await round(cluster, 0, 1)).toBe(1);
    }
  });

  test("compares nothing with a node whose digests are made with another secret", async () => {
    const cluster = clusterOf(2);
    writeAt(cluster, 0, "k");
    commit(cluster);
    buildTrees(cluster);
    const { replication, trees } = cluster.node(0);
    const stranger = new AntiEntropy({ r: replication, trees, keyId: "key-2" });
    const layout = replication.membership.layout();
    if (layout === undefined) throw new Error("no layout");
    expect(await cluster.settle(stranger.roundWith(cluster.node(1).id, layout))).toBe("failed");
    expect(cluster.node(1).store.rows.size).toBe(0);
    expect(stranger.figures.roundsFailed).toBe(1);
  });

  test("moves whole databases when one side has lost everything", async () => {
    const cluster = clusterOf(2);
    for (let i = 0; i < 400; i++) writeAt(cluster, 0, `k${i}`);
    commit(cluster);
    buildTrees(cluster);
    let rows: unknown = -1;
    for (let rounds = 0; rows !== 0 && rounds < 10; rounds++) rows = await round(cluster, 1, 0);
    expect(rows).toBe(0);
    expect(rowsOf(cluster.node(1))).toEqual(rowsOf(cluster.node(0)));
  });

  test("brings back a row that cannot be read here", async () => {
    const cluster = clusterOf(2);
    for (let i = 0; i < 20; i++) writeEverywhere(cluster, `k${i}`);
    commit(cluster);
    cluster.node(0).store.unreadable.add(cluster.key("k7").id);
    buildTrees(cluster);
    expect(cluster.node(0).replication.doubt.anyRow).toBe(true);
    expect(await round(cluster, 0, 1)).toBe(1);
    expect(cluster.node(0).store.read(cluster.key("k7")).state).toBe("record");
  });
});

test("the worker goes round the peers that are there, and waits when nothing differs", async () => {
  const cluster = clusterOf(3);
  buildTrees(cluster);
  const worker = cluster.node(0).antiEntropy.worker();
  const step = () => cluster.settle(worker.step(), 60_000);
  expect(await step()).toBe(5_000);
  expect(await step()).toBe(5_000);
  const asked = cluster.node(0).sent.map((message) => message.to);
  expect(new Set(asked).size).toBe(2);
  cluster.down.add(cluster.node(1).id);
  expect(await step()).toBe(10_000);
  expect(await step()).toBe(10_000);
  expect(
    cluster
      .node(0)
      .sent.slice(2)
      .every((message) => message.to === cluster.node(2).id),
  ).toBe(true);
  writeAt(cluster, 2, "k");
  commit(cluster);
  expect(await step()).toBe(50);
  expect(cluster.node(0).store.rows.size).toBe(1);
  const { peers, trees } = cluster.node(0).antiEntropy.view();
  expect([peers.length, trees]).toEqual([2, "built"]);
});

test("a round ends at its next message when the node stops", async () => {
  const cluster = clusterOf(2);
  writeAt(cluster, 0, "k");
  commit(cluster);
  buildTrees(cluster);
  const running = round(cluster, 0, 1);
  cluster.node(0).antiEntropy.stop();
  expect(await running).toBe("failed");
  expect(cluster.node(1).store.rows.size).toBe(0);
});

test("rows of owners of which the two are none of are left alone", async () => {
  const cluster = new ReplicationCluster(["eu", "eu", "eu", "eu"], 2);
  for (let i = 0; i < 200; i++) writeAt(cluster, 0, `k${i}`);
  commit(cluster);
  buildTrees(cluster);
  await round(cluster, 0, 1);
  const layout = cluster.node(0).replication.membership.layout();
  for (const { key } of cluster.node(1).store.rows.values()) {
    const homes = layout?.homes(
      "default",
      layout.partitions === 16 ? ((key.hash.hi >>> 28) as never) : (0 as never),
    );
    expect(homes).toContain(cluster.node(1).id);
    expect(homes).toContain(cluster.node(0).id);
  }
  expect(cluster.node(1).store.rows.size).toBeGreaterThan(0);
  // Not even to a peer that asks for them.
  const { handlers, id } = cluster.node(0);
  const partitions = Array.from({ length: 16 }, (_, p) => p);
  const asked = [{ policy: "default", partitions, roots: new Uint8Array(16 * 16).fill(1) }];
  const head = { layoutVersion: layout?.version ?? 0, keyId: "key-1" };
  const context = { from: cluster.node(1).id, timeoutMs: 1000, diesMs: 60_000 };
  const answer = await handlers.treeRoots?.(encodeRoots(head, asked), context);
  const [differing] = decodeRootsAnswer(answer ?? [], 1);
  for (const partition of differing ?? []) {
    const homes = layout?.homes("default", partition as never);
    expect(homes).toContain(id);
    expect(homes).toContain(context.from);
  }
});

test("a policy that is none has no units to compare, whatever its name", async () => {
  const cluster = new ReplicationCluster(["eu", "eu"], 2);
  buildTrees(cluster);
  const { handlers, replication } = cluster.node(0);
  const head = { layoutVersion: replication.membership.layout()?.version ?? 0, keyId: "key-1" };
  const asked = ["constructor", "none"].map((policy) => {
    return { policy, partitions: [0], roots: new Uint8Array(16).fill(1) };
  });
  const context = { from: cluster.node(1).id, timeoutMs: 1000, diesMs: 60_000 };
  const answer = await handlers.treeRoots?.(encodeRoots(head, asked), context);
  expect(decodeRootsAnswer(answer ?? [], 2)).toEqual([[], []]);
});
