/**
 * Branded identifiers. Each is made only by its parser or its maker, so that a region cannot be passed for a node.
 */

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** A member of the cluster for ever: 32 lower-case hex digits (128 random bits), kept in the data directory. */
export type NodeId = Branded<string, "NodeId">;

/**
 * The first half of a dot's actor: 128 random bits as a string of 16 characters U+0000..U+00FF, one per byte, so that
 * string order is byte order and comparison needs no decoding. A node takes a new one whenever its database may have
 * forgotten a dot (design: "Actors and epochs").
 */
export type ActorId = Branded<string, "ActorId">;

/** A cluster: 32 lower-case hex digits, minted by the node that bootstrapped it. */
export type ClusterId = Branded<string, "ClusterId">;

/** An operator-given place name: 1 to 63 characters of `[a-z0-9-]`. */
export type RegionId = Branded<string, "RegionId">;
export type ZoneId = Branded<string, "ZoneId">;

/** A number 0 .. Q-1: one of the Q equal parts of the ring. */
export type PartitionId = Branded<number, "PartitionId">;

/** A namespace's numeric id, 1 and up, never reused: rows, hashes, contexts and cursors carry it, not the name. */
export type NamespaceId = Branded<number, "NamespaceId">;

const HEX_128 = /^[0-9a-f]{32}$/;
const PLACE = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/;

function parseHexId<T extends string>(kind: string, text: string): T {
  if (!HEX_128.test(text)) throw new TypeError(`Cannot parse ${kind}, want 32 hex digits: ${text}`);
  return text as T;
}

/** @throws TypeError unless the text is 32 lower-case hex digits. */
export function parseNodeId(text: string): NodeId {
  return parseHexId<NodeId>("node id", text);
}

/** @throws TypeError unless the text is 32 lower-case hex digits. */
export function parseClusterId(text: string): ClusterId {
  return parseHexId<ClusterId>("cluster id", text);
}

/** @throws TypeError unless the name is 1 to 63 characters of `[a-z0-9-]`, not beginning or ending with a dash. */
export function parseRegionId(text: string): RegionId {
  if (!PLACE.test(text)) throw new TypeError(`Cannot parse region, want [a-z0-9-]: ${text}`);
  return text as RegionId;
}

/** @throws TypeError as parseRegionId. */
export function parseZoneId(text: string): ZoneId {
  if (!PLACE.test(text)) throw new TypeError(`Cannot parse zone, want [a-z0-9-]: ${text}`);
  return text as ZoneId;
}

/**
 * The 16 bytes at `offset`.
 * @throws TypeError when there are fewer.
 */
export function actorIdFromBytes(bytes: Uint8Array, offset = 0): ActorId {
  if (bytes.length < offset + 16) {
    throw new TypeError(`Cannot read actor id, want 16 bytes: ${bytes.length - offset}`);
  }
  const at = (i: number) => bytes[offset + i] as number;
  // One call with all sixteen is several times faster than a loop or a spread, and each entry of each context is one.
  // biome-ignore format: sixteen of a kind
  return String.fromCharCode(
    at(0), at(1), at(2), at(3), at(4), at(5), at(6), at(7),
    at(8), at(9), at(10), at(11), at(12), at(13), at(14), at(15),
  ) as ActorId;
}

/** By the lowest bits of their first byte, which is random. */
const metActors: (ActorId | undefined)[] = new Array<ActorId | undefined>(64).fill(undefined);

/**
 * As actorIdFromBytes, but an actor met before is the same string again: contexts name a handful of actors over and over,
 * and comparing a string with itself costs nothing.
 */
export function meetActorId(bytes: Uint8Array, offset = 0): ActorId {
  const slot = (bytes[offset] ?? 0) & 63;
  const met = metActors[slot];
  if (met !== undefined && isAt(met, bytes, offset)) return met;
  const actor = actorIdFromBytes(bytes, offset);
  metActors[slot] = actor;
  return actor;
}

function isAt(actor: ActorId, bytes: Uint8Array, offset: number): boolean {
  for (let i = 0; i < 16; i++) if (actor.charCodeAt(i) !== bytes[offset + i]) return false;
  return true;
}

/** For people and logs: 32 lower-case hex digits. */
export function actorIdToHex(actor: ActorId): string {
  let hex = "";
  for (let i = 0; i < actor.length; i++) hex += actor.charCodeAt(i).toString(16).padStart(2, "0");
  return hex;
}

/** @throws TypeError unless the number is an integer of 1 or more that fits 32 bits. */
export function parseNamespaceId(value: number): NamespaceId {
  if (!Number.isInteger(value) || value < 1 || value > 0xffff_ffff) {
    throw new TypeError(`Cannot parse namespace id, want 1..2^32-1: ${value}`);
  }
  return value as NamespaceId;
}
