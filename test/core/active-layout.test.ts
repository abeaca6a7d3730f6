import { describe, expect, test } from "bun:test";
import { compileLayout } from "../../src/core/active-layout.ts";
import { type PartitionId, parseClusterId, parseNamespaceId } from "../../src/core/ids.ts";
import type { LayoutDocument } from "../../src/core/layout.ts";
import { firstLayout, withMembers, withNamespace } from "../../src/core/layout-rules.ts";
import { buildRing, walk } from "../../src/core/ring.ts";
import { member, nodeId, regionOf } from "../support/placement-cases.ts";

const hash = "0".repeat(64);
const members = [
  ...[0, 1, 2].map((i) => member(i, { region: regionOf("ap") })),
  ...[3, 4, 5].map((i) => member(i, { region: regionOf("eu") })),
  ...[6, 7].map((i) => member(i, { region: regionOf("us") })),
  member(8, { region: regionOf("us"), role: "gateway" }),
];

function document(): LayoutDocument {
  const [first, ...rest] = members;
  if (first === undefined) throw new Error("no members");
  const one = firstLayout({
    clusterId: parseClusterId("c".repeat(32)),
    member: first,
    expect: 3,
    partitions: 16,
    policy: { n: 3 },
  });
  const all = withMembers(one, rest, [], hash);
  if (all.status !== "next") throw new Error(all.status);
  const two = withNamespace(all.document, "residents", { regions: { eu: 2, us: 1 } }, hash);
  if (two.status !== "next") throw new Error(two.status);
  return two.document;
}

const partitions = Array.from({ length: 16 }, (_, p) => p as PartitionId);

describe("a compiled layout", () => {
  const doc = document();
  const layout = compileLayout(doc);

  test("answers with the document's lists of homes, one array for each list that differs", () => {
    const arrays = new Set<readonly string[]>();
    for (const p of partitions) {
      const homes = layout.homes("default", p);
      expect(homes).toEqual(doc.assignments["default"]?.[p] ?? []);
      expect(layout.homes("default", p)).toBe(homes);
      arrays.add(homes);
    }
    expect(arrays.size).toBe(new Set([...arrays].map((homes) => homes.join())).size);
    const one = compileLayout({ ...doc, assignments: { default: [[nodeId(4)], [nodeId(4)]] } });
    expect(one.homes("default", 0 as PartitionId)).toBe(one.homes("default", 1 as PartitionId));
  });

  test("finds members, regions and namespaces", () => {
    expect(layout.version).toBe(3);
    expect(layout.partitions).toBe(16);
    expect(layout.member(nodeId(4))?.region).toBe(regionOf("eu"));
    expect(layout.regionOf(nodeId(8))).toBe(regionOf("us"));
    expect(layout.regionOf(nodeId(99))).toBeUndefined();
    expect(layout.namespaceByName("residents")?.id).toBe(parseNamespaceId(2));
    expect(layout.namespaceById(parseNamespaceId(2))?.policy).toBe("eu=2,us=1");
    expect(layout.namespaceByName("nobody")).toBeUndefined();
    expect(layout.policyCopies("default")).toBe(3);
    expect(layout.policyCopies("eu=2,us=1")).toBe(3);
  });

  test("names the unknown policy and the policies there are", () => {
    expect(() => layout.homes("none", 0 as PartitionId)).toThrow(/"none".*default, eu=2,us=1/);
    expect(() => layout.homes("default", 16 as PartitionId)).toThrow(/16/);
  });
});

describe("fallbacks", () => {
  const doc = document();
  const layout = compileLayout(doc);
  const ring = buildRing(doc.members);

  test("are the walk past the homes: all other storage members in its order, gateways left out", () => {
    for (const p of partitions) {
      const homes = layout.homes("default", p);
      const past = walk(ring, p, 16).filter((id) => !homes.includes(id));
      expect(past.length).toBe(5);
      for (const home of homes) expect(layout.fallbacks("default", p, home)).toEqual(past);
    }
  });

  test("of a slot pinned to a region stay in that region", () => {
    for (const p of partitions) {
      for (const home of layout.homes("eu=2,us=1", p)) {
        const region = layout.regionOf(home);
        const others = layout.fallbacks("eu=2,us=1", p, home);
        expect(others.length).toBe(1);
        for (const id of others) {
          expect(layout.regionOf(id)).toBe(region);
          expect(layout.homes("eu=2,us=1", p)).not.toContain(id);
        }
      }
    }
  });

  test("are the same list when asked again, and none for who is no home", () => {
    const [home] = layout.homes("default", partitions[3] ?? (0 as PartitionId));
    if (home === undefined) throw new Error("no home");
    const p = 3 as PartitionId;
    expect(layout.fallbacks("default", p, home)).toBe(layout.fallbacks("default", p, home));
    expect(layout.fallbacks("default", p, nodeId(8))).toEqual([]);
    expect(layout.fallbacks("default", p, nodeId(99))).toEqual([]);
  });
});
