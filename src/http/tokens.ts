/**
 * What clients are handed to bring back: causal contexts, cursors and sessions. All are authenticated, because a forged
 * context makes data disappear, a forged cursor reads outside its range, and a forged session makes keys unreadable and
 * clocks jump (design: section 10). docs/api.md, "Tokens", has a worked example:
 *
 *     token   = base64url( version 1 byte | key id 6 bytes | payload | MAC 16 bytes )
 *     MAC     = first half of HMAC-SHA-256( key of that purpose, version | key id | binding | payload )
 *
 * The binding is what the token is good for, and is not in the token: whoever presents it says it again.
 */
import type { KeyPurpose, NamedKey } from "../cluster/keyring.ts";
import { ByteReader } from "../core/byte-reader.ts";
import { ByteWriter } from "../core/byte-writer.ts";
import {
  base64UrlDecode,
  base64UrlEncode,
  byteString,
  bytesToHex,
  concatBytes,
  hexToBytes,
} from "../core/bytes.ts";
import { validateContext } from "../core/context.ts";
import type { ActorId, NamespaceId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import { SESSION_BYTES_MAX, TOKEN_BYTES_MAX, TOKEN_ENTRIES_MAX } from "../core/limits.ts";
import { newestStamp } from "../core/record.ts";
import type { Session, SessionTime } from "../core/session.ts";
import { decodeSession, encodeSession } from "../core/session-codec.ts";
import type { CausalRecord, Context, Dot, Stamp } from "../core/version.ts";
import type { Env } from "../env/env.ts";
import { orNull } from "./or-null.ts";
import { HttpProblem } from "./problem.ts";

export interface TokenKeys {
  active(purpose: KeyPurpose): NamedKey;
  find(purpose: KeyPurpose, keyId: string): NamedKey | undefined;
}

export interface ContextValue {
  readonly entries: Context;
  readonly newestStamp: Stamp;
}

/** Which list a cursor goes on with. */
export interface CursorRange {
  readonly namespace: NamespaceId;
  readonly start: Uint8Array;
  readonly end: Uint8Array | null;
  readonly reverse: boolean;
}

const VERSION = 1;
const KEY_ID_BYTES = 6;
const HEAD_BYTES = 1 + KEY_ID_BYTES;
const MAC_BYTES = 16;
/** Characters of the longest token: base64 has four for three bytes. */
const TOKEN_CHARS_MAX = Math.ceil((TOKEN_BYTES_MAX * 4) / 3);
/** A session spans keys and namespaces: it gives no right to any of them. */
const NO_BINDING = new Uint8Array(0);
/** Long enough for a person to page through a list, short enough for keys to be retired. */
const CURSOR_LIFE_MS = 3_600_000;

export class Tokens {
  readonly #env: Env;
  readonly #keys: TokenKeys;
  readonly #confirmedWallMs: () => number | null;
  /** Records are immutable and hot ones live long: their token is made once. */
  readonly #ofRecord = new WeakMap<
    CausalRecord,
    { readonly keyId: string; readonly token: string }
  >();

  readonly #heads = new WeakMap<NamedKey, Uint8Array>();

  constructor(env: Env, keys: TokenKeys, confirmedWallMs: () => number | null) {
    this.#env = env;
    this.#keys = keys;
    this.#confirmedWallMs = confirmedWallMs;
  }

  /** The context of a record as read, and the newest stamp in it. */
  ofRecord(key: Key, record: CausalRecord): string {
    const known = this.#ofRecord.get(record);
    if (known !== undefined && known.keyId === key.id) return known.token;
    const value = { entries: record.context, newestStamp: newestStamp(record) };
    const dots = record.siblings.map((sibling) => sibling.dot);
    const token = this.ofContext(key, value, dots);
    this.#ofRecord.set(record, { keyId: key.id, token });
    return token;
  }

  /**
   * When there are too many entries the token says less than the context does, which is always safe: its holder has seen
   * no more than it says. The entries that cover `dots` are kept first, so that a write with it still replaces them.
   */
  ofContext(key: Key, value: ContextValue, dots: readonly Dot[] = []): string {
    const entries = someEntries(value.entries, dots, TOKEN_ENTRIES_MAX);
    return this.#seal("context", contextBinding(key), contextPayload(entries, value.newestStamp));
  }

  /** @throws HttpProblem 422 invalid_context unless this cluster issued the token for this key. */
  readContext(key: Key, token: string): ContextValue {
    const payload = this.#open("context", contextBinding(key), token);
    // The MAC vouches for the payload: one that cannot be read is of a future version, and is refused like a forged one.
    const value =
      payload === null ? null : orNull(() => readContextPayload(new ByteReader(payload)));
    if (value !== null) return value;
    throw new HttpProblem(
      "invalid_context",
      "Cannot read Gyre-Context: take it unchanged from an answer about this very key, or leave it out to write blindly",
    );
  }

  /** Goes on after (or, in reverse, before) `lastKey`. */
  ofCursor(range: CursorRange, lastKey: Uint8Array): string {
    const payload = new ByteWriter(16 + lastKey.length);
    payload.varint(Math.ceil(this.#env.clock.wallMs() + CURSOR_LIFE_MS));
    payload.bytes(lastKey);
    return this.#seal("cursor", cursorBinding(range), payload.finish());
  }

  /** The last key of the page before. @throws HttpProblem 422 invalid_cursor. */
  readCursor(range: CursorRange, token: string): Uint8Array {
    const payload = this.#open("cursor", cursorBinding(range), token);
    const cursor =
      payload === null ? null : orNull(() => readCursorPayload(new ByteReader(payload)));
    if (cursor === null) {
      throw new HttpProblem(
        "invalid_cursor",
        "Cannot read the cursor: take it unchanged from the page before, and repeat prefix, start, end and reverse",
      );
    }
    if (cursor.expiresAtMs <= this.#env.clock.wallMs()) {
      throw new HttpProblem(
        "invalid_cursor",
        "The cursor is older than an hour: go on with start= and the last key you have",
      );
    }
    return cursor.lastKey;
  }

  ofSession(session: Session): string {
    const bytesMax = SESSION_BYTES_MAX - HEAD_BYTES - MAC_BYTES;
    return this.#seal("session", NO_BINDING, encodeSession(session, this.#sessionTime(), bytesMax));
  }

  /** @throws HttpProblem 400 invalid_session unless this cluster issued it. One of another day is as good as new. */
  readSession(token: string): Session {
    const payload = this.#open("session", NO_BINDING, token);
    const time = this.#sessionTime();
    const session = payload === null ? null : orNull(() => decodeSession(payload, time));
    if (session !== null) return session;
    throw new HttpProblem(
      "invalid_session",
      "Cannot read Gyre-Session: take it unchanged from the session's last answer, or begin a session with the word new",
    );
  }

  /** By which the sessions of a request are stamped. */
  sessionNowMs(): number {
    return Math.floor(this.#env.clock.monotonicMs());
  }

  #sessionTime(): SessionTime {
    const confirmedMs = this.#confirmedWallMs();
    return {
      nowMs: this.sessionNowMs(),
      confirmedMs: confirmedMs === null ? null : Math.floor(confirmedMs),
    };
  }

  #seal(purpose: KeyPurpose, binding: Uint8Array, payload: Uint8Array): string {
    const named = this.#keys.active(purpose);
    const head = this.#headOf(named);
    const mac = this.#env.crypto.hmacSha256(named.key, head, binding, payload);
    return base64UrlEncode(concatBytes(head, payload, mac.subarray(0, MAC_BYTES)));
  }

  /** The same for all tokens of a key: the version and the key's id. */
  #headOf(named: NamedKey): Uint8Array {
    const known = this.#heads.get(named);
    if (known !== undefined) return known;
    const head = new Uint8Array(HEAD_BYTES);
    head[0] = VERSION;
    head.set(hexToBytes(named.keyId), 1);
    this.#heads.set(named, head);
    return head;
  }

  #open(purpose: KeyPurpose, binding: Uint8Array, text: string): Uint8Array | null {
    const token = decodedToken(text);
    if (token === null) return null;
    const named = this.#keys.find(purpose, bytesToHex(token.subarray(1, HEAD_BYTES)));
    if (named === undefined) return null;
    const payload = token.subarray(HEAD_BYTES, token.length - MAC_BYTES);
    const mac = this.#env.crypto.hmacSha256(
      named.key,
      token.subarray(0, HEAD_BYTES),
      binding,
      payload,
    );
    const given = token.subarray(token.length - MAC_BYTES);
    return this.#env.crypto.equal(mac.subarray(0, MAC_BYTES), given) ? payload : null;
  }
}

function decodedToken(text: string): Uint8Array | null {
  if (text.length > TOKEN_CHARS_MAX) return null;
  const token = orNull(() => base64UrlDecode(text));
  if (token === null || token.length < HEAD_BYTES + MAC_BYTES) return null;
  return token[0] === VERSION ? token : null;
}

function someEntries(entries: Context, dots: readonly Dot[], limit: number): Context {
  if (entries.length <= limit) return entries;
  const covers = (entry: Dot): boolean =>
    dots.some((dot) => dot.actor === entry.actor && dot.epoch === entry.epoch);
  const needed = entries.filter(covers).slice(0, limit);
  const others = entries.filter((entry) => !covers(entry)).slice(0, limit - needed.length);
  // Filtering from the sorted whole once more keeps the order that makes a context canonical.
  const kept = new Set([...needed, ...others]);
  return entries.filter((entry) => kept.has(entry));
}

function contextBinding(key: Key): Uint8Array {
  const binding = new ByteWriter(8 + key.bytes.length);
  binding.u32(key.namespace);
  binding.varint(key.bytes.length);
  binding.bytes(key.bytes);
  return binding.finish();
}

/** stamp | number of actors | for each: 16 bytes | number of epochs | for each: epoch, counter. All numbers are varints. */
function contextPayload(entries: Context, stamp: Stamp): Uint8Array {
  const payload = new ByteWriter(16 + entries.length * 25);
  payload.varint(stamp);
  const actors = new Map<ActorId, Dot[]>();
  for (const entry of entries) {
    const columns = actors.get(entry.actor);
    if (columns === undefined) actors.set(entry.actor, [entry]);
    else columns.push(entry);
  }
  payload.varint(actors.size);
  for (const [actor, columns] of actors) {
    payload.byteString(actor);
    payload.varint(columns.length);
    for (const column of columns) {
      payload.varint(column.epoch);
      payload.varint(column.counter);
    }
  }
  return payload.finish();
}

function readContextPayload(reader: ByteReader): ContextValue {
  const stamp = reader.varint();
  const entries: Dot[] = [];
  for (let actors = reader.varint(TOKEN_ENTRIES_MAX); actors > 0; actors--) {
    const actor = byteString(reader.bytes(16)) as ActorId;
    for (let columns = reader.varint(TOKEN_ENTRIES_MAX); columns > 0; columns--) {
      entries.push({ actor, epoch: reader.varint(), counter: reader.varint() });
    }
  }
  reader.expectEnd();
  validateContext(entries);
  return { entries, newestStamp: stamp };
}

function cursorBinding(range: CursorRange): Uint8Array {
  const end = range.end ?? new Uint8Array(0);
  const binding = new ByteWriter(16 + range.start.length + end.length);
  binding.u32(range.namespace);
  binding.u8((range.reverse ? 1 : 0) | (range.end === null ? 2 : 0));
  binding.varint(range.start.length);
  binding.bytes(range.start);
  binding.varint(end.length);
  binding.bytes(end);
  return binding.finish();
}

function readCursorPayload(reader: ByteReader): { expiresAtMs: number; lastKey: Uint8Array } {
  return { expiresAtMs: reader.varint(), lastKey: reader.bytes(reader.remaining) };
}
