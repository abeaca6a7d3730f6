import { describe, expect, test } from "bun:test";
import { parseNamespaceId } from "../../src/core/ids.ts";
import type { PlacementPolicy } from "../../src/core/layout.ts";
import { validateLayout } from "../../src/core/layout-checks.ts";
import { withMembers, withNamespace, withoutNamespace } from "../../src/core/layout-rules.ts";
import { legalSuccessor } from "../../src/core/layout-successor.ts";
import { MEMBERS_MAX, POLICIES_MAX } from "../../src/core/limits.ts";
import { first, hash, next, six } from "../support/layout-cases.ts";
import { member, nodeId, regionOf } from "../support/placement-cases.ts";

function reasonOf(change: { status: string; reason?: string }): string {
  return `${change.status}: ${change.reason ?? ""}`;
}

describe("the first layout", () => {
  test("is valid, has its one member and waits for the others", () => {
    const doc = first();
    expect(validateLayout(doc)).toBeNull();
    expect(doc.version).toBe(1);
    expect(doc.formed).toBe(false);
    expect(doc.electors).toEqual([nodeId(0)]);
    expect(doc.assignments["default"]?.every((owners) => owners.length === 1)).toBe(true);
    expect(doc.namespaces).toEqual([
      { id: parseNamespaceId(1), name: "default", policy: "default" },
    ]);
  });

  test("of a single node is formed at once", () => {
    expect(first(1).formed).toBe(true);
  });
});

describe("a change of members", () => {
  test("takes everybody in at once and forms the cluster when all are there", () => {
    const doc = six();
    expect(validateLayout(doc)).toBeNull();
    expect(doc.version).toBe(2);
    expect(doc.parent).toBe(hash);
    expect(doc.formed).toBe(true);
    expect(doc.members.map((m) => m.id)).toEqual([...doc.members.map((m) => m.id)].sort());
    const part = next(withMembers(first(), [member(1)], [], hash));
    expect(part.formed).toBe(false);
    expect(validateLayout(part)).toBeNull();
  });

  test("stays formed when members leave, and never lets them back", () => {
    const doc = six();
    const less = next(withMembers(doc, [], [nodeId(1), nodeId(2)], hash));
    expect(less.formed).toBe(true);
    expect(less.removed).toEqual([nodeId(1), nodeId(2)].sort());
    expect(legalSuccessor(doc, less, hash)).toBeNull();
    expect(reasonOf(withMembers(less, [member(1)], [], hash))).toMatch(/^invalid: .*removed/);
  });

  test("is none when all is as asked already", () => {
    const doc = six();
    const [one] = doc.members;
    expect(withMembers(doc, one === undefined ? [] : [one], [nodeId(77)], hash).status).toBe(
      "unchanged",
    );
  });

  test("does not count gateways towards the expected, nor let them decide or own", () => {
    const doc = next(
      withMembers(
        first(2),
        [member(1, { role: "gateway" }), member(2, { role: "gateway" })],
        [],
        hash,
      ),
    );
    expect(doc.formed).toBe(false);
    expect(doc.electors).toEqual([nodeId(0)]);
    expect(validateLayout(doc)).toBeNull();
  });

  test("is refused when nobody would store, when there would be too many, or with a senseless weight", () => {
    expect(reasonOf(withMembers(first(), [], [nodeId(0)], hash))).toMatch(/no storage member/);
    const many = Array.from({ length: MEMBERS_MAX }, (_, i) => member(i + 1));
    expect(reasonOf(withMembers(first(), many, [], hash))).toMatch(/at most 1000/);
    for (const weight of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(reasonOf(withMembers(first(), [member(1, { weight })], [], hash))).toMatch(/weight/);
    }
  });
});

describe("electors", () => {
  test("are an odd number, at most seven, spread over regions", () => {
    const doc = six();
    expect(doc.electors.length).toBe(5);
    const byRegion = new Map<string, number>();
    for (const id of doc.electors) {
      const region = doc.members.find((m) => m.id === id)?.region ?? "";
      byRegion.set(region, (byRegion.get(region) ?? 0) + 1);
    }
    // No region holds a majority of five: any one may be lost.
    expect([...byRegion.values()].sort()).toEqual([1, 2, 2]);
    const more = Array.from({ length: 14 }, (_, i) => member(20 + i, { region: regionOf("eu") }));
    expect(next(withMembers(doc, more, [], hash)).electors.length).toBe(7);
  });

  test("stay where the spread lets them, whoever joins", () => {
    const regions = ["ap", "eu", "us"];
    const place = (i: number) => member(i, { region: regionOf(regions[i % 3] ?? "ap") });
    const doc = next(
      withMembers(
        six(),
        Array.from({ length: 6 }, (_, i) => place(6 + i)),
        [],
        hash,
      ),
    );
    expect(doc.electors.length).toBe(7);
    for (let i = 12; i < 60; i++) {
      expect(next(withMembers(doc, [place(i)], [], hash)).electors).toEqual(doc.electors);
    }
    for (const { id } of doc.members) {
      const left = next(withMembers(doc, [], [id], hash));
      const kept = doc.electors.filter((elector) => left.electors.includes(elector));
      // Who leaves is replaced and nobody else, unless a region is short of nodes, which none is here.
      expect(kept.length).toBe(doc.electors.includes(id) ? 6 : 7);
      expect(left.electors.length).toBe(7);
    }
  });
});

describe("namespaces", () => {
  test("get a new id each and move no unit", () => {
    const doc = six();
    const made = next(withNamespace(doc, "shop", { name: "default" }, hash));
    expect(made.namespaces[1]).toEqual({
      id: parseNamespaceId(2),
      name: "shop",
      policy: "default",
    });
    expect(made.assignments).toBe(doc.assignments);
    expect(legalSuccessor(doc, made, hash)).toBeNull();
    const gone = next(withoutNamespace(made, "shop", hash));
    const again = next(withNamespace(gone, "shop", { name: "default" }, hash));
    expect(again.namespaces[1]?.id).toBe(parseNamespaceId(3));
    expect(legalSuccessor(gone, again, hash)).toBeNull();
  });

  test("with a policy of their own bring its assignment, under its canonical name", () => {
    const doc = six();
    const made = next(withNamespace(doc, "local", { regions: { us: 1, eu: 2 } }, hash));
    expect(made.policies["eu=2,us=1"]).toEqual({ regions: { us: 1, eu: 2 } });
    expect(made.assignments["default"]).toBe(doc.assignments["default"] ?? []);
    expect(validateLayout(made)).toBeNull();
    expect(legalSuccessor(doc, made, hash)).toBeNull();
    const other = next(withNamespace(made, "local2", { regions: { eu: 2, us: 1 } }, hash));
    expect(Object.keys(other.policies).length).toBe(2);
    expect(next(withNamespace(doc, "two", { n: 2 }, hash)).namespaces[1]?.policy).toBe("n=2");
    expect(next(withNamespace(doc, "three", { n: 3 }, hash)).namespaces[1]?.policy).toBe("default");
  });

  test("take a policy of theirs away when the last of them goes", () => {
    const made = next(withNamespace(six(), "two", { n: 2 }, hash));
    const also = next(withNamespace(made, "two-too", { n: 2 }, hash));
    const one = next(withoutNamespace(also, "two", hash));
    expect(Object.keys(one.policies)).toContain("n=2");
    const none = next(withoutNamespace(one, "two-too", hash));
    expect(Object.keys(none.policies)).toEqual(["default"]);
    expect(Object.keys(none.assignments)).toEqual(["default"]);
    expect(legalSuccessor(one, none, hash)).toBeNull();
  });

  test("exist once: the same again is no change, another policy a conflict", () => {
    const made = next(withNamespace(six(), "shop", { n: 2 }, hash));
    expect(withNamespace(made, "shop", { n: 2 }, hash).status).toBe("exists");
    expect(withNamespace(made, "shop", { name: "n=2" }, hash).status).toBe("exists");
    expect(withNamespace(made, "shop", { n: 3 }, hash).status).toBe("conflict");
    expect(withNamespace(made, "default", { n: 3 }, hash).status).toBe("exists");
  });

  test("are refused with what is wrong", () => {
    const doc = six();
    const refused: readonly [string, { readonly name: string } | PlacementPolicy, RegExp][] = [
      ["Shop", { n: 3 }, /namespace is/],
      ["shop", { name: "nope" }, /there are: default/],
      ["shop", { name: "toString" }, /there are: default/],
      ["shop", { n: 0 }, /from 1 to 16/],
      ["shop", { n: 2.5 }, /from 1 to 16/],
      ["shop", { regions: {} }, /at least one region/],
      ["shop", { regions: { eu: 0 } }, /copies in region eu/],
      ["shop", { regions: { EU: 1 } }, /names a region/],
      ["shop", { regions: { eu: 9, us: 9 } }, /18 copies/],
      ["shop", { regions: { ue: 2 } }, /region ue; there are: ap eu us/],
    ];
    for (const [name, policy, reason] of refused) {
      const change = withNamespace(doc, name, policy, hash);
      expect(change.status).toBe("invalid");
      expect(reasonOf(change)).toMatch(reason);
    }
    expect(withoutNamespace(doc, "default", hash).status).toBe("is-default");
    expect(withoutNamespace(doc, "nope", hash).status).toBe("not-found");
  });

  test("bring at most sixteen policies", () => {
    let doc = six();
    for (let n = 1; Object.keys(doc.policies).length < POLICIES_MAX; n++) {
      const policy = n <= 16 ? { n } : { regions: { eu: n - 16 } };
      doc = next(withNamespace(doc, `ns-${n}`, policy, hash));
    }
    expect(validateLayout(doc)).toBeNull();
    expect(reasonOf(withNamespace(doc, "more", { regions: { us: 1 } }, hash))).toMatch(
      /16 placement/,
    );
    expect(withNamespace(doc, "more", { n: 2 }, hash).status).toBe("next");
  });

  test("give a policy whose text is too long a short name", () => {
    const regions = Array.from({ length: 8 }, (_, i) => `region-number-${i}`);
    const members = regions.map((name, i) => member(40 + i, { region: regionOf(name) }));
    const doc = next(withMembers(six(), members, [], hash));
    const policy = { regions: Object.fromEntries(regions.map((name) => [name, 1])) };
    const made = next(withNamespace(doc, "wide", policy, hash));
    expect(made.namespaces[1]?.policy).toBe("policy-2");
    expect(validateLayout(made)).toBeNull();
    expect(next(withNamespace(made, "wide2", policy, hash)).namespaces[2]?.policy).toBe("policy-2");
  });
});
