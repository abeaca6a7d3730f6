/** Layout documents for tests. */
import { parseClusterId } from "../../src/core/ids.ts";
import type { LayoutDocument, LayoutMember, PlacementPolicy } from "../../src/core/layout.ts";
import { firstLayout, withMembers } from "../../src/core/layout-rules.ts";
import { member, regionOf } from "./placement-cases.ts";

/** Stands for the hash of any parent. */
export const hash = "ab".repeat(32);
const clusterId = parseClusterId("c".repeat(32));

export function first(
  expected = 3,
  policy: PlacementPolicy = { n: 3 },
  one: LayoutMember = member(0),
) {
  return firstLayout({ clusterId, member: one, expect: expected, partitions: 16, policy });
}

/** The document of a change that must be one. */
export function next(change: { status: string; document?: LayoutDocument }): LayoutDocument {
  if (change.status !== "next" || change.document === undefined) throw new Error(change.status);
  return change.document;
}

/** Nodes 0 to 5, two in each of ap, eu, us. */
export function six(): LayoutDocument {
  const members = Array.from({ length: 6 }, (_, i) =>
    member(i, { region: regionOf(["ap", "eu", "us"][i % 3] ?? "ap") }),
  );
  const [one, ...rest] = members;
  return next(withMembers(first(6, { n: 3 }, one), rest, [], hash));
}
