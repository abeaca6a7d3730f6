/**
 * A session as bytes: the payload of a Gyre-Session token (docs/api.md, "Tokens", has the grammar and a worked example).
 * Actors are written once, because the keys of one session mostly share a few coordinators.
 */
import { ByteReader } from "./byte-reader.ts";
import { ByteWriter } from "./byte-writer.ts";
import { byteString } from "./bytes.ts";
import { validateContext } from "./context.ts";
import type { ActorId } from "./ids.ts";
import { EPOCH_MAX, SESSION_ENTRIES_MAX, SESSION_LIFE_MS, STAMP_MAX } from "./limits.ts";
import {
  NEW_SESSION,
  type Session,
  type SessionEntry,
  type SessionTime,
  withoutOld,
} from "./session.ts";
import type { Dot } from "./version.ts";

const ACTOR_BYTES = 16;
/** Time and stamp of the session, and the two counts. */
const FRAME_BYTES_MAX = 8 + 8 + 2 + 1;
/** Instead of the time of issue: how long the token rests will be told by nobody. */
const TIME_UNKNOWN = 0;

/** The bytes of as many entries, the most recently used first, as fit. */
export function encodeSession(session: Session, time: SessionTime, bytesMax: number): Uint8Array {
  const actors = new Map<ActorId, number>();
  const entries: Uint8Array[] = [];
  let bytes = FRAME_BYTES_MAX;
  for (const entry of session.entries) {
    const known = actors.size;
    const encoded = encodeEntry(entry, time.nowMs, actors);
    bytes += encoded.length + (actors.size - known) * ACTOR_BYTES;
    if (bytes > bytesMax) {
      for (const actor of [...actors.keys()].slice(known)) actors.delete(actor);
      break;
    }
    entries.push(encoded);
  }
  const writer = new ByteWriter(bytes);
  writer.varint(time.confirmedMs ?? TIME_UNKNOWN);
  writer.varint(session.newestStamp);
  writer.varint(actors.size);
  for (const actor of actors.keys()) writer.byteString(actor);
  writer.varint(entries.length);
  for (const entry of entries) writer.bytes(entry);
  return writer.finish();
}

function encodeEntry(entry: SessionEntry, nowMs: number, actors: Map<ActorId, number>): Uint8Array {
  const { hash, goneFromMs, dots } = entry;
  const writer = new ByteWriter(24 + 16 * dots.length);
  writer.u32(hash.hi);
  writer.u32(hash.lo);
  writer.varint(nowMs - entry.usedAtMs);
  writer.varint(goneFromMs === null ? 0 : Math.ceil(goneFromMs) + 1);
  writer.varint(dots.length);
  for (const { actor, epoch, counter } of dots) {
    const index = actors.get(actor) ?? actors.size;
    actors.set(actor, index);
    writer.varint(index);
    writer.varint(epoch);
    writer.varint(counter);
  }
  return writer.finish();
}

/** Without what is older than its life. @throws FormatError for bytes that are no session of this version. */
export function decodeSession(bytes: Uint8Array, { nowMs, confirmedMs }: SessionTime): Session {
  const reader = new ByteReader(bytes);
  const restedMs = restOf(reader.varint(), confirmedMs);
  const newestStamp = reader.varint(STAMP_MAX);
  const actors: ActorId[] = [];
  for (let left = reader.varint(bytes.length / ACTOR_BYTES); left > 0; left--) {
    actors.push(byteString(reader.bytes(ACTOR_BYTES)) as ActorId);
  }
  const entries: SessionEntry[] = [];
  for (let left = reader.varint(SESSION_ENTRIES_MAX); left > 0; left--) {
    entries.push(decodeEntry(reader, nowMs - restedMs, actors));
  }
  reader.expectEnd();
  if (restedMs > SESSION_LIFE_MS) return NEW_SESSION;
  return withoutOld({ newestStamp, entries }, nowMs - SESSION_LIFE_MS);
}

/** Time counts only between two wall clocks that are vouched for: a wrong one must not end what a session was promised. */
function restOf(issuedAtMs: number, confirmedMs: number | null): number {
  if (issuedAtMs === TIME_UNKNOWN || confirmedMs === null) return 0;
  return Math.max(0, confirmedMs - issuedAtMs);
}

function decodeEntry(
  reader: ByteReader,
  issuedMs: number,
  actors: readonly ActorId[],
): SessionEntry {
  const hash = { hi: reader.u32(), lo: reader.u32() };
  const usedAtMs = issuedMs - reader.varint();
  const gone = reader.varint();
  const dots: Dot[] = [];
  for (let left = reader.varint(reader.remaining); left > 0; left--) {
    const actor = actors[reader.varint(actors.length - 1)] as ActorId;
    dots.push({ actor, epoch: reader.varint(EPOCH_MAX), counter: reader.varint() });
  }
  validateContext(dots);
  return { hash, usedAtMs, dots, goneFromMs: gone === 0 ? null : gone - 1 };
}
