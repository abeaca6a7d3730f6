/**
 * All owners byte-equal (research/reliability.md 2.6), told from the files of stopped nodes: every row of every owner, its record
 * and its values, and no row and no hint anywhere else.
 */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { Violation } from "./violation.ts";

const CHECKER = "convergence";
/** In front of a record's head: its checksum and what this database alone knows of it (docs/storage-format.md). */
const LOCAL_BYTES = 34;
const RING_PLACES = 2 ** 52;

export interface Ring {
  readonly partitions: number;
  /** For each partition the numbers of the nodes that own it. */
  readonly owners: readonly (readonly number[])[];
}

/** `directories` by the number of their node. */
export function checkRows(ring: Ring, directories: readonly string[]): Violation[] {
  const violations: Violation[] = [];
  const report = (key: string, text: string): void =>
    void violations.push({ checker: CHECKER, key, text });
  const rows = new Map<
    string,
    { readonly partition: number; readonly held: Map<number, string> }
  >();
  for (const [node, directory] of directories.entries()) {
    const database = new DatabaseSync(join(directory, "gyre.db"));
    try {
      for (const row of database
        .prepare("SELECT namespace, key, place, head, body FROM record")
        .all()) {
        const name = nameOf(row);
        const partition = Math.floor((Number(row["place"]) / RING_PLACES) * ring.partitions);
        const known = rows.get(name) ?? { partition, held: new Map<number, string>() };
        rows.set(name, known);
        known.held.set(node, contentOf(row));
      }
      for (const row of database.prepare("SELECT namespace, key, shelf FROM aside").all()) {
        report(nameOf(row), `node ${node} still keeps it aside, as ${String(row["shelf"])}`);
      }
    } finally {
      database.close();
    }
  }
  for (const [name, { partition, held }] of rows) {
    const owners = ring.owners[partition] ?? [];
    const strangers = [...held.keys()].filter((node) => !owners.includes(node));
    if (strangers.length > 0) report(name, `node ${strangers.join()} holds it and does not own it`);
    const missing = owners.filter((owner) => !held.has(owner));
    if (missing.length > 0) report(name, `owner ${missing.join()} has no row`);
    if (new Set(held.values()).size > 1) {
      report(name, `the rows of nodes ${[...held.keys()].join()} are not the same bytes`);
    }
  }
  return violations;
}

type Row = Record<string, unknown>;

function nameOf(row: Row): string {
  return `${String(row["namespace"])}/${Buffer.from(row["key"] as Uint8Array).toString("utf8")}`;
}

function contentOf(row: Row): string {
  const head = Buffer.from(row["head"] as Uint8Array).subarray(LOCAL_BYTES);
  return `${head.toString("base64")}|${Buffer.from(row["body"] as Uint8Array).toString("base64")}`;
}
