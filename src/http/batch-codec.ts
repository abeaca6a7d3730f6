/** The two forms of a batch: JSON with values in base64, and MessagePack with values as bytes. */
import { encode } from "@msgpack/msgpack";
import { MsgpackReader, type ReadLimits } from "../cluster/msgpack-reader.ts";
import { base64Decode, base64Encode, utf8Decode } from "../core/bytes.ts";
import { BATCH_BYTES_MAX, BATCH_OPS_MAX } from "../core/limits.ts";
import { orNull } from "./or-null.ts";
import { badRequest, HttpProblem } from "./problem.ts";

export interface BatchForm {
  readonly contentType: string;
  decode(body: Uint8Array): unknown;
  encode(answer: unknown): string | Uint8Array;
  /** Null when it is not a value in this form. The bytes are the caller's to keep. */
  readValue(field: unknown): Uint8Array | null;
  writeValue(bytes: Uint8Array): unknown;
  /** How many bytes of the answer a value of so many takes. */
  valueCost(bytes: number): number;
}

/** Values, containers included: each of 1,000 items has some thirty, and metadata of at most one for each of its bytes. */
const LIMITS: ReadLimits = { elementsMax: 1 << 20, depthMax: 32, textBytesMax: BATCH_BYTES_MAX };

const JSON_FORM: BatchForm = {
  contentType: "application/json",
  decode: (body) => {
    const parsed = orNull(() => JSON.parse(utf8Decode(body)) as unknown);
    if (parsed === null) throw badRequest("Cannot read the batch: the body is not JSON in UTF-8");
    return parsed;
  },
  encode: (answer) => `${JSON.stringify(answer)}\n`,
  readValue: (field) => {
    if (typeof field !== "string") return null;
    return orNull(() => base64Decode(field));
  },
  writeValue: base64Encode,
  valueCost: (bytes) => Math.ceil(bytes / 3) * 4,
};

const MSGPACK_FORM: BatchForm = {
  contentType: "application/msgpack",
  decode: (body) => {
    const parsed = orNull(() => {
      const reader = new MsgpackReader(body, LIMITS);
      const value = reader.value(0);
      reader.expectEnd();
      return value;
    });
    if (parsed === null) throw badRequest("Cannot read the batch: the body is not MessagePack");
    return parsed;
  },
  encode: (answer) => encode(answer),
  // A copy: decoded bytes are views, and one stored value must not keep the whole request in memory.
  readValue: (field) => (field instanceof Uint8Array ? field.slice() : null),
  writeValue: (bytes) => bytes,
  valueCost: (bytes) => bytes,
};

const FORMS = new Map<string, BatchForm>([
  ["application/json", JSON_FORM],
  ["application/msgpack", MSGPACK_FORM],
  ["application/x-msgpack", MSGPACK_FORM],
  ["application/vnd.msgpack", MSGPACK_FORM],
]);

/** The answer has the form of the request. @throws HttpProblem 415. */
export function batchFormOf(contentType: string | null): BatchForm {
  const type = (contentType ?? "application/json").split(";")[0]?.trim().toLowerCase() ?? "";
  const form = FORMS.get(type);
  if (form !== undefined) return form;
  throw new HttpProblem(
    "unsupported_media_type",
    `Cannot take a batch as "${type}": want application/json or application/msgpack`,
  );
}

/** Field by field: nothing of what a stranger sent is spread or merged into an object of ours. */
export type BatchItem = Readonly<Record<string, unknown>>;

/** @throws HttpProblem 400 unless it is `{ ops: [ {...}, ... ] }` of at most 1,000 items. */
export function batchItemsOf(decoded: unknown): readonly BatchItem[] {
  if (!isObject(decoded) || !Array.isArray(decoded["ops"])) {
    throw badRequest('Cannot read the batch: want { "ops": [ ... ] }');
  }
  for (const name of Object.keys(decoded)) {
    if (name !== "ops") throw badRequest(`Unknown field "${name}" beside "ops"`);
  }
  const ops: readonly unknown[] = decoded["ops"];
  if (ops.length > BATCH_OPS_MAX) {
    throw badRequest(
      `Cannot take ${ops.length} operations in one batch: want at most ${BATCH_OPS_MAX}`,
    );
  }
  ops.forEach((op, index) => {
    if (!isObject(op)) throw badRequest(`Cannot read operation ${index}: want an object`);
  });
  return ops as readonly BatchItem[];
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Uint8Array)
  );
}
