/** What a stand-in remembers beside a hint's record (docs/storage-format.md, "Notes of hints"). Local, never replicated. */
import { ByteReader } from "../core/byte-reader.ts";
import { ByteWriter } from "../core/byte-writer.ts";
import { FormatError } from "../core/errors.ts";
import { COPIES_MAX } from "../core/limits.ts";

export interface HintNote {
  /** The largest W of the puts merged into the row: custody lasts until so many owners hold what it holds. */
  readonly needed: number;
  /** Wall time when the row was made, in ms: how long its target has been waited for. */
  readonly sinceMs: number;
}

const VERSION = 1;

export function encodeHintNote(note: HintNote): Uint8Array {
  const writer = new ByteWriter(10);
  writer.u8(VERSION);
  writer.varint(note.needed);
  writer.varint(note.sinceMs);
  // A copy: the store keeps it.
  return writer.finish().slice();
}

/** @throws FormatError; the row's checksum covers the note, so that is a bug or a newer program's. */
export function decodeHintNote(bytes: Uint8Array): HintNote {
  const reader = new ByteReader(bytes);
  const version = reader.u8();
  if (version !== VERSION) throw new FormatError(`Cannot read a hint's note of version ${version}`);
  const note = { needed: reader.varint(COPIES_MAX), sinceMs: reader.varint() };
  reader.expectEnd();
  return note;
}
