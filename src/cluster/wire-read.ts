/**
 * Typed readers for the fields of peer messages. A peer is authenticated but not trusted to be of the same build: every
 * field is checked for type and bounds before it is used, and the refusal names the field.
 */
import { isWellFormed } from "../core/bytes.ts";
import { PeerError, type WireFields, type WireValue } from "./peer-channel.ts";

/** Refused with code `bad_message`: the message was not executed and will never be, however often it is sent. */
export class BadMessageError extends PeerError {
  constructor(message: string, options?: { cause?: unknown }) {
    super("refused", "bad_message", message, options);
  }
}

/** The refusal of one field. */
export function badField(name: string, want: string): BadMessageError {
  return new BadMessageError(wrong(name, want));
}

function wrong(name: string, want: string): string {
  return `Cannot read field ${name}: want ${want}`;
}

/** At most `charactersMax` UTF-16 units, well-formed. @throws BadMessageError */
export function readString(
  fields: WireFields,
  index: number,
  name: string,
  charactersMax: number,
): string {
  const value = fields[index];
  if (typeof value !== "string" || value.length > charactersMax || !isWellFormed(value)) {
    throw badField(name, `a string of at most ${charactersMax} characters`);
  }
  return value;
}

/** An integer of min .. max. @throws BadMessageError */
export function readInt(
  fields: WireFields,
  index: number,
  name: string,
  min: number,
  max: number,
): number {
  const value = fields[index];
  if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
    throw badField(name, `an integer of ${min} to ${max}`);
  }
  return value;
}

/** A finite number of min .. max, fractions allowed. @throws BadMessageError */
export function readNumber(
  fields: WireFields,
  index: number,
  name: string,
  min: number,
  max: number,
): number {
  const value = fields[index];
  // Written so that NaN, which compares false with everything, is refused.
  if (typeof value !== "number" || !(value >= min && value <= max)) {
    throw badField(name, `a number of ${min} to ${max}`);
  }
  return value;
}

/** @throws BadMessageError */
export function readBoolean(fields: WireFields, index: number, name: string): boolean {
  const value = fields[index];
  if (typeof value !== "boolean") throw badField(name, "a boolean");
  return value;
}

/** A view of the request: copy what is kept. @throws BadMessageError */
export function readBytes(
  fields: WireFields,
  index: number,
  name: string,
  bytesMax: number,
): Uint8Array {
  const value = fields[index];
  if (!(value instanceof Uint8Array) || value.length > bytesMax) {
    throw badField(name, `at most ${bytesMax} bytes`);
  }
  return value;
}

/** As readBytes, or null where null was sent. @throws BadMessageError */
export function readBytesOrNull(
  fields: WireFields,
  index: number,
  name: string,
  bytesMax: number,
): Uint8Array | null {
  return fields[index] === null ? null : readBytes(fields, index, name, bytesMax);
}

/** @throws BadMessageError */
export function readArray(
  fields: WireFields,
  index: number,
  name: string,
  itemsMax: number,
): WireFields {
  return asFields(fields[index], name, itemsMax);
}

/** For a field that is itself a list of fields. @throws BadMessageError */
export function asFields(
  value: WireValue | undefined,
  name: string,
  itemsMax = Number.MAX_SAFE_INTEGER,
): WireFields {
  if (!Array.isArray(value) || value.length > itemsMax) {
    throw badField(name, `a list of at most ${itemsMax} items`);
  }
  // Array.isArray narrows a readonly array to any[]; the element type is known from the decoder.
  return value as WireFields;
}

/**
 * For parsers of the domain, such as parseNodeId, whose TypeError must become a refusal.
 * @throws BadMessageError
 */
export function readParsed<T>(
  fields: WireFields,
  index: number,
  name: string,
  charactersMax: number,
  parse: (text: string) => T,
): T {
  const text = readString(fields, index, name, charactersMax);
  try {
    return parse(text);
  } catch (error) {
    throw new BadMessageError(wrong(name, "a valid value"), { cause: error });
  }
}
