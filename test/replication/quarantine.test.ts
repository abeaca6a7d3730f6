import { expect, test } from "bun:test";
import { parseNamespaceId } from "../../src/core/ids.ts";
import { makeKey } from "../../src/core/key.ts";
import { quarantinePage } from "../../src/replication/quarantine.ts";
import { QUARANTINE_SHELF } from "../../src/storage/shelves.ts";
import { dotOf, siblingOf } from "../support/arbitraries.ts";
import { createTestHasher } from "../support/hasher.ts";
import { FakeStore } from "../support/replication-cluster.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const hasher = await createTestHasher();

test("the quarantine is shown whole, page after page, values included", () => {
  const store = new FakeStore(new VirtualClock(), 1);
  const dot = dotOf(1, 1, 1);
  const record = { context: [dot], siblings: [siblingOf(dot)] };
  const keys = Array.from({ length: 20 }, (_, i) => `key ${i} ä`);
  for (const text of keys) {
    const key = makeKey(hasher, parseNamespaceId(7), text);
    store.setAside(QUARANTINE_SHELF, key, record, null, new Uint8Array(0));
  }
  const seen: string[] = [];
  let cursor: string | null = null;
  let pages = 0;
  do {
    const page = quarantinePage(store, cursor);
    if (page === undefined) throw new Error("not a cursor");
    for (const row of page.rows) {
      expect(row.namespaceId).toBe(7);
      expect(row.siblings.map(({ value }) => atob(value))).toEqual(["1/1/1"]);
      seen.push(row.key);
    }
    cursor = page.cursor;
    pages++;
  } while (cursor !== null);
  expect(seen.toSorted()).toEqual(keys.toSorted());
  expect(pages).toBeGreaterThan(2);
});

test("a cursor that no page ended with is none", () => {
  const store = new FakeStore(new VirtualClock(), 1);
  for (const text of ["", "1", "1.1", "1.1.%", "-1.1.aw", "1.1.a.w"]) {
    expect(quarantinePage(store, text)).toBeUndefined();
  }
});
