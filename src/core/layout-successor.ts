/** Which layout document may follow which: so that no id comes back, no unit moves unseen, and nothing fixed changes. */
import type { LayoutDocument, LayoutMember, NamespaceEntry } from "./layout.ts";
import { validateLayout } from "./layout-checks.ts";
import { own } from "./own.ts";
import { isSamePolicy } from "./placement-policy.ts";

/**
 * Why `next` may not follow `current`, or null when it may. In this phase of the format a document changes members (units may then
 * move: the caller has made sure that the cluster is empty) or namespaces (no unit moves) or nothing, never both.
 *
 * @param currentHash hex SHA-256 of the encoded `current`.
 */
export function legalSuccessor(
  current: LayoutDocument,
  next: LayoutDocument,
  currentHash: string,
): string | null {
  if (next.clusterId !== current.clusterId) return "It is of another cluster";
  if (next.version !== current.version + 1) return `Its version is not ${current.version + 1}`;
  if (next.parent !== currentHash) return "Its parent is another document";
  if (next.generation !== current.generation)
    return "Its generation differs: only an operator's force may raise it";
  if (next.expect !== current.expect) return "The expected number of members is fixed";
  if (next.partitions !== current.partitions) return "The number of partitions is fixed";
  if (current.formed && !next.formed) return "A formed cluster stays formed";
  return validateLayout(next) ?? checkChange(current, next);
}

function checkChange(current: LayoutDocument, next: LayoutDocument): string | null {
  if (hasSameMembers(current, next)) {
    return checkNothingMoves(current, next) ?? checkNamespaceChange(current, next);
  }
  if (!hasSameNamespaces(current, next)) return "Members and namespaces change in one document";
  return checkMemberChange(current, next);
}

function isSameList<T>(a: readonly T[], b: readonly T[], same: (x: T, y: T) => boolean): boolean {
  return a === b || (a.length === b.length && a.every((item, i) => same(item, b[i] as T)));
}

const isSame = <T>(a: T, b: T) => a === b;

function hasSameMembers(current: LayoutDocument, next: LayoutDocument): boolean {
  const same = (a: LayoutMember, b: LayoutMember) =>
    a.id === b.id &&
    a.region === b.region &&
    a.zone === b.zone &&
    a.weight === b.weight &&
    a.role === b.role;
  return isSameList(current.members, next.members, same);
}

function isSameNamespace(a: NamespaceEntry, b: NamespaceEntry): boolean {
  return a.id === b.id && a.name === b.name && a.policy === b.policy;
}

function hasSamePolicy(a: LayoutDocument, b: LayoutDocument, name: string): boolean {
  const mine = own(a.policies, name);
  const other = own(b.policies, name);
  return mine !== undefined && other !== undefined && isSamePolicy(mine, other);
}

function hasSameNamespaces(current: LayoutDocument, next: LayoutDocument): boolean {
  const names = Object.keys(current.policies);
  return (
    next.nextNamespaceId === current.nextNamespaceId &&
    isSameList(current.namespaces, next.namespaces, isSameNamespace) &&
    names.length === Object.keys(next.policies).length &&
    names.every((name) => hasSamePolicy(current, next, name))
  );
}

/** Ids that may never come back: those before, and whoever is a member no more. */
function checkMemberChange(current: LayoutDocument, next: LayoutDocument): string | null {
  const removed = new Set(next.removed);
  for (const id of current.removed)
    if (!removed.has(id)) return `The removed id ${id} is forgotten`;
  const members = new Set(next.members.map((member) => member.id));
  for (const { id } of current.members) {
    if (!members.has(id) && !removed.has(id))
      return `Member ${id} is gone but not among the removed`;
  }
  return null;
}

function checkNothingMoves(current: LayoutDocument, next: LayoutDocument): string | null {
  if (next.formed !== current.formed) return "It is formed without a new member";
  if (!isSameList(current.removed, next.removed, isSame))
    return "Removed ids change without members";
  if (!isSameList(current.electors, next.electors, isSame))
    return "Electors change without members";
  for (const [name, assignment] of Object.entries(current.assignments)) {
    const other = own(next.assignments, name);
    if (other === undefined) continue;
    if (!isSameList(assignment, other, (a, b) => isSameList(a, b, isSame))) {
      return `Units of policy ${name} move without a change of members`;
    }
  }
  return null;
}

function checkNamespaceChange(current: LayoutDocument, next: LayoutDocument): string | null {
  if (next.nextNamespaceId < current.nextNamespaceId) return "Namespace ids may be given twice";
  const before = new Map(current.namespaces.map((entry) => [entry.id, entry]));
  for (const entry of next.namespaces) {
    const old = before.get(entry.id);
    if (old === undefined && entry.id < current.nextNamespaceId) {
      return `Namespace ${entry.name} has an id that was given before`;
    }
    if (old !== undefined && !isSameNamespace(old, entry)) {
      return `The name and the placement policy of namespace ${old.name} are fixed`;
    }
  }
  for (const name of Object.keys(current.policies)) {
    if (Object.hasOwn(next.policies, name) && !hasSamePolicy(current, next, name)) {
      return `Placement policy ${name} is fixed`;
    }
  }
  return null;
}
