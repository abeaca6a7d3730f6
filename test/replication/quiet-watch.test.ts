/** The quiet rule over a store: what counts as something that happened to a key, and what does not. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { TOUCHED_SLOTS } from "../../src/core/limits.ts";
import { dotOf, tombstoneOf } from "../support/arbitraries.ts";
import { GRACE_MS, LIFE_MS, QUIET_MS, ReapingCluster } from "../support/reaping-cluster.ts";

let c: ReapingCluster;
beforeEach(() => {
  c = new ReapingCluster(1, 1);
});
afterEach(() => c.stop());

function one() {
  const [reaper] = c.reapers;
  if (reaper === undefined) throw new Error("no node");
  const { node, reaping } = reaper;
  return { store: node.store, quiet: reaping.quiet };
}

/** Deleted so long ago that it is due as soon as the node has been quiet. */
function writeDead(text: string): number {
  const stamp = Math.floor(c.clock.wallMs() - GRACE_MS - LIFE_MS) * 1000;
  const dead = tombstoneOf(dotOf(1, 1, 1), { stamp });
  return one().store.write(c.key(text), { context: [dead.dot], siblings: [dead] }, null);
}

test("a row that was reaped has touched no key", async () => {
  writeDead("k");
  const { store, quiet } = one();
  while (store.rows.size > 0) await c.pass(10);
  expect(quiet.isQuietKey(c.key("k"))).toBe(true);
});

test("a row that was dropped otherwise has, and no other key but those of its slot", async () => {
  const { store, quiet } = one();
  const rows = ["k", "l"].map((text) => ({ key: c.key(text), sequence: writeDead(text) }));
  await c.pass(QUIET_MS - LIFE_MS);
  store.remove(rows.slice(0, 1));
  // Of what is dropped while others are being reaped too: a commit may take back what a turn had written.
  quiet.reaping([c.key("k")], () => store.remove(rows.slice(1)));
  await c.pass(2 * LIFE_MS);
  expect(["k", "l", "m"].map((text) => quiet.isQuietKey(c.key(text)))).toEqual([
    false,
    false,
    true,
  ]);
  await c.pass(QUIET_MS);
  expect(quiet.isQuietKey(c.key("k"))).toBe(true);
});

test("what is kept aside touches its key when it comes and when it goes", async () => {
  const { store, quiet } = one();
  const key = c.key("k");
  const dead = tombstoneOf(dotOf(1, 1, 1), { stamp: 1_000 });
  const record = { context: [dead.dot], siblings: [dead] };
  await c.pass(QUIET_MS);
  const sequence = store.setAside("hint/x", key, record, null, new Uint8Array(0));
  expect(quiet.isQuietKey(key)).toBe(false);
  await c.pass(QUIET_MS + LIFE_MS);
  expect(quiet.isQuietKey(key)).toBe(true);
  store.dropAside([{ shelf: "hint/x", key, sequence }]);
  expect(quiet.isQuietKey(key)).toBe(false);
});

test("a hundred thousand keys touched within the quiet time leave nearly all others quiet", async () => {
  const { store, quiet } = one();
  await c.pass(QUIET_MS);
  const touched = 100_000;
  for (let i = 0; i < touched; i++) {
    store.remove([{ key: c.key(`t${i}`), sequence: writeDead(`t${i}`) }]);
  }
  const others = Array.from({ length: 2_000 }, (_, i) => c.key(`o${i}`));
  const unquiet = others.filter((key) => !quiet.isQuietKey(key)).length;
  expect(unquiet / others.length).toBeLessThan((2 * touched) / TOUCHED_SLOTS);
});
