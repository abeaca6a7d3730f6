/**
 * The ring of virtual nodes (Dynamo 2007, section 4.2 and 6.2 "strategy 3"). Tokens do not cut the key space, the Q equal
 * partitions do; tokens say in which order nodes are met when one walks clockwise from a partition's start. Owners of new
 * slots and stand-ins of absent owners are found by that walk.
 */
import type { NodeId } from "./ids.ts";
import type { LayoutMember } from "./layout.ts";

/** Tokens of a node of mean weight; enough that neighbours on the ring are well mixed, few enough that a walk is short. */
const TOKENS_PER_NODE = 64;
/** Above 512 nodes each gets fewer tokens, so that building and walking the ring stays within milliseconds. */
const TOKENS_TOTAL = 32_768;
const TOKENS_PER_NODE_MIN = 8;
const RING_SIZE = 0x1_0000_0000;
const GOLDEN_RATIO = 0x9e37_79b9;

export interface Ring {
  /** Storage members sorted by id; numbers below are indexes into it. */
  readonly nodes: readonly NodeId[];
  /** Positions on the ring, ascending, 32 bits. */
  readonly tokens: Uint32Array;
  /** The node of each token. */
  readonly owners: Uint16Array;
  /** The positions of each node's own tokens, ascending. */
  readonly tokensByNode: readonly Uint32Array[];
}

/** The finalizer of MurmurHash3 (Appleby, public domain): a bijection of 32 bits in which every input bit moves every output bit. */
function mix32(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** The first `count` tokens of a node. A larger count extends the list, so a weight that changes leaves the others in place. */
export function tokensOf(node: NodeId, count: number): Uint32Array {
  let low = 0;
  let high = GOLDEN_RATIO;
  for (let i = 0; i < 4; i++) {
    const word = Number.parseInt(node.slice(i * 8, i * 8 + 8), 16);
    low = mix32(low ^ word);
    high = mix32((high + word) ^ low);
  }
  const tokens = new Uint32Array(count);
  for (let i = 0; i < count; i++) tokens[i] = mix32(mix32(low + Math.imul(i, GOLDEN_RATIO)) ^ high);
  return tokens;
}

/** Storage members in the order of their ids, the order in which everything about placement numbers them. */
export function storageMembers(members: readonly LayoutMember[]): LayoutMember[] {
  const storage = members.filter((member) => member.role === "storage");
  return storage.sort((a, b) => (a.id < b.id ? -1 : 1));
}

/** Builds the ring of the storage members; gateways own no tokens. Tokens are in proportion to weight, at least one each. */
export function buildRing(members: readonly LayoutMember[]): Ring {
  const storage = storageMembers(members);
  const count = storage.length;
  let weight = 0;
  for (const member of storage) weight += member.weight;
  const mean = Math.min(
    TOKENS_PER_NODE,
    Math.max(TOKENS_PER_NODE_MIN, Math.floor(TOKENS_TOTAL / Math.max(1, count))),
  );
  const tokensByNode = storage.map((member) =>
    tokensOf(member.id, Math.max(1, Math.round((mean * count * member.weight) / weight))),
  );
  let total = 0;
  for (const own of tokensByNode) total += own.length;
  // Position and node in one number (below 2^53) let the typed array sort by both without a comparator.
  const keys = new Float64Array(total);
  let next = 0;
  for (const [node, own] of tokensByNode.entries()) {
    for (const token of own) keys[next++] = token * count + node;
    own.sort();
  }
  keys.sort();
  const tokens = new Uint32Array(total);
  const owners = new Uint16Array(total);
  for (const [i, key] of keys.entries()) {
    const token = Math.floor(key / count);
    tokens[i] = token;
    owners[i] = key - token * count;
  }
  return { nodes: storage.map((member) => member.id), tokens, owners, tokensByNode };
}

/** Where the partition begins on the ring: 0 <= start < 2^32. */
export function partitionStart(partition: number, partitions: number): number {
  return partition * (RING_SIZE / partitions);
}

/** The index of the first position at or after `position`; the length of the list if there is none. */
export function firstTokenAt(tokens: Uint32Array, position: number): number {
  let low = 0;
  let high = tokens.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((tokens[middle] as number) < position) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How far clockwise of the partition's start the node's first token lies: 0 <= distance < 2^32. */
export function distanceTo(ring: Ring, node: number, start: number): number {
  const own = ring.tokensByNode[node] as Uint32Array;
  const at = firstTokenAt(own, start);
  return at < own.length ? (own[at] as number) - start : (own[0] as number) + RING_SIZE - start;
}

/** Every storage member once, in the order in which it is met clockwise from the partition's start. */
export function walk(ring: Ring, partition: number, partitions: number): NodeId[] {
  const met: NodeId[] = [];
  const seen = new Uint8Array(ring.nodes.length);
  const total = ring.tokens.length;
  let at = firstTokenAt(ring.tokens, partitionStart(partition, partitions));
  for (let steps = 0; steps < total && met.length < ring.nodes.length; steps++, at++) {
    if (at === total) at = 0;
    const node = ring.owners[at] as number;
    if (seen[node] === 1) continue;
    seen[node] = 1;
    met.push(ring.nodes[node] as NodeId);
  }
  return met;
}
