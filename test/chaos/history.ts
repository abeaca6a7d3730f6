/**
 * What clients did and were told (research/reliability.md 2.0). Times are of one monotonic clock, that of the process which
 * runs all clients, so that "before" is exact. One line of JSON for each operation, written when its outcome is known.
 */

import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";

/** What the clients of a key promise each other; see workload.ts. */
export type Group = "strict" | "sloppy" | "session" | "set";

/**
 * `ok`: acknowledged. `fail`: the server says that certainly nothing was stored, or nothing was sent. `info`: anything else;
 * the write may take effect, now, later or never.
 */
export type Outcome = "ok" | "fail" | "info";

/** A set of writes of one key, by their numbers: bit n is write n. */
export type Writes = bigint;

export interface Operation {
  readonly group: Group;
  readonly kind: "get" | "put" | "delete";
  readonly key: string;
  /** The client; a new one goes on after an `info`, whose request may still be under way. */
  readonly process: number;
  /** The session it belongs to; null for none. */
  readonly session: number | null;
  /** The server that was asked, 0 to 5. */
  readonly node: number;
  readonly invokedMs: number;
  readonly completedMs: number;
  readonly outcome: Outcome;
  /** The status, or what went wrong. */
  readonly answer: string;
  /** The number of a put among those of its key, also the number in its value; null for gets and deletes. */
  readonly write: number | null;
  /** Of a put or delete: all writes that the context it sent had seen, directly or through others. */
  readonly past: Writes;
  /** Of a get that is ok: the writes whose values were shown. */
  readonly shown: readonly number[];
}

export const NONE: Writes = 0n;

export function has(writes: Writes, write: number): boolean {
  return ((writes >> BigInt(write)) & 1n) === 1n;
}

export function withWrite(writes: Writes, write: number): Writes {
  return writes | (1n << BigInt(write));
}

export class History {
  readonly operations: Operation[] = [];
  readonly #file: WriteStream;

  constructor(path: string) {
    this.#file = createWriteStream(path);
  }

  add(operation: Operation): void {
    this.operations.push(operation);
    const line = { ...operation, past: operation.past.toString(16) };
    this.#file.write(`${JSON.stringify(line)}\n`);
  }

  /** What is no operation: a fault, a verdict. */
  note(event: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#file.write(
      `${JSON.stringify({ atMs: Math.round(performance.now()), event, ...fields })}\n`,
    );
  }

  async close(): Promise<void> {
    this.#file.end();
    await once(this.#file, "close");
  }

  byKey(): Map<string, Operation[]> {
    const keys = new Map<string, Operation[]>();
    for (const operation of this.operations) {
      const known = keys.get(operation.key);
      if (known === undefined) keys.set(operation.key, [operation]);
      else known.push(operation);
    }
    return keys;
  }
}
