import { describe, expect, test } from "bun:test";
import { compileLayout } from "../../src/core/active-layout.ts";
import { type NodeId, type PartitionId, parseClusterId } from "../../src/core/ids.ts";
import { firstLayout, withMembers, withNamespace } from "../../src/core/layout-rules.ts";
import { firstHomeFor, type Health, mayStandIn, nextStandIn } from "../../src/core/stand-ins.ts";
import { member, nodeId, regionOf } from "../support/placement-cases.ts";

const [a, b, c, d] = [nodeId(0), nodeId(1), nodeId(2), nodeId(3)];

function healths(by: Partial<Record<NodeId, Health>>): (node: NodeId) => Health {
  return (node) => by[node] ?? "up";
}

function taken(...nodes: readonly NodeId[]): (node: NodeId) => boolean {
  return (node) => nodes.includes(node);
}

describe("the next stand-in", () => {
  test("is the first healthy node of the walk that is not taken yet", () => {
    const walk = [a, b, c, d];
    expect(nextStandIn(walk, taken(), healths({}))).toBe(a);
    expect(nextStandIn(walk, taken(a), healths({}))).toBe(b);
    expect(nextStandIn(walk, taken(a), healths({ [b]: "down" }))).toBe(c);
  });

  test("is a suspected node only when no other is up, and never one believed down", () => {
    const walk = [a, b, c];
    expect(nextStandIn(walk, taken(), healths({ [a]: "suspect" }))).toBe(b);
    expect(nextStandIn(walk, taken(b), healths({ [a]: "suspect", [c]: "down" }))).toBe(a);
    expect(
      nextStandIn(walk, taken(), healths({ [a]: "down", [b]: "down", [c]: "down" })),
    ).toBeNull();
    expect(nextStandIn([], taken(), healths({}))).toBeNull();
  });
});

describe("who may stand in", () => {
  const members = [
    ...[0, 1, 2].map((i) => member(i, { region: regionOf("eu") })),
    ...[3, 4, 5].map((i) => member(i, { region: regionOf("us") })),
    member(6, { region: regionOf("us"), role: "gateway" }),
  ];
  const [first, ...rest] = members;
  if (first === undefined) throw new Error("no members");
  const one = firstLayout({
    clusterId: parseClusterId("c".repeat(32)),
    member: first,
    expect: 3,
    partitions: 16,
    policy: { n: 3 },
  });
  const all = withMembers(one, rest, [], "0".repeat(64));
  if (all.status !== "next") throw new Error(all.status);
  const policy = { regions: { eu: 1, us: 1 } };
  const two = withNamespace(all.document, "pinned", policy, "0".repeat(64));
  if (two.status !== "next") throw new Error(two.status);
  const layout = compileLayout(two.document);
  const units = ["default", "eu=1,us=1"].flatMap((name) =>
    Array.from({ length: 16 }, (_, p) => {
      const partition = p as PartitionId;
      return { policy: name, partition, homes: layout.homes(name, partition) };
    }),
  );

  test("is no home, no gateway, and for a pinned slot nobody of another region", () => {
    for (const unit of units) {
      for (const { id, role } of members) {
        for (const home of unit.homes) {
          const pinnedElsewhere =
            unit.policy !== "default" && layout.regionOf(id) !== layout.regionOf(home);
          const may = !unit.homes.includes(id) && role === "storage" && !pinnedElsewhere;
          expect(mayStandIn(layout, unit, id, home)).toBe(may);
        }
      }
    }
  });

  test("a node stands in for the first home that it may, always the same one", () => {
    for (const unit of units) {
      for (const { id } of members) {
        const may = unit.homes.filter((home) => mayStandIn(layout, unit, id, home));
        expect(firstHomeFor(layout, unit, id)).toBe(may[0] ?? null);
      }
    }
  });
});
