import { describe, expect, test } from "bun:test";
import { buildRing, distanceTo, partitionStart, tokensOf, walk } from "../../src/core/ring.ts";
import { member, nodeId } from "../support/placement-cases.ts";

const six = Array.from({ length: 6 }, (_, i) => member(i));

describe("tokens", () => {
  test("are those of the id, on every runtime", () => {
    // Golden: another value would reorder homes and fallbacks of running clusters.
    expect([...tokensOf(nodeId(0), 4)]).toEqual([4184999280, 3029616390, 1013591344, 4011025383]);
  });

  test("of a larger weight begin with those of a smaller one", () => {
    expect([...tokensOf(nodeId(3), 64).slice(0, 16)]).toEqual([...tokensOf(nodeId(3), 16)]);
  });

  test("are in proportion to weight, one at least", () => {
    const members = [
      member(0, { weight: 1 }),
      member(1, { weight: 3 }),
      member(2, { weight: 0.001 }),
    ];
    const ring = buildRing(members);
    const counts = new Map(ring.nodes.map((id, i) => [id, ring.tokensByNode[i]?.length]));
    expect(counts.get(nodeId(1))).toBe(3 * (counts.get(nodeId(0)) ?? 0));
    expect(counts.get(nodeId(2))).toBe(1);
  });

  test("are sorted on the ring, and spread evenly over it", () => {
    const ring = buildRing(Array.from({ length: 100 }, (_, i) => member(i)));
    expect(ring.tokens.length).toBe(6_400);
    expect([...ring.tokens]).toEqual([...ring.tokens].sort((a, b) => a - b));
    const sixteenths = new Array<number>(16).fill(0);
    for (const token of ring.tokens) {
      const part = Math.floor(token / 2 ** 28);
      sixteenths[part] = (sixteenths[part] ?? 0) + 1;
    }
    // 400 expected in each, deviation 20: five deviations.
    for (const count of sixteenths) expect(Math.abs(count - 400)).toBeLessThan(100);
  });

  test("stay few with a thousand nodes, and gateways have none", () => {
    const members = Array.from({ length: 1_000 }, (_, i) => member(i));
    expect(buildRing(members).tokens.length).toBe(32_000);
    expect(buildRing([member(0), member(1, { role: "gateway" })]).nodes).toEqual([nodeId(0)]);
    expect(buildRing([]).tokens.length).toBe(0);
  });
});

describe("the walk", () => {
  test("meets every storage member once, in the order of their first tokens from the partition's start", () => {
    const ring = buildRing([...six, member(9, { role: "gateway" })]);
    for (let p = 0; p < 16; p++) {
      const met = walk(ring, p, 16);
      expect([...met].sort()).toEqual(six.map((m) => m.id).sort());
      const start = partitionStart(p, 16);
      const distances = met.map((id) => distanceTo(ring, ring.nodes.indexOf(id), start));
      expect(distances).toEqual([...distances].sort((a, b) => a - b));
    }
  });

  test("loses one who leaves and keeps the order of the rest while weights are equal", () => {
    const before = walk(buildRing(six), 5, 16);
    const gone = before[2];
    const after = walk(buildRing(six.filter((m) => m.id !== gone)), 5, 16);
    expect(after).toEqual(before.filter((id) => id !== gone));
  });

  test("begins with each node about equally often", () => {
    const first = new Map<string, number>();
    const ring = buildRing(six);
    for (let p = 0; p < 1024; p++) {
      const [id] = walk(ring, p, 1024);
      if (id !== undefined) first.set(id, (first.get(id) ?? 0) + 1);
    }
    for (const count of first.values()) expect(Math.abs(count - 1024 / 6)).toBeLessThan(85);
  });

  test("of an empty ring meets nobody", () => {
    expect(walk(buildRing([]), 0, 16)).toEqual([]);
  });
});
