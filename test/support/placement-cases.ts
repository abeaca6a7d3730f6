/** Members, policies and measures for the tests of placement. */
import fc from "fast-check";
import { type NodeId, parseNodeId, parseRegionId, parseZoneId } from "../../src/core/ids.ts";
import type { Assignment, LayoutMember, PlacementPolicy } from "../../src/core/layout.ts";

/** A node id that looks drawn, the same for the same number. */
export function nodeId(number: number): NodeId {
  let state = Math.imul(number + 1, 0x9e37_79b9);
  let hex = "";
  for (let word = 0; word < 4; word++) {
    state = Math.imul(state ^ (state >>> 15), 0x2c1b_3c6d) + 0x6d2b_79f5;
    hex += ((state ^ (state >>> 12)) >>> 0).toString(16).padStart(8, "0");
  }
  return parseNodeId(hex);
}

export function member(
  number: number,
  place: Partial<Omit<LayoutMember, "id">> = {},
): LayoutMember {
  return {
    id: nodeId(number),
    region: place.region ?? parseRegionId("eu"),
    zone: place.zone ?? parseZoneId("a"),
    weight: place.weight ?? 1,
    role: place.role ?? "storage",
  };
}

export function regionOf(name: string) {
  return parseRegionId(name);
}

export function zoneOf(name: string) {
  return parseZoneId(name);
}

export function loadsOf(assignment: Assignment): Map<NodeId, number> {
  const loads = new Map<NodeId, number>();
  for (const owners of assignment) {
    for (const owner of owners) loads.set(owner, (loads.get(owner) ?? 0) + 1);
  }
  return loads;
}

/** Slots of `after` whose owner did not own the partition in `before`. */
export function movedSlots(before: Assignment, after: Assignment): number {
  let moved = 0;
  for (const [partition, owners] of after.entries()) {
    const old = new Set(before[partition]);
    for (const owner of owners) if (!old.has(owner)) moved++;
  }
  return moved;
}

const drawnMember = (number: number) =>
  fc
    .record({
      region: fc.constantFrom("ap", "eu", "us", "sa"),
      zone: fc.constantFrom("a", "b", "c"),
      weight: fc.constantFrom(0.5, 1, 1, 1, 2, 3.7),
      isGateway: fc.constantFrom(false, false, false, false, true),
    })
    .map((drawn) =>
      member(number, {
        region: parseRegionId(drawn.region),
        zone: parseZoneId(drawn.zone),
        weight: drawn.weight,
        role: drawn.isGateway ? "gateway" : "storage",
      }),
    );

/** Up to `most` members, one at least of them storage. */
export function drawnMembers(most: number): fc.Arbitrary<readonly LayoutMember[]> {
  return fc
    .integer({ min: 1, max: most })
    .chain((count) => fc.tuple(...Array.from({ length: count }, (_, i) => drawnMember(i))))
    .map((members) => members.map((m, i) => (i === 0 ? { ...m, role: "storage" as const } : m)));
}

export const drawnPolicy: fc.Arbitrary<PlacementPolicy> = fc.oneof(
  fc.integer({ min: 1, max: 6 }).map((n) => ({ n })),
  fc
    .dictionary(fc.constantFrom("ap", "eu", "us", "sa"), fc.integer({ min: 1, max: 3 }), {
      minKeys: 1,
    })
    .map((regions) => ({ regions: { ...regions } })),
);

/** A join, a leave, a change of weight or of place, of somebody drawn. */
export interface DrawnChange {
  readonly kind: "join" | "leave" | "change";
  readonly who: number;
  readonly other: LayoutMember;
}

export const drawnChange: fc.Arbitrary<DrawnChange> = fc.record({
  kind: fc.constantFrom("join" as const, "leave" as const, "change" as const),
  who: fc.nat(1_000),
  other: drawnMember(0),
});

export function applyChange(members: readonly LayoutMember[], change: DrawnChange, fresh: number) {
  const who = change.who % members.length;
  if (change.kind === "join") return [...members, { ...change.other, id: nodeId(fresh) }];
  const rest = members.filter((_, i) => i !== who);
  if (change.kind === "leave") return rest;
  return [...rest, { ...change.other, id: (members[who] as LayoutMember).id }];
}
