import { ByteWriter } from "./byte-writer.ts";
import { keptBytes } from "./slab.ts";
import type { CausalRecord } from "./version.ts";

/**
 * Names a record without its values: the context and, for each sibling, its dot and the hash of its value. Records with
 * equal identities are equal, since one dot has one sibling; the hashes are there to show it should that ever break.
 */
export function recordIdentity(record: CausalRecord): Uint8Array {
  const writer = new ByteWriter(2 + record.context.length * 25 + record.siblings.length * 33);
  writer.varint(record.context.length);
  for (const entry of record.context) {
    writer.byteString(entry.actor);
    writer.varint(entry.epoch);
    writer.varint(entry.counter);
  }
  for (const { dot, valueHash } of record.siblings) {
    writer.byteString(dot.actor);
    writer.varint(dot.epoch);
    writer.varint(dot.counter);
    writer.u32(valueHash.hi);
    writer.u32(valueHash.lo);
  }
  // It is remembered for as long as its record.
  return keptBytes.copy(writer.finish());
}
