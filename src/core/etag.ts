import { ByteWriter } from "./byte-writer.ts";
import { hex32 } from "./bytes.ts";
import type { Hasher } from "./hasher.ts";
import type { Dot } from "./version.ts";

/** The forms in which one record can be answered; each has its own bytes and so its own ETag. */
export type RepresentationKind = "value" | "multipart" | "json" | "none";

const KIND_CODES: Readonly<Record<RepresentationKind, number>> = {
  none: 0,
  value: 1,
  multipart: 2,
  json: 3,
};

/**
 * A strong ETag, quoted: 128 bits over what the representation is made of. The context is not part of it: it changes
 * with a repair or a new signing key while no byte of the answer does (counterexample 27).
 */
export function etagOf(
  hasher: Hasher,
  representation: {
    readonly kind: RepresentationKind;
    /** Of the siblings in the answer, in their order. */
    readonly dots: readonly Dot[];
    readonly contentType: string;
    readonly expiresAtMs: number;
  },
): string {
  const writer = new ByteWriter(64 + representation.contentType.length);
  writer.u8(0);
  writer.u8(KIND_CODES[representation.kind]);
  writer.varint(representation.dots.length);
  for (const dot of representation.dots) {
    writer.byteString(dot.actor);
    writer.varint(dot.epoch);
    writer.varint(dot.counter);
  }
  writer.text(representation.contentType);
  writer.varint(representation.expiresAtMs);
  const framed = writer.finish();
  const first = hasher.hash64(framed);
  // The first byte tells the two halves apart: 128 bits from a 64-bit hash.
  framed[0] = 1;
  const second = hasher.hash64(framed);
  return `"${hex32(first.hi)}${hex32(first.lo)}${hex32(second.hi)}${hex32(second.lo)}"`;
}
