import { describe, expect, test } from "bun:test";
import { AssertionError } from "../../src/core/assert.ts";
import {
  type Consistency,
  majorityOf,
  type RequirementArgs,
  requirementOf,
} from "../../src/core/consistency.ts";
import { type NodeId, parseNodeId, parseRegionId } from "../../src/core/ids.ts";

const eu = parseRegionId("eu");
const us = parseRegionId("us");
const ap = parseRegionId("ap");
const node = (i: number): NodeId => parseNodeId(i.toString(16).padStart(32, "0"));

/** Two homes in eu, two in us, one in ap. */
const homes = [node(1), node(2), node(3), node(4), node(5)];
const regions = new Map([
  [node(1), eu],
  [node(2), us],
  [node(3), eu],
  [node(4), us],
  [node(5), ap],
]);

function requirement(consistency: Consistency, changes: Partial<RequirementArgs> = {}) {
  return requirementOf({
    consistency,
    homes,
    policyCopies: 5,
    layout: { regionOf: (id) => regions.get(id) },
    coordinatorRegion: eu,
    regionRank: (region) => [eu, us, ap].indexOf(region),
    ...changes,
  });
}

describe("requirementOf", () => {
  test("a quorum is floor(n/2)+1 of the owners that exist now, not of the policy's copies", () => {
    expect([1, 2, 3, 4, 5].map(majorityOf)).toEqual([1, 2, 2, 3, 3]);
    const one = requirement({ level: "quorum" }, { homes: [node(1)], policyCopies: 3 });
    expect(one).toMatchObject({ ok: true, requirement: { needed: 1 }, strict: false });
    expect(requirement({ level: "quorum" })).toMatchObject({ requirement: { needed: 3 } });
  });

  test("one and all are 1 and n; all forbids stand-ins", () => {
    expect(requirement({ level: "one" })).toMatchObject({
      requirement: { needed: 1 },
      strict: false,
    });
    expect(requirement({ level: "all" })).toMatchObject({
      requirement: { needed: 5 },
      strict: true,
    });
  });

  test("local-quorum is a majority of the owners in the coordinator's region", () => {
    expect(requirement({ level: "local-quorum" })).toEqual({
      ok: true,
      requirement: { homes, groups: [{ homes: [node(1), node(3)], needed: 2 }], needed: 2 },
      strict: false,
    });
    const inAp = requirement({ level: "local-quorum" }, { coordinatorRegion: ap });
    expect(inAp).toMatchObject({ requirement: { groups: [{ homes: [node(5)], needed: 1 }] } });
  });

  test("local-quorum from a region without owners takes the nearest that has some", () => {
    const elsewhere = { coordinatorRegion: parseRegionId("sa") };
    const nearest = requirement(
      { level: "local-quorum" },
      { ...elsewhere, regionRank: (region) => (region === us ? 1 : 2) },
    );
    expect(nearest).toMatchObject({ requirement: { groups: [{ homes: [node(2), node(4)] }] } });
    const tied = requirement({ level: "local-quorum" }, { ...elsewhere, regionRank: () => 0 });
    expect(tied).toMatchObject({ requirement: { groups: [{ homes: [node(5)] }] } });
  });

  test("each-quorum is a majority in each region with owners, and forbids stand-ins", () => {
    expect(requirement({ level: "each-quorum" })).toEqual({
      ok: true,
      requirement: {
        homes,
        groups: [
          { homes: [node(1), node(3)], needed: 2 },
          { homes: [node(2), node(4)], needed: 2 },
          { homes: [node(5)], needed: 1 },
        ],
        needed: 5,
      },
      strict: true,
    });
  });

  test("a count above the policy is the client's mistake, one above the owners is not", () => {
    expect(requirement({ count: 6 })).toEqual({
      ok: false,
      failure: { status: "count-above-policy", asked: 6, copies: 5 },
    });
    expect(requirement({ count: 3 }, { homes: homes.slice(0, 2) })).toEqual({
      ok: false,
      failure: { status: "count-above-owners", asked: 3, owners: 2 },
    });
    expect(requirement({ count: 5 })).toMatchObject({ ok: true, requirement: { needed: 5 } });
    expect(() => requirement({ count: 0 })).toThrow(AssertionError);
    expect(() => requirement({ count: 1.5 })).toThrow(AssertionError);
  });

  test("no level can be met by a unit without owners", () => {
    for (const level of ["one", "local-quorum", "quorum", "each-quorum", "all"] as const) {
      expect(requirement({ level }, { homes: [] })).toMatchObject({
        failure: { status: "count-above-owners", owners: 0 },
      });
    }
  });
});
