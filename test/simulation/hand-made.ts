/** Histories made by hand: a world in which nothing runs, whose disks are told rows and whose clients are told answers. */

import { utf8Encode } from "../../src/core/bytes.ts";
import type { Hasher } from "../../src/core/hasher.ts";
import { actorIdFromBytes } from "../../src/core/ids.ts";
import { EMPTY_RECORD, mergeRecords, putSibling } from "../../src/core/record.ts";
import { encodeBody, encodeHead } from "../../src/core/record-codec.ts";
import type { CausalRecord, Context, Dot } from "../../src/core/version.ts";
import type { DiskRow } from "../../src/env/disk.ts";
import { Calls } from "./calls.ts";
import { drawOptions } from "./draw-options.ts";
import { type Condition, type Op, valueText } from "./history.ts";
import type { KeyState } from "./key-state.ts";
import { observedDisk } from "./observed-disk.ts";
import type { SimDiskHandle } from "./sim-disk.ts";
import { defaultTerms, type Terms } from "./terms.ts";
import { World } from "./world.ts";

/** Three homes, on nodes 0 to 2 of any world. */
const HOMES = [0, 1, 2];

export class HandMade {
  readonly world: World;
  readonly key: KeyState;
  readonly #calls: Calls;
  readonly #disks: readonly SimDiskHandle[];
  #sequence = 0;

  constructor(hasher: Hasher) {
    const drawn = drawOptions(1);
    const workload = { ...drawn.workload, expiring: 0 };
    this.world = new World({ ...drawn, namespace: null, workload }, hasher, false);
    this.#calls = new Calls(this.world);
    this.key = this.world.ledger.addKey("key-0", { name: "default", isStrict: false });
    this.key.homes = HOMES;
    this.#disks = this.world.nodes.map((node) =>
      observedDisk(node.disk.open(), this.world.ledger.observerFor(node.index), () => undefined),
    );
  }

  /** The checkers that have spoken, each once. */
  get verdicts(): string[] {
    return [...new Set(this.world.violations.map((violation) => violation.checker))];
  }

  begin(
    kind: Op["kind"],
    options: { seen?: readonly Op[]; terms?: Terms; condition?: Condition } = {},
  ): Op {
    const { seen, terms = defaultTerms(HOMES.length, true), condition = "none" } = options;
    return this.#calls.begin({
      kind,
      key: this.key,
      node: 0,
      terms,
      condition,
      seen: seen === undefined ? null : new Set(seen.map((op) => op.id)),
    });
  }

  /** The write's record as its coordinator makes it of what it holds; `context` is the client's. */
  record(op: Op, dot: Dot, held: CausalRecord | null, context: Context | null): CausalRecord {
    const value = utf8Encode(valueText(op.id, 0));
    return putSibling(held, context, {
      ...{ dot, stamp: op.id + 1, deleted: false, value, valueBytes: value.length },
      ...{ valueHash: { hi: 0, lo: op.id }, contentType: "text/plain", metadata: "" },
      ...{ expiresAtMs: 0, writeQuorum: 2, sloppy: false, idempotencyKey: "", bodyDigest: "" },
    });
  }

  /** A node stores a record, as the one that minted `minted` or as one that was sent it. */
  store(node: number, record: CausalRecord, minted: Dot | null = null, isCommitted = true): void {
    const disk = this.#disks[node] as SimDiskHandle;
    disk.begin();
    disk.put(this.#rowOf(record, minted));
    if (isCommitted) disk.commit();
  }

  /** A stand-in keeps a record for this home. */
  keep(node: number, home: number, record: CausalRecord, note: Uint8Array): void {
    const disk = this.#disks[node] as SimDiskHandle;
    disk.begin();
    const shelf = `hint/${this.world.node(home).id}`;
    disk.putAside({ ...this.#rowOf(record, null), shelf, note });
    disk.commit();
  }

  #rowOf(record: CausalRecord, minted: Dot | null): DiskRow {
    this.#sequence++;
    return {
      ...{ namespace: 1, key: this.key.bytes, place: 0, sequence: this.#sequence, minted },
      ...{ head: encodeHead(record), headSum: new Uint8Array(8), body: encodeBody(record) },
    };
  }

  /** A put by `node` that has reached some of the homes and was acknowledged by them. */
  put(
    dot: Dot,
    homes: readonly number[],
    options: { held?: CausalRecord; seen?: readonly Op[]; context?: Context } = {},
  ): { readonly op: Op; readonly record: CausalRecord } {
    const op = this.begin("put", options.seen === undefined ? {} : { seen: options.seen });
    const record = this.record(op, dot, options.held ?? null, options.context ?? null);
    const [first, ...others] = homes;
    this.store(first as number, record, dot);
    for (const home of others) this.store(home, mergeRecords(record, EMPTY_RECORD));
    this.acknowledge(op, homes.length);
    return { op, record };
  }

  acknowledge(op: Op, acks: number): void {
    op.acks = acks;
    this.#calls.close(op, "ok", 204, acks);
    this.key.acked.push(op);
    if (acks >= 2) this.key.strong.push(op);
  }

  refuse(op: Op): void {
    this.#calls.close(op, "fail", 412, 0);
  }
}

/** Dots of three coordinators. */
export function dotOf(node: number, counter: number, epoch = 1): Dot {
  return { actor: actorIdFromBytes(new Uint8Array(16).fill(node + 1)), epoch, counter };
}
