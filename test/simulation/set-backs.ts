/**
 * Machines that were set back to a snapshot, with nothing on the disk that shows it. Peers can tell, if one of them has stored
 * more of this database than the snapshot has (src/replication/copy-check.ts). Where none has, or none of those who have
 * answers while the machine waits for them after its start, nobody can: then it counts without what it has lost, and strict
 * reads of these keys promise nothing (docs/operations.md). All else is promised as ever.
 */
import { bytesToHex } from "../../src/core/bytes.ts";
import { covers } from "../../src/core/context.ts";
import { COPY_CHECK_PATIENCE_MS } from "../../src/core/limits.ts";
import { decodeHead } from "../../src/core/record-codec.ts";
import { ACTOR_META, DATABASE_META, EPOCH_LEASE_META } from "../../src/storage/meta-names.ts";
import type { VirtualClock } from "../support/virtual-clock.ts";
import type { KeyState } from "./key-state.ts";
import type { Ledger } from "./ledger.ts";
import type { SimNode } from "./sim-node.ts";

/** Its clock may be a little faster. */
const PATIENCE_MS = COPY_CHECK_PATIENCE_MS - 50;

interface SetBack {
  /** Where peers keep what they know of this database. */
  readonly name: string;
  readonly epochEnd: bigint;
  readonly sequence: bigint;
}

export class SetBacks {
  readonly #nodes: readonly SimNode[];
  readonly #ledger: Ledger;
  readonly #clock: VirtualClock;
  readonly #count: (event: string) => void;
  /** Those that have not been told of it. */
  readonly #unnoticed = new Map<number, SetBack>();

  constructor(parts: {
    readonly nodes: readonly SimNode[];
    readonly ledger: Ledger;
    readonly clock: VirtualClock;
    readonly count: (event: string) => void;
  }) {
    this.#nodes = parts.nodes;
    this.#ledger = parts.ledger;
    this.#clock = parts.clock;
    this.#count = parts.count;
  }

  /** REQUIRES: the disk is as it is afterwards. */
  wentBack(node: SimNode): void {
    const { disk, index } = node;
    node.isSetBack = true;
    this.#unnoticed.set(index, {
      name: `database-seen/${bytesToHex(disk.meta(DATABASE_META) ?? disk.meta(ACTOR_META) ?? new Uint8Array())}`,
      epochEnd: numberAt(disk.meta(EPOCH_LEASE_META), 0),
      sequence: BigInt(disk.image().sequence),
    });
    this.#review();
  }

  /** Now the disk itself shows that something is missing, or it is another one. */
  noticed(index: number): void {
    (this.#nodes[index] as SimNode).isSetBack = false;
    this.#unnoticed.delete(index);
  }

  /** A process starts on a disk; what happened to the disk has happened. */
  booted(index: number): void {
    this.#review();
    const setBack = this.#unnoticed.get(index);
    if (setBack === undefined) return;
    const { process } = this.#nodes[index] as SimNode;
    this.#clock.after(PATIENCE_MS, () => {
      if (process?.alive !== true || this.#unnoticed.get(index) !== setBack) return;
      this.#giveUp(index);
    });
  }

  #review(): void {
    for (const [index, setBack] of this.#unnoticed) {
      if (!this.#isKnown(index, setBack)) {
        this.#giveUp(index);
        (this.#nodes[index] as SimNode).isSetBack = false;
      }
    }
  }

  #isKnown(index: number, { name, epochEnd, sequence }: SetBack): boolean {
    return this.#nodes.some((peer) => {
      const seen = peer.index === index ? undefined : peer.disk.meta(name);
      return numberAt(seen, 0) > epochEnd || numberAt(seen, 8) > sequence;
    });
  }

  #giveUp(index: number): void {
    this.#unnoticed.delete(index);
    this.#count("set back, and nobody could tell");
    for (const key of this.#ledger.keys.values()) {
      if (key.homes.includes(index) && this.#lacks(index, key)) key.isWeakened = true;
    }
  }

  #lacks(index: number, key: KeyState): boolean {
    const row = this.#nodes[index]?.rowOf(key);
    const context = row === undefined ? [] : decodeHead(row.head).context;
    return key.strong.some(({ id }) =>
      (key.mintsOf.get(id) ?? []).some((mint) => !covers(context, mint.dot)),
    );
  }
}

function numberAt(bytes: Uint8Array | undefined, offset: number): bigint {
  if (bytes === undefined || bytes.length < offset + 8) return 0n;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getBigUint64(offset);
}
