import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { compareBytes, equalBytes, utf8Decode, utf8Encode } from "../../src/core/bytes.ts";
import type { AsideRow, DiskRow, PlaceCursor } from "../../src/env/disk.ts";
import type { DiskFixture, OpenDisk } from "./disk.contract.ts";

/** What every implementation of the Disk port must do with places and with what is kept aside. */
export function diskAsideContract(name: string, makeFixture: () => DiskFixture): void {
  describe(`places and shelves: ${name}`, () => {
    let fixture: DiskFixture;
    let disk: OpenDisk;

    beforeEach(() => {
      fixture = makeFixture();
      disk = fixture.open();
    });
    afterEach(() => {
      fixture.crash();
      fixture.remove();
    });

    function commit(act: () => void): void {
      disk.begin();
      act();
      disk.commit();
    }
    function places(from: number, to: number, after: PlaceCursor | null = null, limit = 100) {
      return disk.scanPlaces({ from, to, after, limit }).map(nameOf);
    }
    function shelf(text: string, after: PlaceCursor | null = null, limit = 100): string[] {
      return disk.scanAside(text, after, limit).map(nameOf);
    }

    test("rows come in the order of place, namespace and key, whatever order they were put in", () => {
      const rows = [
        row({ place: 7, namespace: 2, key: "a" }),
        row({ place: 7, namespace: 1, key: "b" }),
        row({ place: 7, namespace: 1, key: "a\u{1f600}" }),
        row({ place: 7, namespace: 1, key: "a\uff5e" }),
        row({ place: 2 ** 52 - 1, key: "last" }),
        row({ place: 0, key: "first" }),
        row({ place: 2 ** 51, namespace: 2 ** 32 - 1, key: "middle" }),
      ];
      commit(() => rows.forEach((each) => void disk.put(each)));
      const sorted = [
        "0/1/first",
        "7/1/a\uff5e",
        "7/1/a\u{1f600}",
        "7/1/b",
        "7/2/a",
        "2251799813685248/4294967295/middle",
        "4503599627370495/1/last",
      ];
      expect(places(0, 2 ** 52)).toEqual(sorted);
      expect(places(7, 8)).toEqual(sorted.slice(1, 5));
      expect(places(0, 7)).toEqual(sorted.slice(0, 1));
      expect(places(8, 7)).toEqual([]);
      const pages: string[] = [];
      let after: PlaceCursor | null = null;
      for (;;) {
        const page = disk.scanPlaces({ from: 0, to: 2 ** 52, after, limit: 2 });
        pages.push(...page.map(nameOf));
        const last = page.at(-1);
        if (last === undefined) break;
        after = { place: last.place, namespace: last.namespace, keyBytes: last.key };
      }
      expect(pages).toEqual(sorted);
      const before = { place: 0, namespace: 1, keyBytes: utf8Encode("zzz") };
      expect(places(7, 8, before, 1)).toEqual(["7/1/a\uff5e"]);
    });

    test("a row found by its place has all but the body", () => {
      const { body: _, ...head } = row({ place: 7, key: "k" });
      commit(() => disk.put(row({ place: 7, key: "k" })));
      expect(disk.scanPlaces({ from: 7, to: 8, after: null, limit: 1 })).toEqual([head]);
    });

    test("an overwritten row stays in its place once, a deleted one leaves it", () => {
      commit(() => {
        for (let sequence = 1; sequence <= 3; sequence++) {
          disk.put(row({ place: 7, key: "k", sequence }));
        }
        disk.put(row({ place: 8, key: "gone", sequence: 4 }), null);
        disk.put(row({ place: 8, key: "gone", sequence: 5 }), 8);
        disk.delete(1, utf8Encode("gone"));
      });
      expect(places(0, 100)).toEqual(["7/1/k"]);
      const [found] = disk.scanPlaces({ from: 0, to: 100, after: null, limit: 1 });
      expect(found?.sequence).toBe(3);
      expect(disk.usage().rows).toBe(1);
    });

    test("an overwrite does not move a row: who knows that it stands wrong deletes it first", () => {
      commit(() => {
        disk.put(row({ place: 7, key: "k", sequence: 1 }));
        disk.put(row({ place: 9, key: "k", sequence: 2 }));
      });
      expect(places(0, 100)).toEqual(["7/1/k"]);
      commit(() => {
        disk.delete(1, utf8Encode("k"));
        disk.put(row({ place: 9, key: "k", sequence: 3 }), null);
      });
      expect(places(0, 100)).toEqual(["9/1/k"]);
      expect(disk.usage().rows).toBe(1);
    });

    test("the open transaction is seen by its place, and a rollback takes it away", () => {
      commit(() => disk.put(row({ place: 1, key: "kept" })));
      disk.begin();
      disk.put(row({ place: 1, key: "new" }));
      disk.delete(1, utf8Encode("kept"));
      expect(places(0, 2)).toEqual(["1/1/new"]);
      disk.rollback();
      expect(places(0, 2)).toEqual(["1/1/kept"]);
    });

    test("a row kept aside comes back as it was put, and a shelf holds one for each key", () => {
      const rows = [
        aside({ shelf: "hint/a", key: "k", note: utf8Encode("w=2") }),
        aside({ shelf: "hint/b", key: "k", minted: null, body: new Uint8Array(0) }),
        aside({ shelf: "hint/b", key: "l", place: 2 ** 52 - 1, body: new Uint8Array(100_000) }),
      ];
      commit(() => {
        disk.putAside(aside({ shelf: "hint/a", key: "k", sequence: 1, body: utf8Encode("old") }));
        rows.forEach((each) => void disk.putAside(each));
      });
      fixture.crash();
      disk = fixture.open();
      expectAsides(disk.asides(1, utf8Encode("k")), rows.slice(0, 2));
      expectAsides(disk.asides(1, utf8Encode("l")), rows.slice(2));
      expect(disk.asides(2, utf8Encode("k"))).toEqual([]);
      expectAsides(disk.scanAside("hint/b", null, 10), rows.slice(1));
      expect([...disk.asideUsage()].sort()).toEqual([
        ["hint/a", { rows: 1, bytes: 11 }],
        ["hint/b", { rows: 2, bytes: 100_008 }],
      ]);
    });

    test("what is aside is in no scan, no get and no usage of the node's own rows", () => {
      commit(() => disk.putAside(aside({ shelf: "restored", key: "k", sequence: 9 })));
      expect(disk.get(1, utf8Encode("k"))).toBeUndefined();
      expect(places(0, 2 ** 52)).toEqual([]);
      expect(disk.usage()).toEqual({ rows: 0, bytes: 0 });
      expect(disk.lastSequence()).toBe(9);
    });

    test("a shelf is paged in the order of places and never shows another one's rows", () => {
      commit(() => {
        for (let i = 20; i > 0; i--) {
          disk.putAside(aside({ shelf: "hint/a", place: i >> 1, key: `k${i}`, namespace: i & 1 }));
          disk.putAside(aside({ shelf: "hint/ab", place: i, key: `k${i}` }));
        }
      });
      const all = shelf("hint/a");
      expect(all.length).toBe(20);
      const pages: string[] = [];
      let after: PlaceCursor | null = null;
      for (;;) {
        const page: AsideRow[] = disk.scanAside("hint/a", after, 3);
        pages.push(...page.map(nameOf));
        const last = page.at(-1);
        if (last === undefined) break;
        after = { place: last.place, namespace: last.namespace, keyBytes: last.key };
      }
      expect(pages).toEqual(all);
      expect(shelf("hint")).toEqual([]);
    });

    test("a rollback and a crash undo what was put aside and what was taken away", () => {
      commit(() => disk.putAside(aside({ shelf: "hint/a", key: "kept", sequence: 1 })));
      const usage = [...disk.asideUsage()];
      const change = (): void => {
        disk.begin();
        disk.putAside(aside({ shelf: "hint/a", key: "lost", sequence: 2 }));
        disk.putAside(aside({ shelf: "hint/b", key: "lost", sequence: 3 }));
        disk.deleteAside("hint/a", 1, utf8Encode("kept"));
        disk.deleteAside("hint/a", 1, utf8Encode("never"));
      };
      change();
      expect(shelf("hint/a")).toEqual(["5/1/lost"]);
      expect([...disk.asideUsage().keys()].sort()).toEqual(["hint/a", "hint/b"]);
      disk.rollback();
      expect(shelf("hint/a")).toEqual(["5/1/kept"]);
      expect([...disk.asideUsage()]).toEqual(usage);
      expect(disk.lastSequence()).toBe(1);
      change();
      fixture.crash();
      disk = fixture.open();
      expect(shelf("hint/a")).toEqual(["5/1/kept"]);
      expect([...disk.asideUsage()]).toEqual(usage);
      commit(() => disk.deleteAside("hint/a", 1, utf8Encode("kept")));
      expect([...disk.asideUsage()]).toEqual([]);
    });
  });
}

type Fields<Row> = Partial<Omit<Row, "key">> & { readonly key: string };

function row(fields: Fields<DiskRow>): DiskRow {
  return {
    namespace: 1,
    place: 5,
    sequence: 1,
    minted: { actor: "\u0001".repeat(16), epoch: 1, counter: 2 },
    headSum: new Uint8Array(8).fill(1),
    head: utf8Encode("head"),
    body: utf8Encode("body"),
    ...fields,
    key: utf8Encode(fields.key),
  };
}

function aside(fields: Fields<AsideRow> & { readonly shelf: string }): AsideRow {
  return { note: new Uint8Array(0), ...row(fields), ...fields, key: utf8Encode(fields.key) };
}

function nameOf(found: { place: number; namespace: number; key: Uint8Array }): string {
  return `${found.place}/${found.namespace}/${utf8Decode(found.key)}`;
}

/** The matchers walk a long array element by element, for seconds. */
function expectAsides(found: readonly AsideRow[], wanted: readonly AsideRow[]): void {
  const rest = (rows: readonly AsideRow[]) => rows.map(({ body: _, ...each }) => each);
  expect(rest(found)).toEqual(rest(wanted));
  found.forEach((each, i) => {
    expect(equalBytes(each.body, wanted[i]?.body ?? new Uint8Array(1))).toBe(true);
    expect(compareBytes(each.key, wanted[i]?.key ?? new Uint8Array(0))).toBe(0);
  });
}
