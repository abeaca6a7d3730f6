/**
 * The fields of the peer messages about data (docs/protocol.md, "Data messages"). Records travel as the head and body of
 * record-codec.ts. Encoders and decoders stand side by side: what one writes, the other checks.
 */

import { PeerError, type WireFields, type WireValue } from "../cluster/peer-channel.ts";
import { readBoolean, readBytes, readInt, readString } from "../cluster/wire-read.ts";
import { equalBytes } from "../core/bytes.ts";
import { FormatError } from "../core/errors.ts";
import type { Hasher } from "../core/hasher.ts";
import { parseNamespaceId } from "../core/ids.ts";
import { type Key, makeKey } from "../core/key.ts";
import { checkKeyText } from "../core/key-rules.ts";
import { KEY_BYTES_MAX } from "../core/limits.ts";
import {
  decodeHead,
  decodeRecord,
  encodeBody,
  encodeHead,
  valuesIntact,
} from "../core/record-codec.ts";
import { recordIdentity } from "../core/record-identity.ts";
import { keptBytes, passingBytes } from "../core/slab.ts";
import type { CausalRecord } from "../core/version.ts";

/** Every data message begins with the layout version it counts under, the namespace id and the key. */
export interface Addressed {
  readonly layoutVersion: number;
  readonly key: Key;
}

export function decodeAddress(hasher: Hasher, fields: WireFields): Addressed {
  const layoutVersion = readInt(fields, 0, "layoutVersion", 1, Number.MAX_SAFE_INTEGER);
  return { layoutVersion, key: decodeKey(hasher, fields, 1) };
}

/** The namespace's id at `at`, and the key's text after it. */
export function decodeKey(hasher: Hasher, fields: WireFields, at: number): Key {
  const namespace = parseNamespaceId(readInt(fields, at, "namespace", 1, 0xffff_ffff));
  const text = readString(fields, at + 1, "key", KEY_BYTES_MAX);
  const fault = checkKeyText(text);
  if (fault !== null) throw badMessage(`key: ${fault}`);
  return makeKey(hasher, namespace, text);
}

export function badMessage(reason: string): PeerError {
  return new PeerError("refused", "bad_message", `Cannot read peer message: ${reason}`);
}

// ---- write: a record to be merged --------------------------------------------------------------------------------

/**
 * The same fields go to every home: encoded once. REQUIRES: all values are present; `head`, for a caller who has it, is the
 * record's.
 */
export function encodeWrite(
  layoutVersion: number,
  key: Key,
  record: CausalRecord,
  head: Uint8Array = encodeHead(record),
): WireFields {
  return [layoutVersion, key.namespace, key.text, head, encodeBody(record)];
}

export interface WriteMessage extends Addressed {
  /** Its values are copies, so they may be kept. */
  readonly record: CausalRecord;
  /** What encodeHead makes of the record: the decoder takes nothing else. A copy too. */
  readonly head: Uint8Array;
}

/** @throws PeerError refused `bad_message`, also when a value does not match its hash: damage is never merged. */
export function decodeWrite(hasher: Hasher, fields: WireFields): WriteMessage {
  const { layoutVersion, key } = decodeAddress(hasher, fields);
  const head = readBytes(fields, 3, "head", Number.MAX_SAFE_INTEGER);
  const body = readBytes(fields, 4, "body", Number.MAX_SAFE_INTEGER);
  const record = decodeWireRecord(hasher, head, body);
  return { layoutVersion, key, record, head: passingBytes.copy(head) };
}

/** Its values are copies, so they may be kept. @throws PeerError refused `bad_message` */
export function decodeWireRecord(hasher: Hasher, head: Uint8Array, body: Uint8Array): CausalRecord {
  let record: CausalRecord;
  try {
    record = decodeRecord(head, keptBytes.copy(body));
  } catch (error) {
    if (error instanceof FormatError) throw badMessage(`record: ${error.message}`);
    throw error;
  }
  if (!valuesIntact(hasher, record)) throw badMessage("record: a value does not match its hash");
  return record;
}

// ---- answers to write --------------------------------------------------------------------------------------------

/**
 * An ack names the newest actors of the unit's owners that its sender knows, as generations in the order of the layout's
 * homes; the sender's own is that of the database which made the record durable (actor-book.ts).
 */
export function encodeAck(generations: readonly number[]): WireFields {
  return [generations];
}

/** As many generations as the unit has homes. @throws PeerError refused `bad_message`: the ack is then no ack. */
export function decodeAck(fields: WireFields, homes: number): readonly number[] {
  const generations = fields[0];
  if (!Array.isArray(generations) || generations.length !== homes || !generations.every(isCount)) {
    throw badMessage("the generations of an ack");
  }
  return generations;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

// ---- read --------------------------------------------------------------------------------------------------------

/**
 * Bodies above `bodyBytesMax` stay at home: a digest read asks for 0 or for what costs no more than the head. `known` is
 * what the asker holds already: a replica that holds the same says just that.
 */
export function encodeRead(
  layoutVersion: number,
  key: Key,
  bodyBytesMax: number,
  known: CausalRecord | null = null,
): WireFields {
  const identity = known === null ? null : identityOf(known);
  return [layoutVersion, key.namespace, key.text, bodyBytesMax, identity];
}

export interface ReadMessage extends Addressed {
  readonly bodyBytesMax: number;
  /** The identity of the asker's record, see recordIdentity; null for none. */
  readonly known: Uint8Array | null;
}

export function decodeRead(hasher: Hasher, fields: WireFields): ReadMessage {
  return {
    ...decodeAddress(hasher, fields),
    bodyBytesMax: readInt(fields, 3, "bodyBytesMax", 0, Number.MAX_SAFE_INTEGER),
    known: fields[4] === null ? null : readBytes(fields, 4, "known", IDENTITY_BYTES_MAX),
  };
}

/** Longer than this it costs more than it saves, and the asker leaves it out. */
const IDENTITY_BYTES_MAX = 512;
/** Hot records are asked about again and again: their identity is made once. */
const identities = new WeakMap<CausalRecord, Uint8Array>();

function identityOf(record: CausalRecord): Uint8Array | null {
  let identity = identities.get(record);
  if (identity === undefined) {
    identity = recordIdentity(record);
    identities.set(record, identity);
  }
  return identity.length > IDENTITY_BYTES_MAX ? null : identity;
}

/**
 * One replica's answer to a read. `counts` is false for a replica in doubt: its record joins the merge, but neither its
 * record nor its absence counts to R (design: "Record, absent, unknown").
 */
export interface ReadAnswer {
  readonly record: CausalRecord | null;
  readonly counts: boolean;
  /** It does not count, and rows of it lie apart: what it shows is not all that it has. */
  readonly holdsApart?: boolean;
}

export function encodeReadAnswer(answer: ReadAnswer, message: ReadMessage): WireFields {
  const { record } = answer;
  const counts = answer.holdsApart === true ? null : answer.counts;
  if (record === null) return [counts];
  const identity = message.known === null ? null : identityOf(record);
  if (message.known !== null && identity !== null && equalBytes(identity, message.known)) {
    return [counts, true];
  }
  const head = encodeHead(record);
  let bodyBytes = 0;
  for (const sibling of record.siblings) bodyBytes += sibling.valueBytes;
  if (bodyBytes > message.bodyBytesMax) return [counts, head];
  return [counts, head, encodeBody(record)];
}

/** `known` is what was asked with. @throws PeerError refused `bad_message`: the answer is then no answer. */
export function decodeReadAnswer(
  hasher: Hasher,
  fields: WireFields,
  known: CausalRecord | null = null,
): ReadAnswer {
  const record = readAnswered(hasher, fields, known);
  if (fields[0] === null) return { record, counts: false, holdsApart: true };
  return { record, counts: readBoolean(fields, 0, "counts") };
}

function readAnswered(
  hasher: Hasher,
  fields: WireFields,
  known: CausalRecord | null,
): CausalRecord | null {
  if (fields.length === 1) return null;
  if (fields[1] === true) {
    if (known === null) throw badMessage("the same as a record that was not given");
    return known;
  }
  const head = readBytes(fields, 1, "head", Number.MAX_SAFE_INTEGER);
  if (fields.length > 2) {
    return decodeWireRecord(hasher, head, readBytes(fields, 2, "body", Number.MAX_SAFE_INTEGER));
  }
  try {
    return decodeHead(head);
  } catch (error) {
    if (error instanceof FormatError) throw badMessage(`head: ${error.message}`);
    throw error;
  }
}

// ---- scan --------------------------------------------------------------------------------------------------------

export interface ScanMessage {
  readonly layoutVersion: number;
  readonly namespace: number;
  readonly start: Uint8Array;
  readonly end: Uint8Array | null;
  readonly reverse: boolean;
  readonly limit: number;
}

export function encodeScan(message: ScanMessage): WireFields {
  return [
    message.layoutVersion,
    message.namespace,
    message.start,
    message.end,
    message.reverse,
    message.limit,
  ];
}

export function decodeScan(fields: WireFields, limitMax: number): ScanMessage {
  return {
    layoutVersion: readInt(fields, 0, "layoutVersion", 1, Number.MAX_SAFE_INTEGER),
    namespace: parseNamespaceId(readInt(fields, 1, "namespace", 1, 0xffff_ffff)),
    start: readBytes(fields, 2, "start", 1024).slice(),
    end: fields[3] === null ? null : readBytes(fields, 3, "end", 1024).slice(),
    reverse: readBoolean(fields, 4, "reverse"),
    limit: readInt(fields, 5, "limit", 1, limitMax),
  };
}

/** One row of a scan in key order, tombstones included; `head` null is a row that cannot be trusted. */
export interface ScanRow {
  readonly key: Uint8Array;
  readonly head: Uint8Array | null;
}

export interface ScanAnswer {
  readonly rows: readonly ScanRow[];
  /** Rows may follow the last one given. */
  readonly more: boolean;
  /** The node may lack rows that it acknowledged: its rows are no complete scan. */
  readonly inDoubt: boolean;
  /** Rows of it lie apart, and are not among these. */
  readonly holdsApart: boolean;
}

export function encodeScanAnswer(answer: ScanAnswer): WireFields {
  const flat: WireValue[] = [];
  for (const row of answer.rows) flat.push(row.key, row.head);
  return [answer.more, answer.inDoubt, flat, answer.holdsApart];
}

export function decodeScanAnswer(fields: WireFields, limit: number): ScanAnswer {
  const more = readBoolean(fields, 0, "more");
  const inDoubt = readBoolean(fields, 1, "inDoubt");
  const flat = fields[2];
  if (!Array.isArray(flat) || flat.length % 2 !== 0 || flat.length > 2 * limit) {
    throw badMessage("scan rows");
  }
  const rows: ScanRow[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const key: WireValue = flat[i];
    const head: WireValue = flat[i + 1];
    if (!(key instanceof Uint8Array)) throw badMessage("scan row key");
    if (head !== null && !(head instanceof Uint8Array)) throw badMessage("scan row head");
    rows.push({ key, head });
  }
  // Whoever goes on after the last row would end here, and take the list for complete.
  if (more && rows.length === 0) throw badMessage("scan with more rows after none");
  return { rows, more, inDoubt, holdsApart: readBoolean(fields, 3, "holdsApart") };
}
