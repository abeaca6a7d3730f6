import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { NodeId } from "../../src/core/ids.ts";
import type { Assignment, LayoutMember, PlacementPolicy } from "../../src/core/layout.ts";
import { assign } from "../../src/core/placement.ts";
import {
  loadsOf,
  member,
  movedSlots,
  nodeId,
  regionOf,
  zoneOf,
} from "../support/placement-cases.ts";

function place(
  members: readonly LayoutMember[],
  policy: PlacementPolicy,
  partitions = 64,
  previous: Assignment | null = null,
): Assignment {
  return assign({ previous, members, policy, partitions });
}

/** `counts` nodes in each region named; the zone of each alternates over the zones given. */
function cluster(counts: Readonly<Record<string, number>>, zones: readonly string[] = ["a"]) {
  const members: LayoutMember[] = [];
  for (const [region, count] of Object.entries(counts)) {
    for (let i = 0; i < count; i++) {
      const zone = zoneOf(zones[i % zones.length] ?? "a");
      members.push(member(members.length, { region: regionOf(region), zone }));
    }
  }
  return members;
}

/** How often each combination of regions (or zones) occurs among the owners of a partition. */
function patterns(
  assignment: Assignment,
  members: readonly LayoutMember[],
  of: (m: LayoutMember) => string,
) {
  const byId = new Map<NodeId, LayoutMember>(members.map((m) => [m.id, m]));
  const found = new Set<string>();
  for (const owners of assignment) {
    const names = owners.map((id) => {
      const owner = byId.get(id);
      return owner === undefined ? "?" : of(owner);
    });
    found.add(names.sort().join(" "));
  }
  return [...found].sort();
}

const region = (m: LayoutMember) => m.region;
const zone = (m: LayoutMember) => `${m.region}/${m.zone}`;

describe("placement", () => {
  test("puts nothing into a region that the policy does not name, even one called constructor", () => {
    const members = cluster({ eu: 3, constructor: 3 });
    const placed = place(members, { regions: { eu: 2 } });
    expect(patterns(placed, members, region)).toEqual(["eu eu"]);
    const there = place(members, { regions: { constructor: 2 } });
    expect(patterns(there, members, region)).toEqual(["constructor constructor"]);
  });

  test("prefers a second region before a second node of the first", () => {
    const members = cluster({ eu: 5, us: 1 });
    expect(patterns(place(members, { n: 2 }), members, region)).toEqual(["eu us"]);
  });

  test("gives every region one of three copies", () => {
    const members = cluster({ ap: 2, eu: 2, us: 2 });
    expect(patterns(place(members, { n: 3 }), members, region)).toEqual(["ap eu us"]);
  });

  test("spreads copies evenly when there are more copies than regions", () => {
    const members = cluster({ ap: 3, eu: 3, us: 3 });
    const found = patterns(place(members, { n: 5 }), members, region);
    expect(found).toEqual(["ap ap eu eu us", "ap ap eu us us", "ap eu eu us us"]);
  });

  test("lets a larger region take what a small one cannot", () => {
    const members = cluster({ eu: 4, us: 1 });
    expect(patterns(place(members, { n: 4 }), members, region)).toEqual(["eu eu eu us"]);
  });

  test("prefers a second zone before a second node of the first, within a region", () => {
    const members = [
      ...cluster({ eu: 4 }),
      member(10, { zone: zoneOf("b") }),
      member(11, { zone: zoneOf("c") }),
    ];
    expect(patterns(place(members, { n: 3 }), members, zone)).toEqual(["eu/a eu/b eu/c"]);
    expect(patterns(place(members, { n: 2 }), members, zone)).not.toContain("eu/a eu/a");
  });

  test("takes zones of one name in two regions for two zones", () => {
    const members = cluster({ eu: 3, us: 3 }, ["a", "b", "c"]);
    const found = patterns(place(members, { n: 4 }), members, zone);
    for (const pattern of found) expect(new Set(pattern.split(" ")).size).toBe(4);
  });

  test("puts exactly as many copies in each region as the policy says", () => {
    const members = cluster({ ap: 2, eu: 3, us: 4 });
    const policy = { regions: { eu: 2, us: 1 } };
    const assignment = place(members, policy);
    expect(patterns(assignment, members, region)).toEqual(["eu eu us"]);
  });

  test("has fewer owners while nodes are missing, none where a region is empty", () => {
    expect(place(cluster({ eu: 2 }), { n: 3 }).every((owners) => owners.length === 2)).toBe(true);
    expect(place(cluster({ eu: 2 }), { regions: { us: 2 } }).every((o) => o.length === 0)).toBe(
      true,
    );
    expect(place([member(0, { role: "gateway" })], { n: 1 }).every((o) => o.length === 0)).toBe(
      true,
    );
  });

  test("gives gateways nothing", () => {
    const members = [...cluster({ eu: 3 }), member(9, { role: "gateway" })];
    expect(loadsOf(place(members, { n: 3 })).has(nodeId(9))).toBe(false);
  });
});

describe("shares", () => {
  test("are in proportion to weight", () => {
    const members = [1, 2, 3, 4].map((weight, i) => member(i, { weight }));
    const loads = loadsOf(place(members, { n: 1 }, 1024));
    expect(members.map((m) => loads.get(m.id))).toEqual([102, 205, 307, 410]);
  });

  test("of a node too heavy for the policy end at one copy of every partition", () => {
    const members = [100, 1, 1, 2].map((weight, i) => member(i, { weight }));
    const loads = loadsOf(place(members, { n: 2 }, 64));
    expect(members.map((m) => loads.get(m.id))).toEqual([64, 16, 16, 32]);
  });

  test("follow the policy where it binds, and weight inside each region", () => {
    const members = cluster({ ap: 1, eu: 2, us: 4 });
    const loads = loadsOf(place(members, { n: 3 }, 64));
    expect(members.map((m) => loads.get(m.id))).toEqual([64, 32, 32, 16, 16, 16, 16]);
  });

  test("bend to weight as far as a region may be left out", () => {
    const members = [8, 1, 1, 1, 1].map((weight, i) =>
      member(i, { weight, region: regionOf(["ap", "eu", "us", "sa", "af"][i] ?? "ap") }),
    );
    const loads = loadsOf(place(members, { n: 2 }, 64));
    expect(members.map((m) => loads.get(m.id))).toEqual([64, 16, 16, 16, 16]);
  });
});

describe("what moves", () => {
  const nine = cluster({ ap: 3, eu: 3, us: 3 });

  test("is nothing when nothing changes", () => {
    const before = place(nine, { n: 3 }, 256);
    expect(place(nine, { n: 3 }, 256, before)).toEqual(before);
    expect(place([...nine].reverse(), { n: 3 }, 256, before)).toEqual(before);
  });

  test("is nothing when only another would have got the odd slot", () => {
    const members = [0, 1, 2].map((i) => member(i));
    for (const odd of members) {
      const before = Array.from({ length: 16 }, (_, p) => [
        (p === 15 ? odd : (members[p % 3] ?? odd)).id,
      ]);
      expect(movedSlots(before, place(members, { n: 1 }, 16, before))).toBe(0);
    }
  });

  test("on a join is the joiner's share, and all of it goes to the joiner", () => {
    const before = place(nine, { n: 3 }, 256);
    const joiner = member(20, { region: regionOf("eu") });
    const after = place([...nine, joiner], { n: 3 }, 256, before);
    expect(loadsOf(after).get(joiner.id)).toBe(64);
    expect(movedSlots(before, after)).toBe(64);
  });

  test("on a leave is what the leaver had", () => {
    const before = place(nine, { n: 3 }, 256);
    const leaver = nine[4]?.id;
    const after = place(
      nine.filter((m) => m.id !== leaver),
      { n: 3 },
      256,
      before,
    );
    expect(movedSlots(before, after)).toBe(
      leaver === undefined ? -1 : (loadsOf(before).get(leaver) ?? 0),
    );
  });

  test("on the first node of a new region is one copy of every partition, no more", () => {
    const members = cluster({ eu: 4, us: 4 });
    const before = place(members, { n: 3 }, 256);
    const after = place(
      [...members, member(20, { region: regionOf("ap") })],
      { n: 3 },
      256,
      before,
    );
    expect(patterns(after, [...members, member(20, { region: regionOf("ap") })], region)).toEqual([
      "ap eu us",
    ]);
    expect(movedSlots(before, after)).toBe(256);
  });

  test("comes from all around the ring, not from one arc", () => {
    const before = place(nine, { n: 3 }, 256);
    const joiner = member(20, { region: regionOf("eu") });
    const after = place([...nine, joiner], { n: 3 }, 256, before);
    const quarters = [0, 0, 0, 0];
    for (const [p, owners] of after.entries()) {
      const quarter = Math.floor(p / 64);
      if (owners.includes(joiner.id)) quarters[quarter] = (quarters[quarter] ?? 0) + 1;
    }
    for (const count of quarters) expect(count).toBeGreaterThan(8);
  });

  test("passes through a node that has its share where the node below owns all that could be given", () => {
    const members = [1, 6, 6, 3].map((weight, i) => member(i, { weight }));
    const [a, b, c, d] = members.map((m) => m.id) as [NodeId, NodeId, NodeId, NodeId];
    // Shares are 2, 12, 12, 6: a holds two too many, b two too few, and b is in every partition of a.
    const before = [
      ...Array.from({ length: 4 }, () => [a, b]),
      ...Array.from({ length: 6 }, () => [b, c]),
      ...Array.from({ length: 6 }, () => [c, d]),
    ];
    const after = place(members, { n: 2 }, 16, before);
    const loads = loadsOf(after);
    expect([a, b, c, d].map((id) => loads.get(id))).toEqual([2, 12, 12, 6]);
    expect(movedSlots(before, after)).toBe(4);
  });
});

describe("a small cluster", () => {
  const members = cluster({ ap: 2, eu: 2, us: 2 }, ["a", "b"]);

  test("is placed as the golden file says", () => {
    const names = new Map(members.map((m, i) => [m.id, `${m.region}-${(i % 2) + 1}`]));
    const lines = (policy: PlacementPolicy) =>
      place(members, policy, 16).map(
        (owners, p) => `${String(p).padStart(2)}  ${owners.map((id) => names.get(id)).join(" ")}`,
      );
    const text = [
      "n=3",
      ...lines({ n: 3 }),
      "",
      "ap=1,eu=2",
      ...lines({ regions: { ap: 1, eu: 2 } }),
      "",
    ].join("\n");
    const golden = readFileSync(
      new URL("../golden/placement-6-nodes.txt", import.meta.url),
      "utf8",
    );
    expect(text).toBe(golden);
  });
});
