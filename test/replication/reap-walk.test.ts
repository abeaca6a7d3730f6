/** The reaper's walk: what it holds in memory, and what it forgets of it. */
import { afterEach, expect, test } from "bun:test";
import { compileLayout } from "../../src/core/active-layout.ts";
import { REAP_KEYS_MAX } from "../../src/core/limits.ts";
import { dotOf, tombstoneOf } from "../support/arbitraries.ts";
import { GRACE_MS, LIFE_MS, QUIET_MS, ReapingCluster } from "../support/reaping-cluster.ts";

const KEYS = 1_000;
/** A step of the walk finds up to 128 rows and a round takes 64, ten times a second: 1.6 s, and some for the start. */
const WALK_MS = 4_000;

let running: ReapingCluster | null = null;
afterEach(async () => {
  await running?.stop();
  running = null;
});

/** One node, with tombstones that are due, all at once, as soon as it has been quiet for long enough. */
function clusterOfOne() {
  const c = new ReapingCluster(1, 1);
  running = c;
  const [one] = c.reapers;
  if (one === undefined) throw new Error("no node");
  const stamp = Math.floor(c.clock.wallMs() - GRACE_MS - LIFE_MS) * 1000;
  for (let i = 0; i < KEYS; i++) {
    const dead = tombstoneOf(dotOf(1, 1, i + 1), { stamp });
    one.node.store.write(c.key(`k${i}`), { context: [dead.dot], siblings: [dead] }, null);
  }
  /** Before each page of a walk: what the pages before it have found and no round has taken. */
  const found: number[] = [];
  const { store } = one.node;
  const scanPlaces = store.scanPlaces.bind(store);
  let rowsFound = 0;
  store.scanPlaces = (request) => {
    found.push(rowsFound - (KEYS - store.rows.size));
    // Nothing to see before all is due, so that the first walk that finds anything is a whole one.
    const isDue = one.reaping.quiet.isQuietRow(store.lastSequence());
    const page = scanPlaces(isDue ? request : { ...request, to: 0 });
    rowsFound += page.rows.length;
    return page;
  };
  return { c, one, found, rowsFound: () => rowsFound };
}

test("looks at no more rows while a round is full, so what is due is bounded", async () => {
  const { c, one, found } = clusterOfOne();
  await c.pass(QUIET_MS + LIFE_MS + WALK_MS);
  expect(one.node.store.rows.size).toBe(0);
  expect(Math.max(...found)).toBeLessThan(REAP_KEYS_MAX);
});

test("what is left of a walk is done before the next one begins: nothing is found twice", async () => {
  const { c, one, rowsFound } = clusterOfOne();
  await c.pass(QUIET_MS + LIFE_MS + WALK_MS);
  expect(one.node.store.rows.size).toBe(0);
  expect(rowsFound()).toBe(KEYS);
});

test("when the layout changes, what was due by the old one is forgotten and the walk begins anew", async () => {
  const { c, one } = clusterOfOne();
  while (one.node.store.rows.size === KEYS) await c.pass(10);
  const { membership } = one.reaping.r;
  const layout = membership.layout();
  if (layout === undefined) throw new Error("no layout");
  const cursors: unknown[] = [];
  const { store } = one.node;
  const scanPlaces = store.scanPlaces.bind(store);
  store.scanPlaces = (request) => {
    cursors.push(request.after);
    return scanPlaces(request);
  };
  const next = compileLayout(layout.document);
  Object.assign(membership, { layout: () => next });
  while (cursors.length === 0) await c.pass(10);
  expect(cursors[0]).toBeNull();
  await c.pass(WALK_MS);
  expect(one.node.store.rows.size).toBe(0);
});
