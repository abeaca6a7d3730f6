/** What a node says of itself, as gossip carries it, and the order in which news about it supersedes older news. */
import {
  type NodeId,
  parseNodeId,
  parseRegionId,
  parseZoneId,
  type RegionId,
  type ZoneId,
} from "../core/ids.ts";
import { WEIGHT_MAX, WEIGHT_MIN } from "../core/layout-checks.ts";
import { ADDRESS_CHARACTERS_MAX } from "./cluster-limits.ts";
import type { WireFields, WireValue } from "./peer-channel.ts";
import { asFields, badField, readInt, readNumber, readParsed, readString } from "./wire-read.ts";

/**
 * How alive: ordered by incarnation (a durable boot counter), then nonce (random at each start, so that two processes
 * with one identity differ), then counter (raised in every round).
 */
export interface Liveliness {
  readonly incarnation: number;
  readonly nonce: number;
  readonly counter: number;
}

export interface HintLoad {
  readonly count: number;
  readonly bytes: number;
}

/** Everything a member tells about itself. Only the member makes new ones; all others pass them on unchanged. */
export interface MemberEntry extends Liveliness {
  readonly id: NodeId;
  /** Client-facing ("" when it serves no clients) and peer-facing base addresses. */
  readonly url: string;
  readonly peerUrl: string;
  readonly region: RegionId;
  readonly zone: ZoneId;
  readonly role: "storage" | "gateway";
  readonly weight: number;
  /** Load: rows and bytes held. */
  readonly keys: number;
  readonly bytes: number;
  /** Load: writes kept for members that are away. */
  readonly hints: HintLoad;
  /** Not in the layout it knows, and asks to be. */
  readonly wantsToJoin: boolean;
  /** Shutting down in good order: peers may route around it at once. */
  readonly leaving: boolean;
  /** Its clock is far from its peers': puts should go to other homes first. */
  readonly clockIsOff: boolean;
}

/** Above zero when `a` is the later news. */
export function compareLiveliness(a: Liveliness, b: Liveliness): number {
  if (a.incarnation !== b.incarnation) return a.incarnation - b.incarnation;
  if (a.nonce !== b.nonce) return a.nonce - b.nonce;
  return a.counter - b.counter;
}

const WANTS_TO_JOIN = 1;
const LEAVING = 2;
const CLOCK_IS_OFF = 4;
const FLAGS_MAX = 7;
/** Fields that a later version adds at the end are ignored. */
const ENTRY_FIELDS_MAX = 32;
export const NONCE_MAX = 0xffff_ffff;
const COUNT_MAX = Number.MAX_SAFE_INTEGER;

export function encodeEntry(entry: MemberEntry): WireFields {
  return [
    entry.id,
    entry.incarnation,
    entry.nonce,
    entry.counter,
    entry.url,
    entry.peerUrl,
    entry.region,
    entry.zone,
    entry.role === "gateway" ? 1 : 0,
    entry.weight,
    entry.keys,
    entry.bytes,
    (entry.wantsToJoin ? WANTS_TO_JOIN : 0) +
      (entry.leaving ? LEAVING : 0) +
      (entry.clockIsOff ? CLOCK_IS_OFF : 0),
    entry.hints.count,
    entry.hints.bytes,
  ];
}

/** @throws BadMessageError */
export function decodeEntry(value: WireValue | undefined): MemberEntry {
  const fields = asFields(value, "member", ENTRY_FIELDS_MAX);
  const flags = readInt(fields, 12, "member.flags", 0, FLAGS_MAX);
  return {
    id: readNodeId(fields, 0, "member.id"),
    ...readLiveliness(fields, 1),
    url: fields[4] === "" ? "" : readAddress(fields, 4, "member.url"),
    peerUrl: readAddress(fields, 5, "member.peerUrl"),
    region: readParsed(fields, 6, "member.region", 63, parseRegionId),
    zone: readParsed(fields, 7, "member.zone", 63, parseZoneId),
    role: readInt(fields, 8, "member.role", 0, 1) === 1 ? "gateway" : "storage",
    weight: readNumber(fields, 9, "member.weight", WEIGHT_MIN, WEIGHT_MAX),
    keys: readInt(fields, 10, "member.keys", 0, COUNT_MAX),
    bytes: readInt(fields, 11, "member.bytes", 0, COUNT_MAX),
    hints: {
      count: readInt(fields, 13, "member.hintCount", 0, COUNT_MAX),
      bytes: readInt(fields, 14, "member.hintBytes", 0, COUNT_MAX),
    },
    wantsToJoin: (flags & WANTS_TO_JOIN) !== 0,
    leaving: (flags & LEAVING) !== 0,
    clockIsOff: (flags & CLOCK_IS_OFF) !== 0,
  };
}

/** Three fields from `at` on. @throws BadMessageError */
export function readLiveliness(fields: WireFields, at: number): Liveliness {
  return {
    incarnation: readInt(fields, at, "incarnation", 0, COUNT_MAX),
    nonce: readInt(fields, at + 1, "nonce", 0, NONCE_MAX),
    counter: readInt(fields, at + 2, "counter", 0, COUNT_MAX),
  };
}

/** @throws BadMessageError */
export function readNodeId(fields: WireFields, index: number, name: string): NodeId {
  return readParsed<NodeId>(fields, index, name, 32, parseNodeId);
}

/** Scheme, host and perhaps port or path; no credentials, query, fragment, spaces or control characters. */
const ADDRESS = /^https?:\/\/[A-Za-z0-9.\-_~[\]:%]+(?:\/[A-Za-z0-9.\-_~/%]*)?$/;

export function isAddress(text: string): boolean {
  return text.length <= ADDRESS_CHARACTERS_MAX && ADDRESS.test(text);
}

function readAddress(fields: WireFields, index: number, name: string): string {
  const text = readString(fields, index, name, ADDRESS_CHARACTERS_MAX);
  if (!isAddress(text)) throw badField(name, "an http:// or https:// address");
  return text;
}
