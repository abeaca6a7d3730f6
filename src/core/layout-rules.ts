/**
 * The next layout document, as pure functions of the one before. Whether a document given by somebody else is right is judged
 * by layout-checks.ts, with rules of its own: who makes a mistake here must not also be the one who overlooks it.
 */
import { chooseElectors } from "./electors.ts";
import { type ClusterId, type NodeId, parseNamespaceId } from "./ids.ts";
import { parseNamespaceName } from "./key-rules.ts";
import type {
  Assignment,
  LayoutDocument,
  LayoutMember,
  NamespaceEntry,
  PlacementPolicy,
} from "./layout.ts";
import { checkWeight } from "./layout-checks.ts";
import { MEMBERS_MAX, NAMESPACES_MAX, POLICIES_MAX } from "./limits.ts";
import { own } from "./own.ts";
import { assign } from "./placement.ts";
import {
  canonicalPolicyText,
  checkPolicy,
  isSamePolicy,
  POLICY_NAME_CHARACTERS_MAX,
} from "./placement-policy.ts";

export interface FirstLayoutInput {
  readonly clusterId: ClusterId;
  readonly member: LayoutMember;
  /** Storage members to wait for before data is taken (`--bootstrap-expect`). */
  readonly expect: number;
  /** Q. */
  readonly partitions: number;
  /** Of the policy called `default`. */
  readonly policy: PlacementPolicy;
}

/** Version 1 of a new cluster: its one member, the policy and the namespace `default`. */
export function firstLayout(input: FirstLayoutInput): LayoutDocument {
  const { clusterId, member, expect, partitions, policy } = input;
  const members = [member];
  return {
    clusterId,
    version: 1,
    parent: "",
    generation: 0,
    phase: "stable",
    expect,
    formed: isFormed(false, members, expect),
    partitions,
    members,
    electors: chooseElectors(members, []),
    removed: [],
    policies: { default: policy },
    namespaces: [{ id: parseNamespaceId(1), name: "default", policy: "default" }],
    nextNamespaceId: 2,
    assignments: { default: assign({ previous: null, members, policy, partitions }) },
  };
}

export type MembersChange =
  | { readonly status: "next"; readonly document: LayoutDocument }
  /** Everybody who asks is in already, as they are; who leaves is not. */
  | { readonly status: "unchanged" }
  | { readonly status: "invalid"; readonly reason: string };

/**
 * Takes members in and out. A join of a present member changes its place, weight or role. Who leaves never comes back.
 *
 * @param parentHash hex SHA-256 of the encoded `current`.
 */
export function withMembers(
  current: LayoutDocument,
  joins: readonly LayoutMember[],
  leaves: readonly NodeId[],
  parentHash: string,
): MembersChange {
  const members = new Map<NodeId, LayoutMember>(
    current.members.map((member) => [member.id, member]),
  );
  const removed = new Set(current.removed);
  let changed = false;
  for (const join of joins) {
    const fault = checkWeight(join.weight);
    if (fault !== null) return { status: "invalid", reason: fault };
    if (removed.has(join.id)) {
      return {
        status: "invalid",
        reason: `Node ${join.id} was removed and cannot come back: give it an empty data directory`,
      };
    }
    const present = members.get(join.id);
    if (present !== undefined && isSameMember(present, join)) continue;
    members.set(join.id, join);
    changed = true;
  }
  for (const leave of leaves) {
    if (!members.delete(leave)) continue;
    removed.add(leave);
    changed = true;
  }
  if (!changed) return { status: "unchanged" };
  if (members.size > MEMBERS_MAX) {
    return {
      status: "invalid",
      reason: `The cluster would have ${members.size} members: at most ${MEMBERS_MAX}`,
    };
  }
  const sorted = [...members.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  if (!sorted.some((member) => member.role === "storage")) {
    return { status: "invalid", reason: "The cluster would have no storage member left" };
  }
  return {
    status: "next",
    document: replaceMembers(current, sorted, [...removed].sort(), parentHash),
  };
}

function replaceMembers(
  current: LayoutDocument,
  members: readonly LayoutMember[],
  removed: readonly NodeId[],
  parentHash: string,
): LayoutDocument {
  const { partitions, policies } = current;
  const assignments: Record<string, Assignment> = {};
  for (const [name, policy] of Object.entries(policies)) {
    const previous = own(current.assignments, name) ?? null;
    assignments[name] = assign({ previous, members, policy, partitions });
  }
  return {
    ...current,
    version: current.version + 1,
    parent: parentHash,
    formed: isFormed(current.formed, members, current.expect),
    members,
    electors: chooseElectors(members, current.electors),
    removed,
    assignments,
  };
}

export type NamespaceCreation =
  | { readonly status: "next"; readonly document: LayoutDocument }
  | { readonly status: "exists" }
  | { readonly status: "conflict" | "invalid"; readonly reason: string };

/**
 * Adds a namespace, with a policy of the document by name or with one of its own, which gets a name (`n=2`, `ap=1,eu=2`) unless
 * an equal one has one. Moves no unit.
 *
 * @param parentHash hex SHA-256 of the encoded `current`.
 */
export function withNamespace(
  current: LayoutDocument,
  name: string,
  policy: { readonly name: string } | PlacementPolicy,
  parentHash: string,
): NamespaceCreation {
  const parsed = parseNamespaceName(name);
  if (!parsed.ok) return { status: "invalid", reason: parsed.reason };
  const named = "name" in policy ? findNamed(current, policy.name) : findOrName(current, policy);
  if ("reason" in named) return { status: "invalid", reason: named.reason };
  const existing = current.namespaces.find((entry) => entry.name === name);
  if (existing !== undefined) {
    if (existing.policy === named.name) return { status: "exists" };
    return {
      status: "conflict",
      reason: `Namespace ${name} exists with placement policy ${existing.policy}, which is fixed when it is created`,
    };
  }
  if (current.namespaces.length >= NAMESPACES_MAX) {
    return {
      status: "conflict",
      reason: `The cluster has ${NAMESPACES_MAX} namespaces, the most it may have`,
    };
  }
  const entry: NamespaceEntry = {
    id: parseNamespaceId(current.nextNamespaceId),
    name,
    policy: named.name,
  };
  return { status: "next", document: addNamespace(current, entry, named.policy, parentHash) };
}

function addNamespace(
  current: LayoutDocument,
  entry: NamespaceEntry,
  policy: PlacementPolicy,
  parentHash: string,
): LayoutDocument {
  const { members, partitions } = current;
  const isNew = !Object.hasOwn(current.policies, entry.policy);
  return {
    ...current,
    version: current.version + 1,
    parent: parentHash,
    namespaces: [...current.namespaces, entry],
    nextNamespaceId: current.nextNamespaceId + 1,
    policies: isNew ? { ...current.policies, [entry.policy]: policy } : current.policies,
    assignments: isNew
      ? {
          ...current.assignments,
          [entry.policy]: assign({ previous: null, members, policy, partitions }),
        }
      : current.assignments,
  };
}

type Named =
  | { readonly name: string; readonly policy: PlacementPolicy }
  | { readonly reason: string };

function findNamed(current: LayoutDocument, name: string): Named {
  const policy = own(current.policies, name);
  if (policy !== undefined) return { name, policy };
  const known = Object.keys(current.policies).sort().join(" ");
  return { reason: `There is no placement policy of that name; there are: ${known}` };
}

function findOrName(current: LayoutDocument, policy: PlacementPolicy): Named {
  const fault = checkPolicy(policy) ?? checkRegionsExist(current, policy);
  if (fault !== null) return { reason: fault };
  const names = Object.keys(current.policies).sort();
  for (const name of ["default", ...names]) {
    const known = current.policies[name];
    if (known !== undefined && isSamePolicy(known, policy)) return { name, policy: known };
  }
  if (names.length >= POLICIES_MAX) {
    return {
      reason: `The cluster has ${POLICIES_MAX} placement policies, the most it may have: use one of them`,
    };
  }
  const text = canonicalPolicyText(policy);
  // The id of the namespace it is made for is never used again, so neither is this name.
  const isTaken = text.length > POLICY_NAME_CHARACTERS_MAX || names.includes(text);
  return { name: isTaken ? `policy-${current.nextNamespaceId}` : text, policy };
}

/** A slip in a region's name would make a namespace that nobody holds; who means it adds the region's first node before. */
function checkRegionsExist(current: LayoutDocument, policy: PlacementPolicy): string | null {
  if ("n" in policy) return null;
  const regions = new Set<string>();
  for (const member of current.members) if (member.role === "storage") regions.add(member.region);
  for (const region of Object.keys(policy.regions)) {
    if (!regions.has(region)) {
      return `No storage member is in region ${region}; there are: ${[...regions].sort().join(" ")}`;
    }
  }
  return null;
}

export type NamespaceRemoval =
  | { readonly status: "next"; readonly document: LayoutDocument }
  | { readonly status: "not-found" | "is-default" };

/**
 * Removes a namespace for ever: its id is not used again, so a namespace of the same name starts empty. A policy that no namespace uses
 * any more goes too, else sixteen trials would use up the names.
 *
 * @param parentHash hex SHA-256 of the encoded `current`.
 */
export function withoutNamespace(
  current: LayoutDocument,
  name: string,
  parentHash: string,
): NamespaceRemoval {
  if (name === "default") return { status: "is-default" };
  const gone = current.namespaces.find((entry) => entry.name === name);
  if (gone === undefined) return { status: "not-found" };
  const namespaces = current.namespaces.filter((entry) => entry !== gone);
  const policies = { ...current.policies };
  const assignments = { ...current.assignments };
  if (gone.policy !== "default" && !namespaces.some((entry) => entry.policy === gone.policy)) {
    delete policies[gone.policy];
    delete assignments[gone.policy];
  }
  return {
    status: "next",
    document: {
      ...current,
      version: current.version + 1,
      parent: parentHash,
      namespaces,
      policies,
      assignments,
    },
  };
}

function isFormed(before: boolean, members: readonly LayoutMember[], expect: number): boolean {
  return before || members.filter((member) => member.role === "storage").length >= expect;
}

function isSameMember(a: LayoutMember, b: LayoutMember): boolean {
  return a.region === b.region && a.zone === b.zone && a.weight === b.weight && a.role === b.role;
}
