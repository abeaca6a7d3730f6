/**
 * The fields of the messages of anti-entropy (docs/protocol.md, "Anti-entropy"). All begin with the layout version and the id
 * of the key that the sender's row digests are made with. Lists of small numbers travel as bytes.
 */
import type { WireFields, WireValue } from "../cluster/peer-channel.ts";
import {
  asFields,
  readArray,
  readBoolean,
  readBytes,
  readInt,
  readString,
} from "../cluster/wire-read.ts";
import type { Hasher } from "../core/hasher.ts";
import { type Key, RING_PLACES } from "../core/key.ts";
import { PARTITIONS_MAX, POLICIES_MAX } from "../core/limits.ts";
import { powerOfTwo } from "../core/power-of-two.ts";
import { encodeBody, encodeHead } from "../core/record-codec.ts";
import type { CausalRecord } from "../core/version.ts";
import { DIGEST_BYTES } from "../storage/row-digest.ts";
import { badMessage, decodeKey, decodeWireRecord } from "./data-messages.ts";

/** Sums of children and digests of rows travel cut to their low half: 64 bits of a keyed hash. */
export const SHORT_BYTES = 8;
const KEY_ID_CHARS_MAX = 32;
const NAME_CHARS_MAX = 64;
const ITEMS_MAX = 4096;

export interface ExchangeHead {
  readonly layoutVersion: number;
  readonly keyId: string;
}

export function decodeExchangeHead(fields: WireFields): ExchangeHead {
  return {
    layoutVersion: readInt(fields, 0, "layoutVersion", 1, Number.MAX_SAFE_INTEGER),
    keyId: readString(fields, 1, "keyId", KEY_ID_CHARS_MAX),
  };
}

function headFields(head: ExchangeHead): WireFields {
  return [head.layoutVersion, head.keyId];
}

// ---- roots: one for each unit that both own -----------------------------------------------------------------------

export interface PolicyRoots {
  readonly policy: string;
  readonly partitions: readonly number[];
  /** 16 bytes for each partition. */
  readonly roots: Uint8Array;
}

export function encodeRoots(head: ExchangeHead, list: readonly PolicyRoots[]): WireFields {
  const items = list.map(({ policy, partitions, roots }) => [policy, packU16(partitions), roots]);
  return [...headFields(head), items];
}

export function decodeRoots(fields: WireFields): readonly PolicyRoots[] {
  return readArray(fields, 2, "policies", POLICIES_MAX).map((item) => {
    const each = asFields(item, "policy");
    const partitions = unpackU16(readBytes(each, 1, "partitions", PARTITIONS_MAX * 2));
    const roots = readBytes(each, 2, "roots", PARTITIONS_MAX * DIGEST_BYTES);
    if (roots.length !== partitions.length * DIGEST_BYTES) throw badMessage("roots: one for each");
    return { policy: readString(each, 0, "policy", NAME_CHARS_MAX), partitions, roots };
  });
}

/** For each policy that was asked for: the partitions whose roots differ. Those that cannot be compared now are left out. */
export function encodeRootsAnswer(differing: readonly (readonly number[])[]): WireFields {
  return differing.map((partitions) => packU16(partitions));
}

export function decodeRootsAnswer(fields: WireFields, policies: number): readonly number[][] {
  if (fields.length !== policies) throw badMessage("roots: an answer for each policy");
  return fields.map((_, i) => unpackU16(readBytes(fields, i, "differing", PARTITIONS_MAX * 2)));
}

// ---- sums of the children of a node in a unit's tree --------------------------------------------------------------

/** `group` null: the groups of the unit. Else the leaves of that group. */
export interface SumsItem {
  readonly partition: number;
  readonly group: number | null;
  /** SHORT_BYTES for each child. */
  readonly sums: Uint8Array;
}

const ALL_GROUPS = 0xffff;

export function encodeSums(
  head: ExchangeHead,
  policy: string,
  items: readonly SumsItem[],
): WireFields {
  return [
    ...headFields(head),
    policy,
    packU16(items.map((item) => item.partition)),
    packU16(items.map((item) => item.group ?? ALL_GROUPS)),
    concat(items.map((item) => item.sums)),
  ];
}

export interface SumsMessage {
  readonly policy: string;
  readonly items: readonly SumsItem[];
}

export function decodeSums(fields: WireFields, fanOut: number): SumsMessage {
  const partitions = unpackU16(readBytes(fields, 3, "partitions", ITEMS_MAX * 2));
  const groups = unpackU16(readBytes(fields, 4, "groups", ITEMS_MAX * 2));
  const bytes = fanOut * SHORT_BYTES;
  const sums = readBytes(fields, 5, "sums", ITEMS_MAX * bytes);
  if (groups.length !== partitions.length || sums.length !== partitions.length * bytes) {
    throw badMessage("sums: as many as partitions");
  }
  const items = partitions.map((partition, i) => {
    const group = groups[i] as number;
    if (group !== ALL_GROUPS && group >= fanOut) throw badMessage("sums: no such group");
    const own = sums.subarray(i * bytes, (i + 1) * bytes);
    return { partition, group: group === ALL_GROUPS ? null : group, sums: own };
  });
  return { policy: readString(fields, 2, "policy", NAME_CHARS_MAX), items };
}

/** For each item a bit for each child whose sum differs; 0 also for a unit that cannot be compared now. */
export function encodeMasks(masks: readonly number[]): WireFields {
  const bytes = new Uint8Array(masks.length * 4);
  const view = new DataView(bytes.buffer);
  masks.forEach((mask, i) => {
    view.setUint32(i * 4, mask);
  });
  return [bytes];
}

export function decodeMasks(fields: WireFields, items: number): readonly number[] {
  const bytes = readBytes(fields, 0, "masks", items * 4);
  if (bytes.length !== items * 4) throw badMessage("masks: one for each item");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: items }, (_, i) => view.getUint32(i * 4));
}

// ---- rows of ranges below a leaf ----------------------------------------------------------------------------------

/** A range of places: all that have their highest `bits` bits in common with `from`. */
export interface PlaceRange {
  readonly from: number;
  readonly bits: number;
}

/** `sums`: of the sixteen parts of the range. `rows`: a digest for each row. SHORT_BYTES each. */
export interface RowsItem extends PlaceRange {
  readonly kind: "sums" | "rows";
  readonly digests: Uint8Array;
}

export function encodeRows(
  head: ExchangeHead,
  policy: string,
  items: readonly RowsItem[],
): WireFields {
  const list = items.map((item) => [item.from, item.bits, item.kind === "rows", item.digests]);
  return [...headFields(head), policy, list];
}

export interface RowsMessage {
  readonly policy: string;
  readonly items: readonly RowsItem[];
}

/** Ranges of a unit or less: `bitsMin` is what a unit has. */
export function decodeRows(fields: WireFields, bitsMin: number, rowsMax: number): RowsMessage {
  const items = readArray(fields, 3, "ranges", ITEMS_MAX).map((item): RowsItem => {
    const each = asFields(item, "range", 4);
    const from = readInt(each, 0, "from", 0, RING_PLACES - 1);
    const bits = readInt(each, 1, "bits", bitsMin, PLACE_BITS);
    if (from % powerOfTwo(PLACE_BITS - bits) !== 0)
      throw badMessage("range: it begins within itself");
    const kind = readBoolean(each, 2, "isList") ? "rows" : "sums";
    const digests = readBytes(each, 3, "digests", rowsMax * SHORT_BYTES);
    if (digests.length % SHORT_BYTES !== 0) throw badMessage("digests: a broken one");
    if (kind === "sums" && digests.length !== PARTS * SHORT_BYTES) {
      throw badMessage("digests: one for each part");
    }
    return { from, bits, kind, digests };
  });
  return { policy: readString(fields, 2, "policy", NAME_CHARS_MAX), items };
}

/** A range below a leaf is cut into sixteen at a time. */
export const PARTS = 16;
export const PART_BITS = 4;
export const PLACE_BITS = 52;

export type RowsAnswerItem =
  /** A bit for each part that differs. */
  | { readonly kind: "sums"; readonly mask: number }
  /** Which of the asker's rows (by position) are not here, or not the same; and keys of rows that the asker has not so. */
  | { readonly kind: "rows"; readonly missing: readonly number[]; readonly extra: readonly Key[] };

/** An answer may end before the last range: what is left out is asked for again. */
export function encodeRowsAnswer(items: readonly RowsAnswerItem[]): WireFields {
  return items.map((item): WireValue => {
    if (item.kind === "sums") return [item.mask];
    return [packU16(item.missing), item.extra.flatMap((key) => [key.namespace, key.text])];
  });
}

export function decodeRowsAnswer(
  hasher: Hasher,
  fields: WireFields,
  asked: readonly RowsItem[],
): readonly RowsAnswerItem[] {
  if (fields.length === 0 || fields.length > asked.length)
    throw badMessage("ranges: not asked for");
  return fields.map((value, i): RowsAnswerItem => {
    const item = asked[i] as RowsItem;
    const each = asFields(value, "range", 2);
    if (item.kind === "sums") {
      return { kind: "sums", mask: readInt(each, 0, "mask", 0, powerOfTwo(PARTS) - 1) };
    }
    const missing = unpackU16(readBytes(each, 0, "missing", item.digests.length));
    const extra = readKeys(hasher, readArray(each, 1, "extra", ITEMS_MAX * 2 * PARTS));
    return { kind: "rows", missing, extra };
  });
}

// ---- records --------------------------------------------------------------------------------------------------------

export function encodePull(head: ExchangeHead, keys: readonly Key[]): WireFields {
  return [...headFields(head), keys.flatMap((key) => [key.namespace, key.text])];
}

export function decodePull(hasher: Hasher, fields: WireFields, keysMax: number): Key[] {
  return readKeys(hasher, readArray(fields, 2, "keys", keysMax * 2));
}

/** Of the first keys that were asked for; null for a row that is not here, or cannot be read. */
export function encodePullAnswer(records: readonly (CausalRecord | null)[]): WireFields {
  return records.map((record) =>
    record === null ? null : [encodeHead(record), encodeBody(record)],
  );
}

export function decodePullAnswer(
  hasher: Hasher,
  fields: WireFields,
  keys: number,
): readonly (CausalRecord | null)[] {
  if (fields.length === 0 || fields.length > keys) throw badMessage("records: not asked for");
  return fields.map((value) =>
    value === null ? null : readRecord(hasher, asFields(value, "record"), 0),
  );
}

export interface PushedRecord {
  readonly key: Key;
  readonly record: CausalRecord;
}

export function encodePush(head: ExchangeHead, records: readonly PushedRecord[]): WireFields {
  const list = records.map(({ key, record }) => [
    key.namespace,
    key.text,
    encodeHead(record),
    encodeBody(record),
  ]);
  return [...headFields(head), list];
}

export function decodePush(
  hasher: Hasher,
  fields: WireFields,
  recordsMax: number,
): readonly PushedRecord[] {
  return readArray(fields, 2, "records", recordsMax).map((value) => {
    const each = asFields(value, "record", 4);
    return { key: decodeKey(hasher, each, 0), record: readRecord(hasher, each, 2) };
  });
}

function readKeys(hasher: Hasher, fields: WireFields): Key[] {
  const keys: Key[] = [];
  for (let at = 0; at < fields.length; at += 2) keys.push(decodeKey(hasher, fields, at));
  return keys;
}

function readRecord(hasher: Hasher, fields: WireFields, at: number): CausalRecord {
  const head = readBytes(fields, at, "head", Number.MAX_SAFE_INTEGER);
  return decodeWireRecord(hasher, head, readBytes(fields, at + 1, "body", Number.MAX_SAFE_INTEGER));
}

// ---- packing --------------------------------------------------------------------------------------------------------

/** REQUIRES: numbers below 2^16. */
function packU16(numbers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(numbers.length * 2);
  numbers.forEach((number, i) => {
    bytes[i * 2] = number >>> 8;
    bytes[i * 2 + 1] = number;
  });
  return bytes;
}

function unpackU16(bytes: Uint8Array): number[] {
  if (bytes.length % 2 !== 0) throw badMessage("a list of numbers of two bytes has an odd length");
  const numbers: number[] = [];
  for (let at = 0; at < bytes.length; at += 2) {
    numbers.push(((bytes[at] as number) << 8) | (bytes[at + 1] as number));
  }
  return numbers;
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
