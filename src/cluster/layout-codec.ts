/**
 * Layout documents as bytes (docs/protocol.md, "Layout document"): one msgpack array, members sorted, owners as indexes
 * into the members. Canonical: equal documents have equal bytes on every runtime, because the parent hash and the
 * acceptors of Paxos compare bytes.
 */
import { decode, encode } from "@msgpack/msgpack";
import { equalBytes } from "../core/bytes.ts";
import {
  type ClusterId,
  type NamespaceId,
  type NodeId,
  parseClusterId,
  parseNamespaceId,
  parseNodeId,
  parseRegionId,
  parseZoneId,
} from "../core/ids.ts";
import type {
  Assignment,
  LayoutDocument,
  LayoutMember,
  NamespaceEntry,
  PlacementPolicy,
} from "../core/layout.ts";
import { WEIGHT_MAX, WEIGHT_MIN } from "../core/layout-checks.ts";
import {
  ELECTORS_MAX,
  MEMBERS_MAX,
  NAMESPACES_MAX,
  PARTITIONS_MAX,
  PARTITIONS_MIN,
  POLICIES_MAX,
} from "../core/limits.ts";
import type { Crypto } from "../env/crypto.ts";
import { LAYOUT_BYTES_MAX } from "./cluster-limits.ts";
import type { WireFields, WireValue } from "./peer-channel.ts";
import {
  asFields,
  BadMessageError,
  badField,
  readArray,
  readBoolean,
  readInt,
  readNumber,
  readParsed,
  readString,
} from "./wire-read.ts";

const FORMAT = 1;
/** More than a cluster of the largest size loses in a lifetime. */
const REMOVED_MAX = 65_536;
const NAME_CHARACTERS_MAX = 63;
/** Owners in one list and copies in one region: far above COPIES_MAX, which only the rules judge. */
const LIST_MAX = 64;
const U32_MAX = 0xffff_ffff;
const ROLES = ["storage", "gateway"] as const;

/** @throws Error when an owner or elector is no member: a bug in whoever made the document. */
export function encodeLayout(document: LayoutDocument): Uint8Array {
  const indexes = new Map<NodeId, number>();
  document.members.forEach((member, index) => {
    indexes.set(member.id, index);
  });
  const indexOf = (node: NodeId): number => {
    const index = indexes.get(node);
    if (index === undefined) throw new Error(`Cannot encode layout: ${node} is no member`);
    return index;
  };
  const policies = Object.keys(document.policies).sort();
  return encode([
    FORMAT,
    document.clusterId,
    document.version,
    document.parent,
    document.generation,
    document.phase,
    document.expect,
    document.formed,
    document.partitions,
    document.members.map((m) => [m.id, m.region, m.zone, m.weight, ROLES.indexOf(m.role)]),
    document.electors.map(indexOf),
    [...document.removed],
    policies.map((name) => [name, encodePolicy(document.policies[name] as PlacementPolicy)]),
    document.namespaces.map((n) => [n.id, n.name, n.policy]),
    document.nextNamespaceId,
    policies.map((name) => (document.assignments[name] ?? []).map((o) => o.map(indexOf))),
  ]);
}

/** A number of copies, or [region, copies] sorted by region. */
export function encodePolicy(policy: PlacementPolicy): WireValue {
  if ("n" in policy) return policy.n;
  return Object.keys(policy.regions)
    .sort()
    .map((region) => [region, policy.regions[region] ?? 0]);
}

/** @throws BadMessageError */
export function decodePolicy(value: WireValue | undefined): PlacementPolicy {
  if (typeof value === "number") return { n: readInt([value], 0, "policy.n", 1, LIST_MAX) };
  const regions: Record<string, number> = {};
  let before = "";
  for (const item of asFields(value, "policy.regions", LIST_MAX)) {
    const pair = asFields(item, "policy.region", 2);
    const region = readParsed(pair, 0, "policy.region", NAME_CHARACTERS_MAX, parseRegionId);
    if (region <= before) throw badField("policy.regions", "regions in order");
    before = region;
    regions[region] = readInt(pair, 1, "policy.copies", 0, LIST_MAX);
  }
  return { regions };
}

/** The hex SHA-256 that the next document names as its parent. */
export function layoutHash(crypto: Crypto, encoded: Uint8Array): string {
  let hex = "";
  for (const byte of crypto.sha256(encoded)) hex += byte.toString(16).padStart(2, "0");
  return hex;
}

/**
 * Strict about form: types, bounds, order and canonical bytes. What a document must mean (owners, electors, successors)
 * is checked by core/layout-rules.ts. @throws BadMessageError
 */
export function decodeLayout(bytes: Uint8Array): LayoutDocument {
  if (bytes.length > LAYOUT_BYTES_MAX) {
    throw badField("layout", `at most ${LAYOUT_BYTES_MAX} bytes`);
  }
  let decoded: unknown;
  try {
    decoded = decode(bytes, {
      maxStrLength: 256,
      maxBinLength: 0,
      maxArrayLength: REMOVED_MAX,
      maxMapLength: 0,
      maxExtLength: 0,
    });
  } catch (error) {
    throw new BadMessageError("Cannot read layout: not msgpack", { cause: error });
  }
  const document = readDocument(asFields(decoded as WireValue, "layout", 16));
  // Every difference that the readers let pass (a number written as a float, an unsorted list) shows here.
  if (!equalBytes(encodeLayout(document), bytes)) {
    throw badField("layout", "canonical bytes");
  }
  return document;
}

function readDocument(fields: WireFields): LayoutDocument {
  readInt(fields, 0, "layout.format", FORMAT, FORMAT);
  const phase = readString(fields, 5, "layout.phase", 16);
  if (phase !== "stable") throw badField("layout.phase", "stable");
  const members = readArray(fields, 9, "layout.members", MEMBERS_MAX).map(readMember);
  const policyPairs = readArray(fields, 12, "layout.policies", POLICIES_MAX).map((item) => {
    const pair = asFields(item, "layout.policy", 2);
    return [
      readString(pair, 0, "policy.name", NAME_CHARACTERS_MAX),
      decodePolicy(pair[1]),
    ] as const;
  });
  const assignmentFields = readArray(fields, 15, "layout.assignments", POLICIES_MAX);
  if (assignmentFields.length !== policyPairs.length) {
    throw badField("layout.assignments", "one for each policy");
  }
  const partitions = readInt(fields, 8, "layout.partitions", PARTITIONS_MIN, PARTITIONS_MAX);
  return {
    clusterId: readParsed<ClusterId>(fields, 1, "layout.clusterId", 32, parseClusterId),
    version: readInt(fields, 2, "layout.version", 1, Number.MAX_SAFE_INTEGER),
    parent: readString(fields, 3, "layout.parent", 64),
    generation: readInt(fields, 4, "layout.generation", 0, U32_MAX),
    phase,
    expect: readInt(fields, 6, "layout.expect", 1, MEMBERS_MAX),
    formed: readBoolean(fields, 7, "layout.formed"),
    partitions,
    members,
    electors: readArray(fields, 10, "layout.electors", ELECTORS_MAX).map((_, index, list) =>
      memberAt(members, list, index, "layout.elector"),
    ),
    removed: readArray(fields, 11, "layout.removed", REMOVED_MAX).map((_, index, list) =>
      readParsed<NodeId>(list, index, "layout.removed", 32, parseNodeId),
    ),
    // fromEntries defines own properties, so a policy named __proto__ stays a policy.
    policies: Object.fromEntries(policyPairs),
    namespaces: readArray(fields, 13, "layout.namespaces", NAMESPACES_MAX).map(readNamespace),
    nextNamespaceId: readInt(fields, 14, "layout.nextNamespaceId", 2, U32_MAX),
    assignments: Object.fromEntries(
      policyPairs.map(([name], at) => [
        name,
        readAssignment(asFields(assignmentFields[at], "layout.assignment"), partitions, members),
      ]),
    ),
  };
}

function readMember(item: WireValue): LayoutMember {
  const fields = asFields(item, "layout.member", 5);
  return {
    id: readParsed<NodeId>(fields, 0, "member.id", 32, parseNodeId),
    region: readParsed(fields, 1, "member.region", NAME_CHARACTERS_MAX, parseRegionId),
    zone: readParsed(fields, 2, "member.zone", NAME_CHARACTERS_MAX, parseZoneId),
    weight: readNumber(fields, 3, "member.weight", WEIGHT_MIN, WEIGHT_MAX),
    role: ROLES[readInt(fields, 4, "member.role", 0, 1)] ?? "storage",
  };
}

function readNamespace(item: WireValue): NamespaceEntry {
  const fields = asFields(item, "layout.namespace", 3);
  const id: NamespaceId = parseNamespaceId(readInt(fields, 0, "namespace.id", 1, U32_MAX));
  return {
    id,
    name: readString(fields, 1, "namespace.name", NAME_CHARACTERS_MAX),
    policy: readString(fields, 2, "namespace.policy", NAME_CHARACTERS_MAX),
  };
}

function readAssignment(
  fields: WireFields,
  partitions: number,
  members: readonly LayoutMember[],
): Assignment {
  if (fields.length !== partitions) {
    throw badField("layout.assignment", `${partitions} lists of owners`);
  }
  return fields.map((item) => {
    const owners = asFields(item, "layout.owners", LIST_MAX);
    return owners.map((_, index) => memberAt(members, owners, index, "layout.owner"));
  });
}

function memberAt(
  members: readonly LayoutMember[],
  fields: WireFields,
  index: number,
  name: string,
): NodeId {
  const member = members[readInt(fields, index, name, 0, members.length - 1)];
  if (member === undefined) throw badField(name, "the index of a member");
  return member.id;
}
