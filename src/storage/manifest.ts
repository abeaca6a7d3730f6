import { utf8Decode, utf8Encode } from "../core/bytes.ts";
import { type ClusterId, type NodeId, parseClusterId, parseNodeId } from "../core/ids.ts";

export const MANIFEST_FILE = "manifest.json";
const FORMAT = 1;

export interface BackedUpFile {
  readonly name: string;
  readonly bytes: number;
  /** Hex. */
  readonly sha256: string;
}

/** What a backup says of itself: written last, so that a directory without one is no backup. */
export interface Manifest {
  readonly gyre: string;
  readonly createdAtMs: number;
  readonly nodeId: NodeId;
  readonly clusterId: ClusterId | undefined;
  /** Starts of the node until then. */
  readonly boots: number;
  readonly sequence: number;
  readonly rows: number;
  readonly files: readonly BackedUpFile[];
}

export function encodeManifest(manifest: Manifest): Uint8Array {
  return utf8Encode(`${JSON.stringify({ format: FORMAT, ...manifest }, null, 2)}\n`);
}

/** @throws TypeError or SyntaxError that says what is wrong. */
export function decodeManifest(bytes: Uint8Array): Manifest {
  const fields = asObject(JSON.parse(utf8Decode(bytes)));
  if (fields["format"] !== FORMAT) {
    throw new TypeError(`want format ${FORMAT}: ${String(fields["format"])}`);
  }
  const files = fields["files"];
  if (!Array.isArray(files)) throw new TypeError("want a list of files");
  const clusterId = fields["clusterId"];
  return {
    gyre: text(fields, "gyre"),
    createdAtMs: count(fields, "createdAtMs"),
    nodeId: parseNodeId(text(fields, "nodeId")),
    clusterId: clusterId === undefined ? undefined : parseClusterId(text(fields, "clusterId")),
    boots: count(fields, "boots"),
    sequence: count(fields, "sequence"),
    rows: count(fields, "rows"),
    files: files.map((item: unknown) => {
      const file = asObject(item);
      const name = text(file, "name");
      // The name becomes a path.
      if (!/^[a-z][a-z.-]*$/.test(name)) throw new TypeError(`want the name of a file: ${name}`);
      return { name, bytes: count(file, "bytes"), sha256: text(file, "sha256") };
    }),
  };
}

function asObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null) throw new TypeError("want a JSON object");
  return value as Readonly<Record<string, unknown>>;
}

function text(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = fields[name];
  if (typeof value !== "string") throw new TypeError(`want text for ${name}: ${String(value)}`);
  return value;
}

function count(fields: Readonly<Record<string, unknown>>, name: string): number {
  const value = fields[name];
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw new TypeError(`want a whole number for ${name}: ${String(value)}`);
  }
  return value;
}
