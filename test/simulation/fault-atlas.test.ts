import { describe, expect, test } from "bun:test";
import { createTestHasher } from "../support/hasher.ts";
import { mayLoseOneMore } from "./fault-atlas.ts";
import { dotOf, HandMade } from "./hand-made.ts";

describe("the only committed copy of a write may be damaged", () => {
  test("not once its node may have acknowledged it, be the answer with its client or under way", async () => {
    const made = new HandMade(await createTestHasher());
    const { atlas } = made.world;
    const op = made.begin("put");
    made.store(0, made.record(op, dotOf(0, 1), null, null), dotOf(0, 1));
    expect([atlas.mayForgetRow(0, made.key), atlas.mayLoseDatabase(0)]).toEqual([false, false]);
    expect(atlas.mayForgetRow(1, made.key)).toBe(true);
    made.acknowledge(op, 1);
    expect(atlas.mayForgetRow(0, made.key)).toBe(false);
  });

  test("when there is another, and when it was never acknowledged", async () => {
    const made = new HandMade(await createTestHasher());
    const { atlas } = made.world;
    const op = made.begin("put");
    const record = made.record(op, dotOf(0, 1), null, null);
    made.store(0, record, dotOf(0, 1));
    made.store(1, record);
    expect(atlas.mayForgetRow(0, made.key)).toBe(true);
    const refused = made.begin("put");
    made.store(0, made.record(refused, dotOf(0, 2), record, null), dotOf(0, 2));
    expect(atlas.mayForgetRow(0, made.key)).toBe(false);
    refused.status = "info";
    expect(atlas.mayForgetRow(0, made.key)).toBe(true);
  });

  // Seed 8269: a power cut took back the commit that had written a rotten row anew, and nobody thought of it as rotten.
  test("and is damaged again when the disk goes back to where it was", async () => {
    const made = new HandMade(await createTestHasher());
    const { atlas, ledger } = made.world;
    const { disk } = made.world.node(0);
    const record = made.record(made.begin("put"), dotOf(0, 1), null, null);
    made.store(0, record, dotOf(0, 1));
    made.store(1, record);
    const sound = disk.image();
    disk.forget(1, made.key.bytes);
    atlas.forgotRow(0, made.key);
    const rotten = disk.image();
    made.store(0, record);
    const isRotten = (): boolean => ledger.rotten.has(`0/${made.key.name}`);
    ledger.rotten.delete(`0/${made.key.name}`);
    disk.crash();
    disk.putBack(rotten);
    atlas.lostDatabase(0, [made.key]);
    expect(isRotten()).toBe(true);
    disk.putBack(sound);
    atlas.lostDatabase(0, [made.key]);
    expect(isRotten()).toBe(false);
  });
});

test("a second database is lost while the first is in doubt only where most are left: two of five, not of three or four", () => {
  expect([3, 4, 5, 6].map((all) => mayLoseOneMore(all, 1))).toEqual([false, false, true, true]);
  expect([5, 6, 7].map((all) => mayLoseOneMore(all, 2))).toEqual([false, false, true]);
  expect(mayLoseOneMore(3, 0)).toBe(true);
});
