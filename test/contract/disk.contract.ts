import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import {
  byteString,
  bytesFromByteString,
  compareBytes,
  equalBytes,
  utf8Decode,
  utf8Encode,
} from "../../src/core/bytes.ts";
import { COUNTER_MAX, EPOCH_MAX } from "../../src/core/limits.ts";
import type { Disk, DiskRow, DiskScan, Minted } from "../../src/env/disk.ts";

export type OpenDisk = Disk & { readonly uncleanStop: boolean };

/** One database on one kind of disk. */
export interface DiskFixture {
  /** Opens it, the first time or after `crash` or the disk's own `close`. */
  open(): OpenDisk;
  /** The process dies; the next `open` finds what a restart would find. */
  crash(): void;
  remove(): void;
}

const MINTED: Minted = {
  actor: byteString(Uint8Array.from({ length: 16 }, (_, i) => i * 17)),
  epoch: 7,
  counter: 9,
};

/** What every implementation of the Disk port must do. */
export function diskContract(name: string, makeFixture: () => DiskFixture): void {
  describe(`disk: ${name}`, () => {
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
    function crashAndOpen(): void {
      fixture.crash();
      disk = fixture.open();
    }
    function names(range: Partial<DiskScan>): string[] {
      const scan = {
        namespace: 1,
        start: new Uint8Array(0),
        end: null,
        reverse: false,
        limit: 1000,
        ...range,
      };
      return disk.scan(scan).map((row) => utf8Decode(row.key));
    }

    test("a new database is empty and not the leftover of a crash", () => {
      expect(disk.usage()).toEqual({ rows: 0, bytes: 0 });
      expect(disk.lastSequence()).toBe(0);
      expect(disk.uncleanStop).toBe(false);
      expect(disk.get(1, utf8Encode("k"))).toBeUndefined();
      expect(names({})).toEqual([]);
      expect(disk.metaNames("")).toEqual([]);
    });

    test("a row comes back as it was put, to the last byte", () => {
      const rows = [
        row({ key: "plain" }),
        row({ key: "tombstone", body: new Uint8Array(0), minted: null }),
        row({ key: "k".repeat(512), place: 2 ** 52 - 1, sequence: 2 ** 53 - 1 }),
        row({ key: "last dot", minted: { ...MINTED, epoch: EPOCH_MAX, counter: COUNTER_MAX - 1 } }),
        row({ namespace: 2 ** 32 - 1, key: "plain", body: new Uint8Array(3_000_000).fill(7) }),
        row({ key: "all bytes", head: Uint8Array.from({ length: 256 }, (_, i) => i) }),
      ];
      commit(() => rows.forEach((each) => void disk.put(each)));
      crashAndOpen();
      for (const each of rows) expectRow(disk.get(each.namespace, each.key), each);
    });

    test("bytes come back as Uint8Arrays and nothing more special", () => {
      commit(() => disk.put(row({ key: "k" })));
      crashAndOpen();
      const found = disk.get(1, utf8Encode("k"));
      for (const bytes of [found?.head, found?.body, found?.headSum]) {
        expect(Object.getPrototypeOf(bytes)).toBe(Uint8Array.prototype);
      }
    });

    test("put replaces, delete removes, delete of nothing is nothing", () => {
      commit(() => {
        disk.put(row({ key: "a", sequence: 1 }));
        disk.put(row({ key: "b", sequence: 2 }));
        disk.put(row({ key: "a", sequence: 3, body: utf8Encode("newer") }));
        disk.delete(1, utf8Encode("b"));
        disk.delete(1, utf8Encode("never"));
      });
      expect(disk.get(1, utf8Encode("a"))?.body).toEqual(utf8Encode("newer"));
      expect(names({})).toEqual(["a"]);
      expect(disk.usage().rows).toBe(1);
    });

    test("the open transaction is seen by its own process", () => {
      disk.begin();
      disk.put(row({ key: "a", sequence: 5 }));
      disk.setMeta("m", utf8Encode("v"));
      expect(disk.get(1, utf8Encode("a"))?.sequence).toBe(5);
      expect(names({})).toEqual(["a"]);
      expect(disk.getMeta("m")).toEqual(utf8Encode("v"));
      expect(disk.usage().rows).toBe(1);
      expect(disk.lastSequence()).toBe(0);
      disk.commit();
      expect(disk.lastSequence()).toBe(5);
    });

    test("rollback undoes rows, small values, usage and sequence", () => {
      commit(() => {
        disk.put(row({ key: "a", sequence: 1 }));
        disk.setMeta("m", utf8Encode("old"));
      });
      const before = disk.usage();
      disk.begin();
      disk.put(row({ key: "a", sequence: 2, body: utf8Encode("newer") }));
      disk.put(row({ key: "b", sequence: 3 }));
      disk.delete(1, utf8Encode("a"));
      disk.setMeta("m", utf8Encode("new"));
      disk.setMeta("n", utf8Encode("new"));
      disk.rollback();
      expect(names({})).toEqual(["a"]);
      expect(disk.get(1, utf8Encode("a"))?.sequence).toBe(1);
      expect(disk.getMeta("m")).toEqual(utf8Encode("old"));
      expect(disk.getMeta("n")).toBeUndefined();
      expect(disk.usage()).toEqual(before);
      expect(disk.lastSequence()).toBe(1);
      commit(() => disk.put(row({ key: "c", sequence: 4 })));
      expect(names({})).toEqual(["a", "c"]);
    });

    test("a crash keeps what was committed and nothing else", () => {
      commit(() => disk.put(row({ key: "kept", sequence: 1 })));
      const usage = disk.usage();
      disk.begin();
      disk.put(row({ key: "lost", sequence: 2 }));
      disk.setMeta("m", utf8Encode("lost"));
      crashAndOpen();
      expect(names({})).toEqual(["kept"]);
      expect(disk.getMeta("m")).toBeUndefined();
      expect(disk.usage()).toEqual(usage);
      expect(disk.lastSequence()).toBe(1);
      expect(disk.uncleanStop).toBe(true);
    });

    test("a close is remembered as clean until the first commit after it", () => {
      commit(() => disk.put(row({ key: "a", sequence: 8 })));
      const usage = disk.usage();
      disk.close();
      disk.close();
      disk = fixture.open();
      expect(disk.uncleanStop).toBe(false);
      expect(disk.usage()).toEqual(usage);
      expect(disk.lastSequence()).toBe(8);
      crashAndOpen();
      expect(disk.uncleanStop).toBe(false);
      commit(() => disk.setMeta("m", utf8Encode("v")));
      crashAndOpen();
      expect(disk.uncleanStop).toBe(true);
    });

    test("a scan goes by bytes, not by UTF-16 units, and keeps to its bounds", () => {
      // U+FF5E sorts below U+1F600 in UTF-8 and above it in UTF-16.
      const sorted = ["", "A", "a", "a\u0000", "aa", "b", "é", "\uff5e", "\u{1f600}"];
      commit(() => {
        for (const key of [...sorted].reverse()) disk.put(row({ key }));
        disk.put(row({ namespace: 2, key: "elsewhere" }));
      });
      expect(names({})).toEqual(sorted);
      expect(names({ reverse: true })).toEqual([...sorted].reverse());
      expect(names({ start: utf8Encode("a") })).toEqual(sorted.slice(2));
      expect(names({ start: utf8Encode("a"), end: utf8Encode("b") })).toEqual([
        "a",
        "a\u0000",
        "aa",
      ]);
      expect(names({ end: utf8Encode("b"), reverse: true, limit: 2 })).toEqual(["aa", "a\u0000"]);
      expect(names({ start: utf8Encode("aa"), limit: 2 })).toEqual(["aa", "b"]);
      expect(names({ start: utf8Encode("b"), end: utf8Encode("a") })).toEqual([]);
      expect(names({ end: new Uint8Array(0) })).toEqual([]);
      expect(names({ namespace: 3 })).toEqual([]);
    });

    test("a scanned row has all but the body", () => {
      const { body: _, ...head } = row({ key: "k" });
      commit(() => disk.put(row({ key: "k" })));
      expect(
        disk.scan({ namespace: 1, start: head.key, end: null, reverse: false, limit: 1 }),
      ).toEqual([head]);
    });

    test("small values are listed by prefix, in order, whatever letters they have", () => {
      commit(() => {
        for (const name of ["paxos/2", "paxos/10", "paxos%", "paxosX", "Paxos/1", "é"]) {
          disk.setMeta(name, utf8Encode(name));
        }
        disk.setMeta("empty", new Uint8Array(0));
        disk.setMeta("gone", utf8Encode("x"));
        disk.deleteMeta("gone");
        disk.deleteMeta("never");
      });
      expect(disk.metaNames("paxos/")).toEqual(["paxos/10", "paxos/2"]);
      expect(disk.metaNames("paxos%")).toEqual(["paxos%"]);
      expect(disk.metaNames("")).toEqual([
        "Paxos/1",
        "empty",
        "paxos%",
        "paxos/10",
        "paxos/2",
        "paxosX",
        "é",
      ]);
      expect(disk.getMeta("empty")).toEqual(new Uint8Array(0));
      expect(disk.getMeta("gone")).toBeUndefined();
    });

    test("a fully synced transaction is like any other", () => {
      disk.begin(true);
      disk.setMeta("vote", utf8Encode("7"));
      disk.commit();
      disk.begin(true);
      disk.setMeta("vote", utf8Encode("8"));
      disk.rollback();
      commit(() => disk.put(row({ key: "a" })));
      crashAndOpen();
      expect(disk.getMeta("vote")).toEqual(utf8Encode("7"));
      expect(names({})).toEqual(["a"]);
    });

    test("upkeep changes nothing that can be seen", () => {
      for (let i = 1; i <= 40; i++) {
        commit(() =>
          disk.put(row({ key: `k${i % 7}`, sequence: i, body: new Uint8Array(300_000).fill(i) })),
        );
        if (disk.maintenanceDue) disk.maintain();
      }
      const usage = disk.usage();
      crashAndOpen();
      expect(disk.usage()).toEqual(usage);
      expect(disk.lastSequence()).toBe(40);
      const body = disk.get(1, utf8Encode("k5"))?.body ?? new Uint8Array(0);
      expect(equalBytes(body, new Uint8Array(300_000).fill(40))).toBe(true);
    });

    test("agrees with a map under any commands", () => {
      fc.assert(
        fc.property(fc.array(command, { minLength: 1, maxLength: 60 }), (commands) => {
          const other = makeFixture();
          try {
            runAgainstModel(other, commands);
          } finally {
            other.crash();
            other.remove();
          }
        }),
        { numRuns: 60 },
      );
    });
  });
}

function row(fields: Partial<Omit<DiskRow, "key">> & { readonly key: string }): DiskRow {
  return {
    namespace: 1,
    place: 5,
    sequence: 1,
    minted: MINTED,
    headSum: new Uint8Array(8).fill(1),
    head: utf8Encode("head"),
    body: utf8Encode("body"),
    ...fields,
    key: utf8Encode(fields.key),
  };
}

/** The matchers walk a long array element by element, for seconds. */
function expectRow(found: DiskRow | undefined, wanted: DiskRow): void {
  const { body, ...rest } = found ?? row({ key: "absent" });
  const { body: wantedBody, ...wantedRest } = wanted;
  expect(rest).toEqual(wantedRest);
  expect(equalBytes(body, wantedBody)).toBe(true);
}

type Command =
  | { readonly act: "put"; readonly key: string; readonly bytes: number }
  | { readonly act: "delete"; readonly key: string }
  | { readonly act: "commit" | "rollback" | "crash" | "reopen" };

const someKey = fc.uint8Array({ maxLength: 2, max: 3 }).map(byteString);
const command: fc.Arbitrary<Command> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ act: fc.constant("put" as const), key: someKey, bytes: fc.nat(5000) }),
  },
  { weight: 2, arbitrary: fc.record({ act: fc.constant("delete" as const), key: someKey }) },
  { weight: 2, arbitrary: fc.constant({ act: "commit" as const }) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(...(["rollback", "crash", "reopen"] as const))
      .map((act) => ({ act })),
  },
);

/** The disk's rows by key as sizes of bodies: uncommitted ones in `now`, the last commit's in `durable`. */
function runAgainstModel(fixture: DiskFixture, commands: readonly Command[]): void {
  let disk = fixture.open();
  let durable = new Map<string, number>();
  let now = new Map<string, number>();
  let open = false;
  let sequence = 0;
  for (const step of commands) {
    if ((step.act === "put" || step.act === "delete") && !open) {
      disk.begin();
      open = true;
    }
    switch (step.act) {
      case "put":
        disk.put({
          ...row({ key: "" }),
          key: bytesFromByteString(step.key),
          sequence: ++sequence,
          body: new Uint8Array(step.bytes),
        });
        now.set(step.key, step.bytes);
        break;
      case "delete":
        disk.delete(1, bytesFromByteString(step.key));
        now.delete(step.key);
        break;
      case "commit":
      case "reopen":
        if (open) disk.commit();
        durable = new Map(now);
        if (step.act === "reopen") {
          disk.close();
          disk = fixture.open();
        }
        open = false;
        break;
      case "rollback":
      case "crash":
        if (step.act === "crash") {
          fixture.crash();
          disk = fixture.open();
        } else if (open) disk.rollback();
        now = new Map(durable);
        open = false;
        break;
    }
    expectLike(disk, now);
  }
}

function expectLike(disk: Disk, model: ReadonlyMap<string, number>): void {
  const headBytes = row({ key: "" }).head.length;
  const keys = [...model.keys()].map(bytesFromByteString).sort(compareBytes);
  const found = disk.scan({
    namespace: 1,
    start: new Uint8Array(0),
    end: null,
    reverse: false,
    limit: 1000,
  });
  expect(found.map((each) => each.key)).toEqual(keys);
  for (const [key, bytes] of model)
    expect(disk.get(1, bytesFromByteString(key))?.body.length).toBe(bytes);
  let bytes = 0;
  for (const size of model.values()) bytes += headBytes + size;
  expect(disk.usage()).toEqual({ rows: model.size, bytes });
}
