import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { NodeId } from "../../src/core/ids.ts";
import type { Assignment, LayoutMember, PlacementPolicy } from "../../src/core/layout.ts";
import { policyCopies } from "../../src/core/layout.ts";
import { assign } from "../../src/core/placement.ts";
import { shapeOf } from "../../src/core/placement-shape.ts";
import { exactSharesOf } from "../../src/core/placement-shares.ts";
import { buildRing, walk } from "../../src/core/ring.ts";
import { leastMoves } from "../support/least-moves.ts";
import {
  applyChange,
  drawnChange,
  drawnMembers,
  drawnPolicy,
  loadsOf,
  movedSlots,
} from "../support/placement-cases.ts";

const RUNS = { numRuns: 100 };
const partitionCounts = fc.constantFrom(16, 32, 64);

interface Step {
  readonly members: readonly LayoutMember[];
  readonly previous: Assignment | null;
  readonly assignment: Assignment;
}

/** A cluster that changes up to four times, with the assignment after each change. */
const histories = fc
  .record({
    members: drawnMembers(10),
    policy: drawnPolicy,
    partitions: partitionCounts,
    changes: fc.array(drawnChange, { maxLength: 4 }),
  })
  .map(({ members, policy, partitions, changes }) => {
    const steps: Step[] = [];
    let present = members;
    let previous: Assignment | null = null;
    for (let i = 0; i <= changes.length; i++) {
      const change = i === 0 ? undefined : changes[i - 1];
      if (change !== undefined) present = applyChange(present, change, 100 + i);
      if (present.length === 0) break;
      const assignment: Assignment = assign({ previous, members: present, policy, partitions });
      steps.push({ members: present, previous, assignment });
      previous = assignment;
    }
    return { policy, partitions, steps };
  });

function storageOf(members: readonly LayoutMember[]): readonly LayoutMember[] {
  return members.filter((m) => m.role === "storage");
}

function countBy(members: readonly LayoutMember[], of: (m: LayoutMember) => string) {
  const counts = new Map<string, number>();
  for (const m of members) counts.set(of(m), (counts.get(of(m)) ?? 0) + 1);
  return counts;
}

/** Owners of one partition as members; fails if one is no storage member or occurs twice. */
function ownersOf(owners: readonly NodeId[], members: readonly LayoutMember[]): LayoutMember[] {
  expect(new Set(owners).size).toBe(owners.length);
  return owners.map((id) => {
    const found = storageOf(members).find((m) => m.id === id);
    if (found === undefined) throw new Error(`${id} owns a partition but is no storage member`);
    return found;
  });
}

/** No group may hold two more than another that could take one more: the claim of spreading, said without bounds or levels. */
function expectEvenSpread(held: Map<string, number>, room: Map<string, number>): void {
  for (const [fuller, count] of held) {
    for (const [other, size] of room) {
      const has = held.get(other) ?? 0;
      if (other !== fuller && has < size) expect(count - has).toBeLessThanOrEqual(1);
    }
  }
}

function expectPolicy(
  owners: LayoutMember[],
  members: readonly LayoutMember[],
  policy: PlacementPolicy,
) {
  const storage = storageOf(members);
  const sizes = countBy(storage, (m) => m.region);
  const held = countBy(owners, (m) => m.region);
  if ("n" in policy) {
    expect(owners.length).toBe(Math.min(policy.n, storage.length));
    expectEvenSpread(held, sizes);
  } else {
    for (const [region, size] of sizes) {
      expect(held.get(region) ?? 0).toBe(Math.min(policy.regions[region] ?? 0, size));
    }
  }
  for (const region of held.keys()) {
    const inside = (m: LayoutMember) => m.region === region;
    expectEvenSpread(
      countBy(owners.filter(inside), (m) => m.zone),
      countBy(storage.filter(inside), (m) => m.zone),
    );
  }
}

describe("every assignment", () => {
  test("has distinct owners that obey the policy, over regions and then zones", () => {
    fc.assert(
      fc.property(histories, ({ policy, partitions, steps }) => {
        for (const { members, assignment } of steps) {
          expect(assignment.length).toBe(partitions);
          for (const owners of assignment) expectPolicy(ownersOf(owners, members), members, policy);
        }
      }),
      RUNS,
    );
  });

  test("gives each node its exact share, rounded down or up", () => {
    fc.assert(
      fc.property(histories, ({ policy, partitions, steps }) => {
        for (const { members, assignment } of steps) {
          const shape = shapeOf(members, policy);
          const exact = exactSharesOf(shape, partitions);
          const loads = loadsOf(assignment);
          for (const [i, m] of shape.members.entries()) {
            expect(Math.abs((loads.get(m.id) ?? 0) - (exact[i] ?? 0))).toBeLessThan(1);
          }
        }
      }),
      RUNS,
    );
  });

  test("is the same for the same input, whatever the order of the members", () => {
    fc.assert(
      fc.property(histories, ({ policy, partitions, steps }) => {
        for (const { members, previous, assignment } of steps) {
          const shuffled = [...members].reverse();
          expect(assign({ previous, members: shuffled, policy, partitions })).toEqual(assignment);
        }
      }),
      RUNS,
    );
  });

  test("stays when nothing changes", () => {
    fc.assert(
      fc.property(histories, ({ policy, partitions, steps }) => {
        for (const { members, assignment } of steps) {
          expect(assign({ previous: assignment, members, policy, partitions })).toEqual(assignment);
        }
      }),
      RUNS,
    );
  });

  test("names owners in the order of the clockwise walk", () => {
    fc.assert(
      fc.property(histories, ({ partitions, steps }) => {
        for (const { members, assignment } of steps) {
          const ring = buildRing(members);
          for (const [p, owners] of assignment.entries()) {
            expect(walk(ring, p, partitions).filter((id) => owners.includes(id))).toEqual([
              ...owners,
            ]);
          }
        }
      }),
      { numRuns: 50 },
    );
  });
});

describe("shares", () => {
  test("are in proportion to weight between nodes of one zone, unless one of them owns every partition", () => {
    fc.assert(
      fc.property(drawnMembers(12), drawnPolicy, partitionCounts, (members, policy, partitions) => {
        const shape = shapeOf(members, policy);
        const exact = exactSharesOf(shape, partitions);
        for (const zone of shape.zones) {
          const perWeight = zone.nodes
            .filter((node) => (exact[node] ?? 0) < partitions - 1e-6)
            .map((node) => (exact[node] ?? 0) / (shape.members[node]?.weight ?? 1));
          for (const load of perWeight)
            expect(Math.abs(load - (perWeight[0] ?? 0))).toBeLessThan(1e-6);
        }
      }),
      RUNS,
    );
  });

  test("are in proportion to weight throughout where the policy leaves it free", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 8, maxLength: 40 }),
        (weights) => {
          const [first] = fc.sample(drawnMembers(1), { numRuns: 1, seed: 1 });
          const template = first?.[0];
          if (template === undefined) return;
          // One region and zone, and no weight above what two copies in 40 can give: nothing binds.
          const members = weights.map((weight, i) => ({
            ...template,
            id: i.toString(16).padStart(32, "0") as NodeId,
            weight,
          }));
          const total = weights.reduce((a, b) => a + b, 0);
          const exact = exactSharesOf(shapeOf(members, { n: 2 }), 64);
          for (const [i, weight] of weights.entries()) {
            const want = (128 * weight) / total;
            expect(Math.abs((exact[i] ?? 0) - want)).toBeLessThan(1e-6);
          }
        },
      ),
      RUNS,
    );
  });
});

describe("movement", () => {
  test("is never less than the least possible, nor more than a fifth and four slots above it", () => {
    // The figure asked for (1.1 where nodes have 20 slots) is shown by bench/ring.ts; here every tiny, crooked cluster must pass.
    fc.assert(
      fc.property(histories, ({ policy, partitions, steps }) => {
        for (const { members, previous, assignment } of steps) {
          if (previous === null) continue;
          const moved = movedSlots(previous, assignment);
          const least = leastMoves(previous, members, policy, partitions);
          expect(moved).toBeGreaterThanOrEqual(least);
          expect(moved).toBeLessThanOrEqual(least * 1.2 + 4);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("from any assignment at all, valid or not, ends in a valid one", () => {
    const any = fc.record({
      members: drawnMembers(9),
      policy: drawnPolicy,
      rows: fc.array(fc.array(fc.nat(11), { maxLength: 7 }), { minLength: 16, maxLength: 16 }),
    });
    fc.assert(
      fc.property(any, ({ members, policy, rows }) => {
        const previous = rows.map((row) =>
          row.map((i) => members[i]?.id ?? (i.toString(16).padStart(32, "f") as NodeId)),
        );
        const assignment = assign({ previous, members, policy, partitions: 16 });
        for (const owners of assignment) expectPolicy(ownersOf(owners, members), members, policy);
        expect(policyCopies(policy)).toBeGreaterThanOrEqual(assignment[0]?.length ?? 0);
      }),
      RUNS,
    );
  });
});
