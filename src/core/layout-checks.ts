/**
 * What every layout document must satisfy. Checked by every elector before it accepts and by every node before it adopts, so a
 * fault in the maker of a document (layout-rules.ts), or an older version of it, stays with its maker.
 */
import type { NodeId } from "./ids.ts";
import { parseNamespaceName } from "./key-rules.ts";
import type { Assignment, LayoutDocument } from "./layout.ts";
import {
  ELECTORS_MAX,
  MEMBERS_MAX,
  NAMESPACES_MAX,
  PARTITIONS_MAX,
  PARTITIONS_MIN,
  POLICIES_MAX,
} from "./limits.ts";
import { own } from "./own.ts";
import { Board } from "./placement-board.ts";
import {
  canonicalPolicyText,
  checkPolicy,
  POLICY_NAME_CHARACTERS_MAX,
} from "./placement-policy.ts";
import { shapeOf } from "./placement-shape.ts";

/** Weights are relative, in whatever unit the operator likes; sums of doubles keep this range well apart. */
export const WEIGHT_MIN = 0.001;
export const WEIGHT_MAX = 1_000_000;

const POLICY_NAME = /^[a-z0-9][a-z0-9=,_-]*$/;
const HASH = /^[0-9a-f]{64}$/;

/** Why the weight cannot be, or null when it can. */
export function checkWeight(weight: number): string | null {
  // Written so that NaN fails.
  if (weight >= WEIGHT_MIN && weight <= WEIGHT_MAX) return null;
  return `A member's weight is from ${WEIGHT_MIN} to ${WEIGHT_MAX}, not ${weight}`;
}

/** The first invariant that the document breaks, as a sentence; null if it keeps them all. */
export function validateLayout(document: LayoutDocument): string | null {
  return (
    checkHead(document) ??
    checkMembers(document) ??
    checkElectors(document) ??
    checkPolicies(document) ??
    checkNamespaces(document) ??
    checkAssignments(document)
  );
}

function checkHead(document: LayoutDocument): string | null {
  const { version, parent, generation, phase, expect, partitions } = document;
  if (!Number.isSafeInteger(version) || version < 1)
    return `The version is 1 or more, not ${version}`;
  if (version === 1 ? parent !== "" : !HASH.test(parent)) {
    return "The parent is a hex SHA-256, and empty for version 1 only";
  }
  if (!Number.isSafeInteger(generation) || generation < 0) return "The generation is 0 or more";
  if (phase !== "stable") return "The phase is stable";
  if (!Number.isInteger(expect) || expect < 1 || expect > MEMBERS_MAX) {
    return `The cluster expects 1 to ${MEMBERS_MAX} storage members, not ${expect}`;
  }
  const isPower = Number.isInteger(partitions) && (partitions & (partitions - 1)) === 0;
  if (!isPower || partitions < PARTITIONS_MIN || partitions > PARTITIONS_MAX) {
    return `Partitions are a power of two from ${PARTITIONS_MIN} to ${PARTITIONS_MAX}, not ${partitions}`;
  }
  return null;
}

function isAscending<T>(list: readonly T[], rank: (item: T) => string | number): boolean {
  return list.every((item, i) => i === 0 || rank(list[i - 1] as T) < rank(item));
}

function storageCount(document: LayoutDocument): number {
  return document.members.filter((member) => member.role === "storage").length;
}

function checkMembers(document: LayoutDocument): string | null {
  const { members, removed, formed, expect } = document;
  if (members.length > MEMBERS_MAX)
    return `There are ${members.length} members: at most ${MEMBERS_MAX}`;
  if (!isAscending(members, (member) => member.id)) return "Members are sorted by id, each once";
  if (!isAscending(removed, (id) => id)) return "Removed ids are sorted, each once";
  const gone = new Set(removed);
  for (const member of members) {
    const fault = checkWeight(member.weight);
    if (fault !== null) return fault;
    if (gone.has(member.id)) return `Member ${member.id} was removed and may not come back`;
  }
  if (storageCount(document) === 0) return "There is no storage member";
  if (!formed && storageCount(document) >= expect)
    return "All expected members are there, but it is not formed";
  return null;
}

function checkElectors(document: LayoutDocument): string | null {
  const { electors, members } = document;
  if (electors.length % 2 === 0 || electors.length > ELECTORS_MAX) {
    return `Electors are an odd number up to ${ELECTORS_MAX}, not ${electors.length}`;
  }
  if (!isAscending(electors, (id) => id)) return "Electors are sorted by id, each once";
  const storage = new Set(members.filter((member) => member.role === "storage").map((m) => m.id));
  for (const elector of electors) {
    if (!storage.has(elector)) return `Elector ${elector} is no storage member`;
  }
  return null;
}

function checkPolicies(document: LayoutDocument): string | null {
  const entries = Object.entries(document.policies);
  if (entries.length > POLICIES_MAX)
    return `There are ${entries.length} policies: at most ${POLICIES_MAX}`;
  if (!Object.hasOwn(document.policies, "default")) return "The policy default is missing";
  for (const [name, policy] of entries) {
    if (!POLICY_NAME.test(name) || name.length > POLICY_NAME_CHARACTERS_MAX) {
      return `A policy's name is up to ${POLICY_NAME_CHARACTERS_MAX} characters of a-z, 0-9, = , _ and -`;
    }
    const fault = checkPolicy(policy);
    if (fault !== null) return fault;
    // Such a name is a promise about the content.
    if (name.includes("=") && name !== canonicalPolicyText(policy))
      return `Policy ${name} is another`;
  }
  return null;
}

function checkNamespaces(document: LayoutDocument): string | null {
  const { namespaces, nextNamespaceId, policies } = document;
  if (namespaces.length > NAMESPACES_MAX) {
    return `There are ${namespaces.length} namespaces: at most ${NAMESPACES_MAX}`;
  }
  const [first] = namespaces;
  if (first === undefined || first.id !== 1 || first.name !== "default") {
    return "The first namespace is default, with id 1";
  }
  if (!isAscending(namespaces, (entry) => entry.id))
    return "Namespaces are sorted by id, each once";
  const names = new Set<string>();
  for (const entry of namespaces) {
    if (!parseNamespaceName(entry.name).ok) return `Namespace ${entry.id} has a malformed name`;
    if (names.has(entry.name)) return `Two namespaces are called ${entry.name}`;
    names.add(entry.name);
    if (!Object.hasOwn(policies, entry.policy)) {
      return `Namespace ${entry.name} has an unknown placement policy`;
    }
    if (entry.id >= nextNamespaceId)
      return `Namespace ${entry.name} has an id that is still to be given`;
  }
  return Number.isSafeInteger(nextNamespaceId) ? null : "The next namespace id is an integer";
}

function checkAssignments(document: LayoutDocument): string | null {
  const names = Object.keys(document.policies);
  if (Object.keys(document.assignments).length !== names.length) {
    return "There is one assignment for each policy";
  }
  for (const name of names) {
    const assignment = own(document.assignments, name);
    if (assignment === undefined) return `Policy ${name} has no assignment`;
    const fault = checkAssignment(document, name, assignment);
    if (fault !== null) return fault;
  }
  return null;
}

/** Owners distinct, storage members, as many as the policy asks and exist, in the regions and zones it wants. */
function checkAssignment(
  document: LayoutDocument,
  name: string,
  assignment: Assignment,
): string | null {
  const policy = own(document.policies, name);
  if (policy === undefined) return `There is no policy ${name}`;
  if (assignment.length !== document.partitions) {
    return `The assignment of ${name} has ${assignment.length} partitions, not ${document.partitions}`;
  }
  const shape = shapeOf(document.members, policy);
  const board = new Board(shape, document.partitions);
  const index = new Map<NodeId, number>(shape.members.map((member, i) => [member.id, i]));
  for (const [partition, owners] of assignment.entries()) {
    for (const owner of owners) {
      const node = index.get(owner);
      if (node === undefined)
        return `Owner ${owner} of partition ${partition} is no storage member`;
      if (board.owns(partition, node))
        return `Partition ${partition} of ${name} has an owner twice`;
      if (!board.fits(partition, node))
        return `The owners of partition ${partition} break policy ${name}`;
      board.place(partition, node);
    }
    if (!board.isFull(partition)) return `Partition ${partition} of ${name} has too few owners`;
  }
  return null;
}
