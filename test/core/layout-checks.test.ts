import { describe, expect, test } from "bun:test";
import { type NodeId, parseNamespaceId } from "../../src/core/ids.ts";
import type { LayoutDocument, LayoutMember } from "../../src/core/layout.ts";
import { validateLayout } from "../../src/core/layout-checks.ts";
import { withNamespace } from "../../src/core/layout-rules.ts";
import { hash, next, six } from "../support/layout-cases.ts";
import { nodeId } from "../support/placement-cases.ts";

describe("a document is refused", () => {
  const good = next(withNamespace(six(), "two", { n: 2 }, hash));
  const assignment = good.assignments["default"] ?? [];
  const [m0, m1] = good.members as [LayoutMember, LayoutMember];
  const [n1, n2] = good.namespaces as [
    LayoutDocument["namespaces"][0],
    LayoutDocument["namespaces"][0],
  ];
  const stranger = nodeId(99);
  const withRow = (row: readonly NodeId[]) => ({
    assignments: { ...good.assignments, default: [row, ...assignment.slice(1)] },
  });
  const row = assignment[0] ?? [];
  const sameRegion = good.members.filter((m) => m.region === "eu").map((m) => m.id);
  const broken: readonly [string, Partial<LayoutDocument>, RegExp][] = [
    ["version 0", { version: 0 }, /version/],
    ["a later version without parent", { parent: "" }, /parent/],
    ["a negative generation", { generation: -1 }, /generation/],
    ["nobody expected", { expect: 0 }, /expects/],
    ["17 partitions", { partitions: 17 }, /power of two/],
    ["8 partitions", { partitions: 8 }, /power of two/],
    ["2^30 partitions", { partitions: 2 ** 30 }, /power of two/],
    ["unsorted members", { members: [...good.members].reverse() }, /sorted/],
    ["a member twice", { members: [m0, ...good.members] }, /sorted/],
    [
      "a weightless member",
      { members: [{ ...m0, weight: 0 }, ...good.members.slice(1)] },
      /weight/,
    ],
    ["a removed member", { removed: [m1.id] }, /removed/],
    ["unsorted removed ids", { removed: ["f".repeat(32), "e".repeat(32)] as NodeId[] }, /sorted/],
    [
      "no storage",
      { members: good.members.map((m) => ({ ...m, role: "gateway" as const })) },
      /storage/,
    ],
    ["all there and not formed", { formed: false }, /formed/],
    ["two electors", { electors: good.electors.slice(0, 2) }, /odd/],
    ["no electors", { electors: [] }, /odd/],
    ["an unsorted elector", { electors: [...good.electors].reverse() }, /sorted/],
    ["a strange elector", { electors: [stranger] }, /no storage member/],
    ["no default policy", { policies: { "n=2": { n: 2 } } }, /default/],
    ["a policy of 17", { policies: { ...good.policies, default: { n: 17 } } }, /1 to 16/],
    ["a policy that lies", { policies: { ...good.policies, "n=2": { n: 1 } } }, /another/],
    ["a shouting policy", { policies: { ...good.policies, LOUD: { n: 1 } } }, /name/],
    ["no default namespace", { namespaces: [n2] }, /default/],
    ["an id twice", { namespaces: [n1, n2, { ...n2, name: "x" }] }, /sorted/],
    [
      "a name twice",
      { namespaces: [n1, n2, { ...n2, id: parseNamespaceId(9) }], nextNamespaceId: 10 },
      /called/,
    ],
    ["an unknown policy", { namespaces: [n1, { ...n2, policy: "none" }] }, /unknown/],
    ["a bad name", { namespaces: [n1, { ...n2, name: "-" }] }, /malformed/],
    ["an id to come", { nextNamespaceId: 2 }, /still to be given/],
    ["no assignment", { assignments: { default: assignment } }, /one assignment/],
    [
      "15 partitions assigned",
      { assignments: { ...good.assignments, default: assignment.slice(1) } },
      /15/,
    ],
    ["a strange owner", withRow([stranger, ...row.slice(1)]), /no storage member/],
    ["an owner twice", withRow([row[0] ?? stranger, row[0] ?? stranger]), /twice/],
    ["too few owners", withRow(row.slice(1)), /too few/],
    ["two owners of one region", withRow(sameRegion), /break/],
    ["too many owners", withRow(good.members.slice(0, 4).map((m) => m.id)), /break/],
  ];
  for (const [name, change, reason] of broken) {
    test(`with ${name}`, () => {
      expect(validateLayout(good)).toBeNull();
      expect(validateLayout({ ...good, ...change }) ?? "valid").toMatch(reason);
    });
  }
});
