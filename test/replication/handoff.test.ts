/** What becomes of hints: custody, delivery, and when a copy may go. */
import { describe, expect, test } from "bun:test";
import { compileLayout } from "../../src/core/active-layout.ts";
import { withMembers } from "../../src/core/layout-rules.ts";
import { HANDOFF_ROWS_PER_SECOND, HINT_AGE_MAX_MS } from "../../src/core/limits.ts";
import { handoffWorker } from "../../src/replication/handoff.ts";
import { hintShelf } from "../../src/replication/hint-rows.ts";
import { done, HintCluster, held, valuesOf } from "../support/hint-cluster.ts";
import type { FakeNode } from "../support/replication-cluster.ts";

const ONE = { consistency: { level: "one" } } as const;
const THREE_ACKS = { consistency: { count: 3 } } as const;

function cluster(options: ConstructorParameters<typeof HintCluster>[1] = {}) {
  const world = new HintCluster(undefined, options);
  const { homes, others } = world.places("k");
  const [a, b, c] = homes as [FakeNode, FakeNode, FakeNode];
  const [f, g] = others as [FakeNode, FakeNode];
  const { id } = world.key("k");
  return { world, homes, a, b, c, f, g, id };
}

/** c was away when "v" was put with W = 2; f keeps it. */
async function withHint(options: ConstructorParameters<typeof HintCluster>[1] = {}) {
  const made = cluster(options);
  made.world.leave(made.c);
  done(await made.world.putAt(made.a, "k", "v"));
  await made.world.clock.run(made.world.clock.monotonicMs() + 100);
  expect(made.world.hint(made.f, "k", made.c)).toBeDefined();
  return made;
}

describe("a hint whose target comes back", () => {
  test("is delivered, and dropped when the target and as many owners as W have it", async () => {
    const { world, c, f, id } = await withHint();
    world.comeBack(c);
    await world.handOff(f);
    expect(held(c, id)).toEqual(["v"]);
    expect(world.hints("k")).toEqual([]);
    expect(f.replication.hints.usage()).toEqual({ count: 0, bytes: 0 });
    expect(f.replication.counters).toMatchObject({ hintsDelivered: 1, custodiesEnded: 1 });
  });

  test("is delivered by a process that knows nothing but its rows", async () => {
    const { world, c, f, id } = await withHint();
    await world.handOff(f);
    world.comeBack(c);
    await world.handOff(f, "fresh");
    expect(held(c, id)).toEqual(["v"]);
    expect(world.hints("k")).toEqual([]);
  });

  test("stays when the answer is lost, and goes with the next one", async () => {
    const { world, c, f, id } = await withHint();
    world.comeBack(c);
    world.also = (_from, to, kind) => (to === c.id && kind === "write" ? "lose-answer" : "deliver");
    await world.handOff(f);
    expect(held(c, id)).toEqual(["v"]);
    expect(world.hint(f, "k", c)).toBeDefined();
    world.also = () => "deliver";
    await world.handOffFor(3_000);
    expect(world.hints("k")).toEqual([]);
  });

  test("is not acknowledged, and stays, until the target's commit", async () => {
    const { world, c, f } = await withHint();
    world.comeBack(c);
    c.store.autoCommit = false;
    const step = world.handOff(f);
    world.clock.after(200, () => {
      expect(world.hint(f, "k", c)).toBeDefined();
      c.store.commit();
    });
    await step;
    expect(world.hints("k")).toEqual([]);
  });

  test("is delivered although another shelf's name has rotten, which is told once", async () => {
    const { world, c, f, id } = await withHint();
    const lines: string[] = [];
    const { logger } = f.replication.env;
    Object.assign(logger, { error: (event: string) => lines.push(event) });
    const other = world.key("other");
    const record = { context: [], siblings: [] };
    const rotten = `hint/${"0".repeat(31)}\u0001`;
    f.store.setAside(rotten, other, record, null, new Uint8Array(0));
    expect(f.replication.hints.targets(other)).toEqual([]);
    world.comeBack(c);
    await world.handOffFor(3_000);
    expect(held(c, id)).toEqual(["v"]);
    expect(world.hints("k")).toEqual([]);
    expect([...f.store.asideUsage().keys()]).toEqual([rotten]);
    expect(lines).toEqual(["hint-shelf-rotten"]);
  });

  test("is delivered although the rows of another shelf cannot be read", async () => {
    const { world, b, c, f, id } = await withHint();
    const broken = hintShelf(b.id);
    f.store.setAside(
      broken,
      world.key("other"),
      { context: [], siblings: [] },
      null,
      new Uint8Array(0),
    );
    const { scanAside } = f.store;
    let failures = 0;
    f.store.scanAside = (shelf, after, limit) => {
      if (shelf !== broken) return scanAside.call(f.store, shelf, after, limit);
      failures++;
      throw new Error("malformed");
    };
    world.comeBack(c);
    const worker = handoffWorker(f.replication);
    for (let i = 0; i < 10; i++) {
      await world.settle(worker.step().catch(() => 0));
      await world.clock.run(world.clock.monotonicMs() + 1_000);
    }
    expect(failures).toBeGreaterThan(1);
    expect(held(c, id)).toEqual(["v"]);
    expect(world.hints("k")).toEqual([]);
  });

  test("stays when something was merged into it meanwhile: no answer covers that", async () => {
    const { world, a, c, f, id } = await withHint();
    const write = c.handlers.write;
    Object.assign(c.handlers, {
      write: (...args: Parameters<NonNullable<typeof write>>) => {
        const newer = f.replication.hints.keep(
          world.key("k"),
          c.id,
          a.store.rows.get(id)?.record ?? { context: [], siblings: [] },
          3,
        );
        expect(newer).not.toBeNull();
        return write?.(...args);
      },
    });
    world.comeBack(c);
    await world.handOff(f);
    expect(held(c, id)).toEqual(["v"]);
    expect(world.neededBy(world.hint(f, "k", c))).toBe(3);
    Object.assign(c.handlers, { write });
    await world.handOffFor(3_000);
    expect(world.hints("k")).toEqual([]);
  });

  test("is kept in custody while fewer owners than W have it", async () => {
    const { world, homes, a, b, c, f, id } = cluster();
    world.leave(...homes);
    done(await world.putAt(f, "k", "v"));
    await world.clock.run(world.clock.monotonicMs() + 100);
    const own = world.hint(f, "k", a);
    expect(world.neededBy(own)).toBe(2);
    world.comeBack(a);
    await world.handOffFor(3_000);
    expect(held(a, id)).toEqual(["v"]);
    expect(world.hint(f, "k", a)).toBeDefined();
    expect(f.replication.counters.custodiesEnded).toBe(0);
    // The target is brought it once, and asked from then on.
    const writes = f.sent.filter(({ to, kind }) => to === a.id && kind === "write");
    expect(writes).toHaveLength(2);
    world.comeBack(b);
    await world.handOffFor(3_000);
    expect(world.hint(f, "k", a)).toBeUndefined();
    world.comeBack(c);
    await world.handOffFor(25_000);
    expect(world.hints("k")).toEqual([]);
    for (const home of [a, b, c]) expect(held(home, id)).toEqual(["v"]);
  });

  test("brings what other stand-ins keep into one record", async () => {
    const { world, homes, f, g, id } = cluster();
    world.leave(...homes);
    world.also = (_from, _to, kind) => (kind === "hint" ? "refuse" : "deliver");
    done(await world.putAt(f, "k", "one", ONE));
    done(await world.putAt(g, "k", "two", ONE));
    world.also = () => "deliver";
    world.comeBack(...homes);
    await world.handOffFor(3_000);
    expect(world.hints("k")).toEqual([]);
    // W was one: the other owners get it from this one, by anti-entropy.
    expect(held(homes[0] as FakeNode, id)).toEqual(["one", "two"]);
  });
});

describe("while its target is away", () => {
  test("a hint is pushed to any owner that can be reached", async () => {
    const { world, homes, b, f, g, id } = cluster();
    world.leave(...homes);
    done(await world.putAt(f, "k", "v"));
    await world.clock.run(world.clock.monotonicMs() + 100);
    world.comeBack(b);
    for (const keeper of [f, g]) await world.handOff(keeper);
    expect(held(b, id)).toEqual(["v"]);
    expect(world.hints("k").length).toBeGreaterThanOrEqual(2);
  });

  test("owners that have it already are asked, not sent it again", async () => {
    const { world, f } = await withHint();
    const before = f.sent.length;
    await world.handOff(f);
    expect(f.sent.slice(before).map(({ kind }) => kind)).toEqual(["held", "held"]);
    expect(f.replication.counters.custodiesEnded).toBe(1);
    await world.clock.run(world.clock.monotonicMs() + 60_000);
    const asked = f.sent.length;
    await world.handOff(f);
    expect(f.sent.length).toBe(asked);
  });

  test("an owner that keeps it for another one, and has no row of it, does not hold it", async () => {
    const { world, homes, a, b, c, f, id } = cluster();
    world.leave(...homes);
    done(await world.putAt(f, "k", "v", ONE));
    const { record } = world.hint(f, "k", a) ?? { record: { context: [], siblings: [] } };
    // From a time when it was no owner.
    b.replication.hints.keep(world.key("k"), c.id, record, 1);
    world.comeBack(b);
    await world.handOff(f);
    expect(held(b, id)).toEqual(["v"]);
  });

  test("a database that another answer shows to be gone holds nothing", async () => {
    const { world, a, b, f } = await withHint();
    let hasAnswered = (): void => undefined;
    const answered = new Promise<void>((resolve) => {
      hasAnswered = resolve;
    });
    const [atA, atB] = [a.handlers.held, b.handlers.held];
    type Args = Parameters<NonNullable<typeof atA>>;
    Object.assign(a.handlers, {
      held: async (...args: Args) => {
        const answer = await atA?.(...args);
        a.replication.actors.raise();
        b.replication.actors.learn(a.id, a.replication.actors.own);
        hasAnswered();
        return answer;
      },
    });
    Object.assign(b.handlers, {
      held: (...args: Args) => answered.then(() => atB?.(...args)),
    });
    await world.handOff(f);
    expect(f.sent.filter(({ kind }) => kind === "held")).toHaveLength(2);
    expect(f.replication.counters.custodiesEnded).toBe(0);
  });

  test("a hint over age is left to anti-entropy when as many owners as W have it", async () => {
    const { world, c, f } = await withHint();
    await world.handOff(f);
    await world.clock.run(world.clock.monotonicMs() + HINT_AGE_MAX_MS - 60_000);
    await world.handOff(f);
    expect(world.hint(f, "k", c)).toBeDefined();
    await world.clock.run(world.clock.monotonicMs() + 60_000);
    await world.handOff(f);
    expect(world.hints("k")).toEqual([]);
    expect(f.replication.counters).toMatchObject({ hintsDegraded: 1, hintsDelivered: 0 });
  });

  test("a hint over age is kept for ever while fewer owners have it", async () => {
    const { world, homes, b, f, id } = cluster();
    world.leave(...homes);
    done(await world.putAt(f, "k", "v"));
    await world.clock.run(world.clock.monotonicMs() + 10 * HINT_AGE_MAX_MS);
    world.comeBack(b);
    for (let i = 0; i < 3; i++) {
      await world.handOff(f);
      await world.clock.run(world.clock.monotonicMs() + HINT_AGE_MAX_MS);
    }
    expect(held(b, id)).toEqual(["v"]);
    expect(world.hint(f, "k", homes[0] as FakeNode)).toBeDefined();
    expect(f.replication.counters.hintsDegraded).toBe(0);
  });

  test("hints over the budget are left to anti-entropy too, and then new ones are taken", async () => {
    const { world, a, c, f } = await withHint({ hintBytesMax: 5 });
    expect(f.replication.hints.isFull).toBe(true);
    await world.handOff(f);
    expect(
      world.hints("k").filter((hint) => hint.startsWith(`${world.nodes.indexOf(f)} `)),
    ).toEqual([]);
    expect(f.replication.counters.hintsDegraded).toBe(1);
    done(await world.putAt(a, "k", "w", THREE_ACKS));
    expect(valuesOf(world.hint(f, "k", c)?.record.siblings ?? [])).toEqual(["w"]);
  });

  test("hints over the budget are kept while fewer owners than W have them", async () => {
    const { world, homes, f } = cluster({ hintBytesMax: 5 });
    world.leave(...homes);
    done(await world.putAt(f, "k", "v"));
    expect(f.replication.hints.isFull).toBe(true);
    await world.handOffFor(60_000);
    expect(world.hint(f, "k", homes[0] as FakeNode)).toBeDefined();
  });

  test("what W asks for never sinks: a later put with a smaller one does not end custody earlier", async () => {
    const { world, homes, a, b, f } = cluster();
    world.leave(...homes);
    done(await world.putAt(f, "k", "v", THREE_ACKS));
    done(await world.putAt(f, "k", "w", ONE));
    expect(world.neededBy(world.hint(f, "k", a))).toBe(3);
    world.comeBack(a, b);
    await world.handOffFor(15_000);
    expect(world.hint(f, "k", a)).toBeDefined();
  });
});

test("while other owners stay away, who has it is asked less and less often, and at once when one is back", async () => {
  const { world, homes, a, b, f } = cluster();
  world.leave(...homes);
  done(await world.putAt(f, "k", "v"));
  await world.clock.run(world.clock.monotonicMs() + 100);
  world.comeBack(a);
  await world.handOffFor(5_000);
  const before = f.sent.length;
  await world.handOffFor(120_000);
  const asked = f.sent.slice(before).filter(({ to, kind }) => to === a.id && kind === "held");
  expect(asked.length).toBeLessThanOrEqual(120 / 10);
  world.comeBack(b);
  await world.handOffFor(1_500);
  expect(world.hint(f, "k", a)).toBeUndefined();
});

describe("when the ring has changed", () => {
  test("hints for a node that has left go to the owners there are now", async () => {
    const { world, homes, c, f, id } = cluster();
    world.leave(...homes);
    world.also = (_from, _to, kind) => (kind === "hint" ? "refuse" : "deliver");
    done(await world.putAt(f, "k", "v", ONE));
    const [target] = homes as [FakeNode];
    expect(world.hint(f, "k", target)).toBeDefined();
    world.also = () => "deliver";
    const before = f.replication.membership.layout();
    if (before === undefined) throw new Error("no layout");
    const after = withMembers(before.document, [], [target.id], "b".repeat(64));
    if (after.status !== "next") throw new Error(after.status);
    const layout = compileLayout(after.document);
    for (const node of world.nodes)
      Object.assign(node.replication.membership, { layout: () => layout });
    world.comeBack(...homes.slice(1));
    await world.handOffFor(3_000);
    expect(world.hints("k")).toEqual([]);
    expect(f.replication.counters.hintsRerouted).toBe(1);
    const holders = world.nodes.filter((node) => node.store.rows.has(id));
    expect(holders.length).toBeGreaterThanOrEqual(1);
    expect(holders).not.toContain(target);
    expect(c.replication.counters.hintsRerouted).toBe(0);
  });

  test("a stand-in that has become an owner is an owner: the hint becomes its row", async () => {
    const { world, homes, a, f, id } = cluster();
    world.leave(...homes);
    done(await world.putAt(f, "k", "v", ONE));
    const before = f.replication.membership.layout();
    if (before === undefined) throw new Error("no layout");
    const layout = {
      ...before,
      version: before.version + 1,
      homes: () => [f.id],
      fallbacks: () => [],
    };
    Object.assign(layout, {
      member: (node: typeof f.id) => (node === a.id ? undefined : before.member(node)),
      namespaceById: () => world.namespace,
      regionOf: (node: typeof f.id) => before.regionOf(node),
      policyCopies: () => 3,
    });
    Object.assign(f.replication.membership, { layout: () => layout });
    await world.handOff(f);
    expect(held(f, id)).toEqual(["v"]);
    expect(world.hint(f, "k", a)).toBeUndefined();
  });

  test("a layout that is adopted meanwhile makes the answers worthless", async () => {
    const { world, c, f } = await withHint();
    const before = f.replication.membership.layout();
    if (before === undefined) throw new Error("no layout");
    const write = c.handlers.write;
    const newer = compileLayout(before.document);
    Object.assign(c.handlers, {
      write: (...args: Parameters<NonNullable<typeof write>>) => {
        Object.assign(f.replication.membership, { layout: () => newer });
        return write?.(...args);
      },
    });
    world.comeBack(c);
    await world.handOff(f);
    expect(world.hint(f, "k", c)).toBeDefined();
    Object.assign(c.handlers, { write });
    await world.handOffFor(3_000);
    expect(world.hints("k")).toEqual([]);
  });

  test("hints of a namespace that was deleted are dropped", async () => {
    const { world, f } = await withHint();
    const before = f.replication.membership.layout();
    if (before === undefined) throw new Error("no layout");
    const without = {
      ...before,
      member: before.member.bind(before),
      namespaceById: () => undefined,
    };
    Object.assign(f.replication.membership, { layout: () => without });
    await world.handOff(f);
    expect(f.replication.hints.usage().count).toBe(0);
  });
});

describe("the worker", () => {
  test("hands over at a bounded rate", async () => {
    const { world, c, f } = await withHint();
    const { record } = world.hint(f, "k", c) ?? { record: { context: [], siblings: [] } };
    const names = Array.from({ length: 800 }, (_, i) => `k${i}`);
    const ours = names.filter((name) => world.places(name).homes.includes(c)).slice(0, 200);
    expect(ours).toHaveLength(200);
    for (const name of ours) f.replication.hints.keep(world.key(name), c.id, record, 1);
    world.comeBack(c);
    const beganMs = world.clock.monotonicMs();
    const pauseMs = await world.handOff(f);
    const tookMs = world.clock.monotonicMs() - beganMs + pauseMs;
    expect(tookMs).toBeGreaterThanOrEqual((200 / HANDOFF_ROWS_PER_SECOND) * 1000);
    expect(f.replication.hints.usage().count).toBe(0);
  });

  test("drops a row that a second look finds damaged too, and says so", async () => {
    const { world, c, f } = await withHint();
    const shelf = hintShelf(c.id);
    const hint = world.hint(f, "k", c);
    if (hint === undefined) throw new Error("no hint");
    const { key, sequence } = hint;
    const said: string[] = [];
    Object.assign(f.replication.env.logger, { error: (name: string) => said.push(name) });
    Object.assign(f.store, {
      scanAside: () => ({ rows: [{ state: "unknown", shelf, key, sequence }], next: null }),
    });
    await world.handOff(f);
    expect(f.replication.hints.usage().count).toBe(1);
    await world.clock.run(world.clock.monotonicMs() + 60_000);
    await world.handOff(f);
    expect(f.replication.hints.usage().count).toBe(0);
    expect(said).toEqual(["hints-unreadable"]);
    expect(f.replication.counters.hintsUnreadable).toBe(1);
  });

  test("leaves other shelves alone", async () => {
    const { world, f } = await withHint();
    const key = world.key("other");
    const hint = world.hint(f, "k", world.places("k").homes[2] as FakeNode);
    if (hint === undefined) throw new Error("no hint");
    f.store.setAside("quarantine", key, hint.record, null, new Uint8Array(0));
    await world.handOffFor(2_000);
    expect(f.store.asides(key)).toHaveLength(1);
    expect(f.replication.hints.usage().count).toBe(1);
  });
});
