/** Rows of a restored backup: a backup may be behind a reap (design 7, "Age alone never deletes data"; counterexample 2). */
import { afterEach, describe, expect, test } from "bun:test";
import { RESTORED_BYTES_AT_ONCE } from "../../src/core/limits.ts";
import { EMPTY_RECORD } from "../../src/core/record.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import { recoveryWorker } from "../../src/replication/recovery.ts";
import { QUARANTINE_SHELF, RESTORED_SHELF } from "../../src/storage/shelves.ts";
import { dotOf, siblingOf } from "../support/arbitraries.ts";
import {
  GRACE_MS,
  QUIET_MS,
  ReapingCluster,
  type ReapingNode,
} from "../support/reaping-cluster.ts";

const NO_NOTE = new Uint8Array(0);
const DUE_MS = GRACE_MS + QUIET_MS + 2_000;
/** For the worker to look, ask and decide. */
const DECIDED_MS = 3_000;
const ALL = { consistency: { level: "all" } } as const;

let running: ReapingCluster[] = [];
afterEach(async () => {
  for (const cluster of running) await cluster.stop();
  running = [];
});

function cluster(nodes = 4, copies = 3): ReapingCluster {
  const made = new ReapingCluster(nodes, copies);
  running.push(made);
  return made;
}

function owners(c: ReapingCluster): [ReapingNode, ReapingNode, ReapingNode] {
  return c.places("k").owners as [ReapingNode, ReapingNode, ReapingNode];
}

function rowAt(c: ReapingCluster, { node }: ReapingNode): CausalRecord {
  const stored = node.store.read(c.key("k"));
  return stored.state === "record" ? stored.record : EMPTY_RECORD;
}

/** The node's database is a backup of a moment when its row was `row`: what it held since is gone. */
function restore(
  c: ReapingCluster,
  { node }: ReapingNode,
  row: CausalRecord,
  shelf = RESTORED_SHELF,
) {
  node.store.rows.delete(c.key("k").id);
  node.store.setAside(shelf, c.key("k"), row, null, NO_NOTE);
}

function shelves(c: ReapingCluster, { node }: ReapingNode): string[] {
  return node.store.asides(c.key("k")).map(({ shelf }) => shelf);
}

describe("a row of a restored backup", () => {
  test("whose delete was reaped since goes to the quarantine and is never served", async () => {
    const c = cluster();
    await c.put(0, "k", "old", ALL);
    const [first] = owners(c);
    const old = rowAt(c, first);
    await c.put(0, "k", "", { deleted: true, contentType: "", ...ALL });
    await c.pass(DUE_MS);
    expect(c.holders("k")).toEqual([]);
    restore(c, first, old);
    await c.pass(DECIDED_MS);
    expect(shelves(c, first)).toEqual([QUARANTINE_SHELF]);
    expect(first.node.replication.counters.quarantined).toBe(1);
    await c.pass(DUE_MS);
    const got = await c.get(0, "k", ALL);
    expect(got.status === "ok" ? got.chosen : got).toEqual([]);
    expect(c.holders("k")).toEqual([]);
    expect(shelves(c, first)).toEqual([QUARANTINE_SHELF]);
  });

  test("joins what an earlier restore put in the quarantine of its key", async () => {
    const c = cluster();
    const [first, second] = owners(c);
    const { hash } = c.key("k");
    const partition = (hash.hi >>> 28) as never;
    second.reaping.horizons.raise([{ policy: "default", partition, stamp: 2 ** 52 }]);
    const [old, later] = [dotOf(8, 1, 1), dotOf(9, 1, 1)];
    restore(c, first, { context: [old], siblings: [siblingOf(old, { stamp: 1 })] });
    await c.pass(DECIDED_MS);
    restore(c, first, { context: [later], siblings: [siblingOf(later, { stamp: 2 })] });
    await c.pass(DECIDED_MS);
    const [found, ...others] = first.node.store.asides(c.key("k"));
    expect(others).toEqual([]);
    expect(found?.shelf).toBe(QUARANTINE_SHELF);
    const siblings = found?.state === "record" ? found.record.siblings : [];
    expect(siblings.map(({ dot }) => dot)).toEqual([old, later]);
    expect(first.node.replication.counters.quarantined).toBe(2);
  });

  test("that is still alive elsewhere is merged, however old it is", async () => {
    const c = cluster();
    await c.put(0, "k", "old", ALL);
    const [first] = owners(c);
    restore(c, first, rowAt(c, first));
    await c.pass(DECIDED_MS);
    expect(shelves(c, first)).toEqual([]);
    expect(first.node.replication.counters.restoredMerged).toBe(1);
    expect(rowAt(c, first)).toEqual(rowAt(c, owners(c)[1]));
  });

  test("that was deleted, and the tombstone is still there, is dropped", async () => {
    const c = cluster();
    await c.put(0, "k", "old", ALL);
    const [first] = owners(c);
    const old = rowAt(c, first);
    await c.put(0, "k", "", { deleted: true, contentType: "", ...ALL });
    restore(c, first, old);
    await c.pass(DECIDED_MS);
    expect(shelves(c, first)).toEqual([]);
    expect(first.node.replication.counters.restoredDropped).toBe(1);
    await c.pass(2 * DUE_MS);
    const got = await c.get(0, "k", ALL);
    expect(got.status === "ok" ? got.chosen : got).toEqual([]);
  });

  test("that nobody else has, newer than whatever was reaped, is merged and served", async () => {
    const c = cluster();
    const [first] = owners(c);
    const dot = dotOf(9, 1, 1);
    restore(c, first, { context: [dot], siblings: [siblingOf(dot, { stamp: 2 ** 52 })] });
    await c.pass(DECIDED_MS);
    expect(shelves(c, first)).toEqual([]);
    expect(rowAt(c, first).siblings.map((sibling) => sibling.dot)).toEqual([dot]);
    expect(first.node.replication.counters.restoredMerged).toBe(1);
  });

  test("whose write a full disk has undone stays on its shelf, whatever became of later ones", async () => {
    const c = cluster(3);
    const { node } = owners(c)[0];
    const { store } = node;
    const dot = dotOf(9, 1, 1);
    const row = { context: [dot], siblings: [siblingOf(dot, { stamp: 2 ** 52 })] };
    for (const text of ["k", "l"]) {
      store.setAside(RESTORED_SHELF, c.key(text), row, null, NO_NOTE);
    }
    // The first write of a turn of two commits, of which the first fails.
    let undone = -1;
    const [write, isDurable] = [store.write.bind(store), store.isDurable.bind(store)];
    store.write = (key, record, minted) => {
      const sequence = write(key, record, minted);
      if (undone < 0) {
        undone = sequence;
        store.rows.delete(key.id);
      }
      return sequence;
    };
    store.isDurable = (sequence) => sequence !== undone && isDurable(sequence);
    await c.pass(2 * DECIDED_MS);
    expect(undone).toBeGreaterThan(0);
    for (const text of ["k", "l"]) {
      const held = store.read(c.key(text));
      expect(held.state === "record" ? held.record.context : held.state).toEqual([dot]);
    }
    expect(store.asideUsage().has(RESTORED_SHELF)).toBe(false);
  });

  test("is asked about with so many others as are few bytes together", async () => {
    const c = cluster(3);
    const [{ node }, second] = owners(c);
    for (const text of ["k", "l", "m", "n"]) {
      const dot = dotOf(9, 1, 1);
      const sibling = siblingOf(dot, { stamp: 2 ** 52, valueBytes: RESTORED_BYTES_AT_ONCE / 2 });
      const row = { context: [dot], siblings: [sibling] };
      node.store.setAside(RESTORED_SHELF, c.key(text), row, null, NO_NOTE);
    }
    const { restored } = second.node.handlers;
    const asked: number[] = [];
    Object.assign(second.node.handlers, {
      restored: (...args: Parameters<NonNullable<typeof restored>>) => {
        asked.push((args[0][1] as unknown[]).length / 2);
        return restored?.(...args);
      },
    });
    await c.pass(DECIDED_MS);
    expect(asked).toEqual([2, 2]);
    expect(node.store.asideUsage().has(RESTORED_SHELF)).toBe(false);
  });

  test("that cannot be read goes at the second look, and is told: it would keep the node in doubt", async () => {
    const c = cluster(3);
    const [{ node }] = owners(c);
    restore(c, owners(c)[0], EMPTY_RECORD);
    const lines: string[] = [];
    Object.assign(node.replication.env.logger, { error: (event: string) => lines.push(event) });
    const { scanAside } = node.store;
    let looks = 0;
    node.store.scanAside = (shelf, after, limit) => {
      const found = scanAside.call(node.store, shelf, after, limit);
      looks += found.rows.length;
      return {
        rows: found.rows.map(({ key, sequence }) => ({ state: "unknown", shelf, key, sequence })),
        next: found.next,
      };
    };
    await c.pass(2 * DECIDED_MS);
    expect(looks).toBe(2);
    expect(node.store.asideUsage().has(RESTORED_SHELF)).toBe(false);
    expect(lines).toEqual(["restored-row-unreadable"]);
  });

  test("at a node that is no owner goes to the owners like a hint that nobody has had", async () => {
    const c = cluster();
    const [first] = owners(c);
    const [other] = c.places("k").others as [ReapingNode];
    const dot = dotOf(9, 1, 1);
    restore(c, other, { context: [dot], siblings: [siblingOf(dot, { stamp: 2 ** 52 })] });
    await c.pass(DECIDED_MS);
    expect(shelves(c, other)).toEqual([`hint/${first.node.id}`]);
  });

  test("waits for every other owner, however long one is away, and is not served meanwhile", async () => {
    const c = cluster();
    await c.put(0, "k", "old", ALL);
    const [first, , third] = owners(c);
    const old = rowAt(c, first);
    await c.put(0, "k", "", { deleted: true, contentType: "", ...ALL });
    await c.pass(DUE_MS);
    // The one that is away is the only one that still knows of the reap.
    for (const { node, reaping } of owners(c)) {
      if (node.id !== third.node.id)
        for (const known of reaping.horizons.all()) forget(reaping, known);
    }
    c.drop = (_from, to) => (to === third.node.id ? "refuse" : "deliver");
    restore(c, first, old);
    await c.pass(10 * DECIDED_MS);
    expect(shelves(c, first)).toEqual([RESTORED_SHELF]);
    const got = await c.get(0, "k", { consistency: { level: "one" } });
    expect(got.status === "ok" ? got.chosen : got).toEqual([]);
    c.drop = () => "deliver";
    await c.pass(DECIDED_MS);
    expect(shelves(c, first)).toEqual([QUARANTINE_SHELF]);
  });

  // Found by the simulator (seed 6557): the third owner's word and the silence of the shelf were taken for all that there was.
  test("that another owner had as well, and has lost, is not given up there, and neither waits for the other for ever", async () => {
    const c = cluster();
    const [first, second, third] = owners(c);
    c.drop = (_from, to) => (to === third.node.id ? "refuse" : "deliver");
    await c.put(0, "k", "v", { sloppy: false });
    const row = rowAt(c, first);
    expect(rowAt(c, second)).toEqual(row);
    c.drop = () => "deliver";
    restore(c, first, row);
    first.node.replication.doubt.begin();
    const { doubt } = second.node.replication;
    second.node.store.rows.delete(c.key("k").id);
    doubt.beforeOverwrite(c.key("k"));
    const recovery = recoveryWorker(second.node.replication);
    await c.pass(DECIDED_MS);
    expect(shelves(c, first)).toEqual([RESTORED_SHELF]);
    await c.settle(recovery.step());
    expect(doubt.ofRow(c.key("k"))).toBe(true);
    await c.pass(DECIDED_MS);
    expect(shelves(c, first)).toEqual([]);
    await c.settle(recovery.step());
    expect(doubt.ofRow(c.key("k"))).toBe(false);
    expect(rowAt(c, second)).toEqual(row);
  });

  test("that is not decided yet keeps its tombstone from being reaped", async () => {
    const c = cluster();
    await c.put(0, "k", "old", ALL);
    const [first, , third] = owners(c);
    const old = rowAt(c, first);
    const [other] = c.places("k").others as [ReapingNode];
    await c.put(0, "k", "", { deleted: true, contentType: "", ...ALL });
    other.node.store.setAside(RESTORED_SHELF, c.key("k"), old, null, NO_NOTE);
    c.drop = (_from, to, kind) =>
      kind === "restored" && to === third.node.id ? "refuse" : "deliver";
    await c.pass(2 * DUE_MS);
    expect(c.holders("k").length).toBe(3);
    c.drop = () => "deliver";
    await c.pass(2 * DUE_MS);
    expect(shelves(c, other)).toEqual([]);
    expect(c.holders("k")).toEqual([]);
  });

  test("is not decided by the word of an owner that has not looked at all of its own backup", async () => {
    const c = cluster();
    const [first, second] = owners(c);
    second.node.store.isRestoring = true;
    const dot = dotOf(9, 1, 1);
    restore(c, first, { context: [dot], siblings: [siblingOf(dot)] });
    await c.pass(2 * DECIDED_MS);
    expect(shelves(c, first)).toEqual([RESTORED_SHELF]);
    second.node.store.isRestoring = false;
    await c.pass(DECIDED_MS);
    expect(rowAt(c, first).siblings.length).toBe(1);
  });

  test("is back when all owners were restored from the same night, though there had been reaps before", async () => {
    const c = cluster();
    await c.put(0, "k", "old", ALL);
    const row = rowAt(c, owners(c)[0]);
    for (const each of owners(c)) {
      restore(c, each, row);
      const layout = each.node.replication.membership.layout();
      const partition = (c.key("k").hash.hi >>> 28) as never;
      if (layout !== undefined)
        each.reaping.horizons.raise([{ policy: "default", partition, stamp: 2 ** 52 }]);
    }
    await c.pass(2 * DECIDED_MS);
    for (const each of owners(c)) expect(rowAt(c, each)).toEqual(row);
  });

  test("of a sole owner is back without asking anybody", async () => {
    const c = cluster(1, 1);
    await c.put(0, "k", "old");
    const [only] = c.places("k").owners as [ReapingNode];
    const row = rowAt(c, only);
    restore(c, only, row);
    await c.pass(DECIDED_MS);
    expect(rowAt(c, only)).toEqual(row);
  });
});

/** As a node that has lost its disk would have. */
function forget(
  reaping: ReapingNode["reaping"],
  known: { policy: string; partition: number },
): void {
  const { horizons } = reaping as unknown as { horizons: { of: unknown } };
  const before = reaping.horizons.of.bind(reaping.horizons);
  horizons.of = (policy: string, partition: never) =>
    policy === known.policy && partition === known.partition ? 0 : before(policy, partition);
}
