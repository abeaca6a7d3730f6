import { afterEach, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { utf8Encode } from "../../src/core/bytes.ts";
import { parseNamespaceId } from "../../src/core/ids.ts";
import { makeKey } from "../../src/core/key.ts";
import { RESTORED_BYTES_AT_ONCE } from "../../src/core/limits.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import type { Disk } from "../../src/env/disk.ts";
import { RESTORED_META } from "../../src/storage/meta-names.ts";
import { RESTORED_MARK } from "../../src/storage/restored-tables.ts";
import { QUARANTINE_SHELF, RESTORED_SHELF } from "../../src/storage/shelves.ts";
import { openSqliteDisk } from "../../src/storage/sqlite-disk.ts";
import { SimDisk } from "../simulation/sim-disk.ts";
import { dotOf, siblingOf } from "../support/arbitraries.ts";
import { createTestHasher } from "../support/hasher.ts";
import { sqliteDrivers, temporaryDirectory } from "../support/sqlite-drivers.ts";
import { storeOver } from "../support/store-bench.ts";

const hasher = await createTestHasher();
const NO_NOTE = new Uint8Array(0);

function recordBy(actor: number, valueBytes = 0): CausalRecord {
  const dot = dotOf(actor, 1, 1);
  const value = utf8Encode(`by ${actor}`.padEnd(valueBytes));
  const valueHash = hasher.hash64(value);
  const sibling = siblingOf(dot, { value, valueBytes: value.length, valueHash });
  return { context: [dot], siblings: [sibling] };
}

interface Fixture {
  readonly name: string;
  readonly make: () => { readonly open: () => Disk; readonly remove: () => void };
}

const fixtures: readonly Fixture[] = [
  {
    name: "simulator",
    make: () => {
      const disk = new SimDisk();
      return { open: () => disk.open(), remove: () => undefined };
    },
  },
  ...(await sqliteDrivers()).map((driver) => ({
    name: driver.name,
    make: () => {
      const directory = temporaryDirectory();
      const file = join(directory.path, "gyre.db");
      return {
        open: () => openSqliteDisk(driver, file, { durability: "process", hasher }),
        remove: () => directory.remove(),
      };
    },
  })),
];

/** What `gyre restore` does to the copy. */
function mark(disk: Disk): void {
  disk.begin();
  disk.setMeta(RESTORED_META, new Uint8Array([RESTORED_MARK]));
  disk.commit();
  disk.close();
}

for (const { name, make } of fixtures) {
  describe(`rows of a restored backup: ${name}`, () => {
    let remove: (() => void) | null = null;
    afterEach(() => remove?.());

    function fixture() {
      const made = make();
      remove = made.remove;
      return made;
    }
    const keys = ["a", "b", "c"].map((text) => makeKey(hasher, parseNamespaceId(1), text));
    const [a, b, c] = keys as [(typeof keys)[0], (typeof keys)[0], (typeof keys)[0]];

    function written(open: () => Disk) {
      const { store, clock } = storeOver(hasher, open());
      store.write(a, recordBy(1), null);
      store.write(b, recordBy(1), null);
      store.setAside("hint/x", b, recordBy(2), null, NO_NOTE);
      store.setAside("hint/x", c, recordBy(2), null, NO_NOTE);
      store.setAside(QUARANTINE_SHELF, a, recordBy(3), null, NO_NOTE);
      clock.endTurn();
      store.close();
    }

    test("are no rows and no hints of the node from the first open on, however many there are", () => {
      const { open } = fixture();
      written(open);
      mark(open());
      const { store } = storeOver(hasher, open());
      expect(store.isRestoring).toBe(true);
      expect(store.usage()).toEqual({ rows: 0, bytes: 0 });
      expect([...store.asideUsage()]).toEqual([]);
      expect(keys.map((key) => store.read(key).state)).toEqual(["absent", "absent", "absent"]);
      expect(keys.flatMap((key) => store.asides(key))).toEqual([]);
      store.close();
    });

    test("go to their shelf so many bytes at a time, and one at least", () => {
      const { open } = fixture();
      const before = storeOver(hasher, open());
      for (const [i, key] of keys.entries()) {
        before.store.write(key, recordBy(1, RESTORED_BYTES_AT_ONCE / 2 + i), null);
      }
      before.clock.endTurn();
      before.store.close();
      mark(open());
      const { store, clock } = storeOver(hasher, open());
      for (const rows of [2, 3]) {
        store.shelveRestored(10);
        clock.endTurn();
        expect(store.asideUsage().get(RESTORED_SHELF)?.rows).toBe(rows);
      }
      store.shelveRestored(10);
      expect(store.isRestoring).toBe(false);
      store.close();
    });

    test("are not lost when the disk is full for a part of a turn", () => {
      const sim = new SimDisk();
      written(() => sim.open());
      mark(sim.open());
      const { store, clock } = storeOver(hasher, sim.open(), { maxTurnRecords: 1 });
      // Each row goes with the transaction that ends when it comes to its shelf.
      sim.fullCommits = 1;
      store.shelveRestored(10);
      clock.endTurn();
      for (let i = 0; i < 6 && store.isRestoring; i++) {
        store.shelveRestored(10);
        clock.endTurn();
      }
      expect(store.isRestoring).toBe(false);
      expect(keys.map((key) => store.asides(key).length)).toEqual([2, 1, 1]);
      store.close();
    });

    test("are not all taken when the commit that took the last fails", () => {
      const sim = new SimDisk();
      written(() => sim.open());
      mark(sim.open());
      const { store, clock } = storeOver(hasher, sim.open());
      store.shelveRestored(2);
      clock.endTurn();
      store.shelveRestored(10);
      sim.fullCommits = 1;
      store.shelveRestored(10);
      expect(store.isRestoring).toBe(true);
      store.shelveRestored(10);
      clock.endTurn();
      store.shelveRestored(10);
      expect(store.isRestoring).toBe(false);
      expect(keys.map((key) => store.asides(key).length)).toEqual([2, 1, 1]);
      store.close();
    });

    test("come to their shelf some at a time, a row and its hints as one, over a restart and beside new rows", () => {
      const { open } = fixture();
      written(open);
      mark(open());
      const first = storeOver(hasher, open());
      first.store.shelveRestored(1);
      first.store.write(c, recordBy(9), null);
      first.clock.endTurn();
      first.store.close();
      const { store, clock } = storeOver(hasher, open());
      for (let i = 0; i < 10 && store.isRestoring; i++) store.shelveRestored(2);
      clock.endTurn();
      expect(store.isRestoring).toBe(false);
      const shelved = keys.map((key) =>
        store
          .asides(key)
          .map((found) => [
            found.shelf,
            found.state === "record" ? found.record.siblings.length : found.state,
          ]),
      );
      expect(shelved).toEqual([
        [
          [QUARANTINE_SHELF, 1],
          [RESTORED_SHELF, 1],
        ],
        [[RESTORED_SHELF, 2]],
        [[RESTORED_SHELF, 1]],
      ]);
      const row = store.read(c);
      expect(row.state === "record" ? row.record.siblings[0]?.dot : row.state).toEqual(
        dotOf(9, 1, 1),
      );
      store.close();
      // The tables are gone with the next open, and the shelves stay.
      const disk = open();
      expect(disk.restored(10)).toEqual([]);
      expect(disk.asideUsage().get(RESTORED_SHELF)?.rows).toBe(3);
      disk.close();
    });

    test("of a second restore, of a node that had not looked at all of the first, join them", () => {
      const { open } = fixture();
      written(open);
      mark(open());
      const { store, clock } = storeOver(hasher, open());
      store.write(c, recordBy(9), null);
      clock.endTurn();
      store.close();
      mark(open());
      const again = storeOver(hasher, open());
      expect(again.store.usage().rows).toBe(0);
      while (again.store.isRestoring) again.store.shelveRestored(10);
      again.clock.endTurn();
      const siblings = again.store
        .asides(c)
        .map((found) => (found.state === "record" ? found.record.siblings.length : 0));
      expect(siblings).toEqual([2]);
      again.store.close();
    });

    test("that are damaged are left out, loudly, and the others come", () => {
      const { open } = fixture();
      const { store, clock } = storeOver(hasher, open());
      store.write(b, recordBy(1), null);
      clock.endTurn();
      store.close();
      const disk = open();
      disk.begin();
      const row = disk.get(b.namespace, b.bytes);
      if (row === undefined) throw new Error("no row");
      const head = row.head.slice();
      head[0] = (head[0] ?? 0) ^ 1;
      disk.put({ ...row, key: a.bytes, head });
      disk.commit();
      mark(disk);
      const after = storeOver(hasher, open());
      while (after.store.isRestoring) after.store.shelveRestored(10);
      after.clock.endTurn();
      expect(after.store.asideUsage().get(RESTORED_SHELF)?.rows).toBe(1);
      expect(after.logger.lines.map(({ event }) => event)).toContain("restored-row-unreadable");
      after.store.close();
    });
  });
}
