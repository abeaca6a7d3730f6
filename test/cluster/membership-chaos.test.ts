import { describe, expect, test } from "bun:test";
import { encodeLayout } from "../../src/cluster/layout-codec.ts";
import type { LayoutDocument } from "../../src/core/layout.ts";
import { ClusterWorld, seededRandom, type TestNode } from "../support/cluster-world.ts";

/** Everything that was ever adopted or written, and what must never be found in it. */
class Witness {
  readonly #documents = new Map<number, LayoutDocument>();
  /** The versions under which each node has taken a write that its disk still holds. */
  readonly #writes = new Map<number, Set<number>>();

  look(node: TestNode): void {
    const document = node.cluster.layout()?.document;
    if (document === undefined) return;
    const before = this.#documents.get(document.version);
    if (before === undefined) this.#documents.set(document.version, document);
    else if (before !== document) {
      expect(encodeLayout(document).join()).toBe(encodeLayout(before).join());
    }
  }

  /** A put that this node takes by itself, if it takes any: the weakest that a client may ask for. */
  tryWrite(node: TestNode): void {
    const layout = node.cluster.layout();
    if (layout === undefined || node.cluster.refusesWrites()) return;
    node.keys++;
    const versions = this.#writes.get(node.index) ?? new Set();
    versions.add(layout.version);
    this.#writes.set(node.index, versions);
  }

  forget(node: TestNode): void {
    this.#writes.delete(node.index);
    node.keys = 0;
  }

  /** No unit moved after a version under which a row was taken. */
  judge(): void {
    for (const versions of this.#writes.values()) {
      for (const version of versions) {
        const before = this.#documents.get(version);
        for (const [later, after] of this.#documents) {
          if (later <= version || before === undefined) continue;
          expect(after.assignments["default"]).toEqual(before.assignments["default"]);
        }
      }
    }
  }

  get versions(): number {
    return this.#documents.size;
  }
}

async function chaos(seed: number): Promise<Witness> {
  const world = new ClusterWorld(seed);
  const random = seededRandom(seed * 7919);
  const witness = new Witness();
  const pick = (): TestNode => world.nodes[random.below(world.nodes.length)] as TestNode;
  world.add({ bootstrapExpect: 3 });
  for (let i = 1; i < 5; i++) world.add();
  let split: readonly number[] = [];
  world.interfere = (from, to) => {
    if (split.length > 0 && split[from] !== split[to]) return null;
    return random.below(10) === 0 ? null : random.below(200);
  };
  let names = 0;
  for (let step = 0; step < 200; step++) {
    await world.runFor(random.below(700));
    const dice = random.below(100);
    const node = pick();
    if (dice < 12 && node.running) world.kill(node);
    else if (dice < 40 && !node.running) world.restart(node);
    else if (dice < 48) split = random.below(2) === 0 ? [] : world.nodes.map(() => random.below(2));
    else if (dice < 52 && world.nodes.length < 7) world.add();
    else if (dice < 55 && node.clusterId !== undefined && node.cluster.layout() !== undefined) {
      // One disk at a time, and none while a node is still getting over the last loss: an elector that abstains is as
      // good as dead, and with a majority of them only an operator's force would go on.
      const others = world.nodes.filter((n) => n !== node);
      const whole = others.every((n) => n.running && !n.meta.values.has("layout/recovering"));
      const voting = others.every(
        (n) => !n.meta.values.has("layout/frozen") || !n.cluster.refusesWrites(),
      );
      if (whole && voting && node.index > 0) {
        world.restart(node, true);
        witness.forget(node);
      }
    } else if (dice < 75) {
      // Several at once: duels for one version are what consensus is for.
      for (const other of world.nodes) {
        if (!other.running || random.below(2) === 0) continue;
        void other.cluster.createNamespace(`ns-${names++}`, { n: 1 + random.below(3) });
      }
    } else if (dice < 80 && node.running && step > 100) witness.tryWrite(node);
    for (const other of world.nodes) if (other.running) witness.look(other);
  }
  world.interfere = () => undefined;
  split = [];
  for (const node of world.nodes) if (!node.running) world.restart(node);
  await world.until(
    () => {
      // Whoever came after the first row stays outside.
      const newest = world.nodes[0]?.cluster.layout();
      const members = world.nodes.filter((n) => newest?.member(n.id) !== undefined);
      const agree = members.every((n) => n.cluster.layout()?.version === newest?.version);
      return members.length > 2 && agree && members.every((n) => !n.cluster.refusesWrites());
    },
    120_000,
    `seed ${seed}: all members of one document take writes again`,
  );
  for (const node of world.nodes) witness.look(node);
  witness.judge();
  return witness;
}

describe("membership under faults", () => {
  test("never forks, never moves a unit that holds a row, and goes on when the faults stop", async () => {
    let versions = 0;
    for (let seed = 1; seed <= 6; seed++) versions += (await chaos(seed)).versions;
    // The seeds must have had something to decide.
    expect(versions).toBeGreaterThan(30);
  }, 60_000);
});
