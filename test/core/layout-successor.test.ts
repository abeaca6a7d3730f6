import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { parseClusterId } from "../../src/core/ids.ts";
import type { Assignment, LayoutDocument, LayoutMember } from "../../src/core/layout.ts";
import { validateLayout } from "../../src/core/layout-checks.ts";
import { withMembers, withNamespace, withoutNamespace } from "../../src/core/layout-rules.ts";
import { legalSuccessor } from "../../src/core/layout-successor.ts";
import { first, hash, next, six } from "../support/layout-cases.ts";
import {
  applyChange,
  drawnChange,
  drawnMembers,
  drawnPolicy,
  nodeId,
} from "../support/placement-cases.ts";

describe("a successor is illegal", () => {
  const current = next(withNamespace(six(), "two", { n: 2 }, hash));
  const noOp = { ...current, version: current.version + 1, parent: hash };
  const left = next(withMembers(current, [], [nodeId(1)], hash));
  const shifted = (current.assignments["n=2"] ?? []).slice(1);
  shifted.push(current.assignments["n=2"]?.[0] ?? []);
  const [n1, n2] = current.namespaces as [
    LayoutDocument["namespaces"][0],
    LayoutDocument["namespaces"][0],
  ];
  const illegal: readonly [string, LayoutDocument, RegExp][] = [
    ["of another cluster", { ...noOp, clusterId: parseClusterId("d".repeat(32)) }, /cluster/],
    ["two versions on", { ...noOp, version: current.version + 2 }, /version/],
    ["of another parent", { ...noOp, parent: "cd".repeat(32) }, /parent/],
    ["of another generation", { ...noOp, generation: 1 }, /generation/],
    ["that expects others", { ...noOp, expect: 7 }, /expected/],
    ["with other partitions", { ...noOp, partitions: 32 }, /partitions/],
    ["no longer formed", { ...noOp, formed: false }, /formed/],
    [
      "that moves units without members",
      { ...noOp, assignments: { ...current.assignments, "n=2": shifted } },
      /move/,
    ],
    ["that renames a namespace", { ...noOp, namespaces: [n1, { ...n2, name: "new" }] }, /fixed/],
    [
      "that changes a namespace's policy",
      { ...noOp, namespaces: [n1, { ...n2, policy: "default" }] },
      /fixed/,
    ],
    [
      "that takes ids back",
      { ...next(withoutNamespace(current, "two", hash)), nextNamespaceId: 2 },
      /twice/,
    ],
    ["that loses a member unmarked", { ...left, removed: [] }, /not among the removed/],
    ["that removes somebody for nothing", { ...noOp, removed: [nodeId(50)] }, /Removed/],
    [
      "that changes electors alone",
      { ...noOp, electors: current.electors.slice(0, 3) },
      /Electors/,
    ],
    [
      "that changes members and namespaces",
      { ...next(withNamespace(left, "x", { n: 3 }, hash)), version: current.version + 1 },
      /Members and namespaces/,
    ],
    ["that is invalid", { ...noOp, electors: [] }, /odd/],
  ];
  for (const [name, document, reason] of illegal) {
    test(name, () => {
      expect(legalSuccessor(current, document, hash) ?? "legal").toMatch(reason);
    });
  }

  test("not when nothing changes but the version", () => {
    expect(legalSuccessor(current, noOp, hash)).toBeNull();
  });

  // No maker gives it that name, but another node's document might.
  test("not when a policy called constructor goes, or comes, with its assignment", () => {
    const policies = { ...current.policies, constructor: { regions: { eu: 1 } } };
    const assignments = {
      ...current.assignments,
      constructor: next(withNamespace(current, "x", { regions: { eu: 1 } }, hash)).assignments[
        "eu=1"
      ] as Assignment,
    };
    const named = { ...current, policies, assignments };
    expect(validateLayout(named)).toBeNull();
    expect(legalSuccessor(named, noOp, hash)).toBeNull();
    expect(legalSuccessor(current, { ...noOp, policies, assignments }, hash)).toBeNull();
    const moved = { ...left, version: noOp.version, parent: hash };
    expect(legalSuccessor(named, moved, hash)).toBe(
      "Members and namespaces change in one document",
    );
    const lacking = { ...noOp, policies, assignments: { ...current.assignments, other: [] } };
    expect(legalSuccessor(current, lacking, hash)).toBe("Policy constructor has no assignment");
  });

  test("when it forgets who was removed before", () => {
    const more = next(withMembers(left, [], [nodeId(2)], hash));
    expect(legalSuccessor(left, more, hash)).toBeNull();
    expect(legalSuccessor(left, { ...more, removed: [nodeId(2)] }, hash)).toMatch(/forgotten/);
  });

  test("when a namespace takes the id of one that is gone", () => {
    const gone = next(withoutNamespace(current, "two", hash));
    const back = {
      ...next(withNamespace(gone, "x", { name: "default" }, hash)),
      namespaces: [n1, { ...n2, policy: "default" }],
    };
    expect(legalSuccessor(gone, back, hash)).toMatch(/given before/);
  });
});

test("every drawn history of changes gives valid documents, each the legal successor of the one before", () => {
  const step = fc.oneof(
    drawnChange.map((change) => ({ change })),
    fc.record({ name: fc.constantFrom("a", "b", "c"), policy: drawnPolicy }),
    fc.record({ gone: fc.constantFrom("a", "b", "c") }),
  );
  const drawn = fc.record({
    members: drawnMembers(7),
    policy: drawnPolicy,
    steps: fc.array(step, { maxLength: 8 }),
  });
  fc.assert(
    fc.property(drawn, ({ members, policy, steps }) => {
      const [one, ...rest] = members as [LayoutMember, ...LayoutMember[]];
      let current = first(4, policy, one);
      expect(validateLayout(current)).toBeNull();
      const follow = (change: { status: string; document?: LayoutDocument }) => {
        if (change.status !== "next" || change.document === undefined) return;
        expect(legalSuccessor(current, change.document, hash)).toBeNull();
        current = change.document;
      };
      follow(withMembers(current, rest, [], hash));
      for (const [i, drawnStep] of steps.entries()) {
        if ("gone" in drawnStep) follow(withoutNamespace(current, drawnStep.gone, hash));
        else if ("name" in drawnStep)
          follow(withNamespace(current, drawnStep.name, drawnStep.policy, hash));
        else {
          const after = applyChange(current.members, drawnStep.change, 200 + i);
          const ids = new Set(after.map((m) => m.id));
          const leaves = current.members.map((m) => m.id).filter((id) => !ids.has(id));
          follow(withMembers(current, after, leaves, hash));
        }
      }
    }),
    { numRuns: 200 },
  );
});
