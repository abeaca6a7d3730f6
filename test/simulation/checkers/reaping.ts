/**
 * Forgetting (design 7 "Reaping"): when an owner drops a row, or entries of its context, nothing that these had replaced may be
 * left on any disk or under way, or it would come back as if it were new. Judged at each owner's commit, by the disks of all
 * nodes, long before a client could see a deleted value again; and from then on at every write.
 */
import { MESSAGES_PATH } from "../../../src/cluster/peer-auth.ts";
import { equalBytes } from "../../../src/core/bytes.ts";
import { covers, descends, equalDots } from "../../../src/core/context.ts";
import { decodeRecord } from "../../../src/core/record-codec.ts";
import type { CausalRecord } from "../../../src/core/version.ts";
import type { AsideRow, DiskRow } from "../../../src/env/disk.ts";
import type { PeerRequest, PeerResponse } from "../../../src/env/transport.ts";
import { QUARANTINE_SHELF, RESTORED_SHELF } from "../../../src/storage/shelves.ts";
import type { KeyState } from "../key-state.ts";
import type { Ledger } from "../ledger.ts";
import type { DiskObserver } from "../observed-disk.ts";
import type { SimNode } from "../sim-node.ts";
import type { Mint } from "./dot-reuse.ts";
import { type Asked, objectionsTo, overruled } from "./reap-answers.ts";
import type { Report } from "./report.ts";

/** A copy that leaves a disk may be on its way in a read, and then in the message that the read becomes. */
const LIVES_OF_A_COPY = 2;

type Row = DiskRow | AsideRow;

export interface ReapBookParts {
  readonly ledger: Ledger;
  readonly nodes: readonly SimNode[];
  readonly nowMs: () => number;
  /** D; null where nothing is reaped. */
  readonly lifeMs: number | null;
  readonly report: Report;
}

interface Before {
  readonly before: CausalRecord;
  /** A process that has the row in its cache can forget it, another one only finds out that it is unreadable. */
  readonly wasRotten: boolean;
}

/** What the open transaction of a node takes away. */
interface Loss extends Before {
  readonly key: KeyState;
  /** Null for nothing. */
  readonly after: CausalRecord | null;
}

export class ReapBook {
  readonly #parts: ReapBookParts;
  /** When a disk last ceased to hold the sibling. */
  readonly #leftMs = new Map<Mint, number>();
  /** When it was forgotten what had replaced the sibling. */
  readonly #buriedMs = new Map<Mint, number>();
  /** When a node has committed a row last, by `node/key`. */
  readonly #changedMs = new Map<string, number>();
  /** What each node has written last, by `node/key`: it tells what a rotten row held. */
  readonly #written = new Map<string, CausalRecord>();

  constructor(parts: ReapBookParts) {
    this.#parts = parts;
  }

  /** Sees what the ledger sees, after it. One for each process: what a crash leaves uncommitted goes with it. */
  observerFor(node: number): DiskObserver {
    const { ledger, lifeMs } = this.#parts;
    const inner = ledger.observerFor(node);
    if (lifeMs === null) return inner;
    let losses: Loss[] = [];
    let places: string[] = [];
    const changed = (row: DiskRow, old: Before | null, after: CausalRecord | null): void => {
      const key = ledger.keyOf(row);
      if (key === undefined) return;
      if (after !== null) {
        this.#written.set(`${node}/${key.name}`, after);
        places.push(`${node}/${key.name}`);
      }
      if (old === null) return;
      this.#left(row, old.before, after);
      if (after !== null && descends(after.context, old.before.context)) return;
      losses.push({ key, ...old, after });
    };
    return {
      wrote: (row, old) => {
        const known = this.#before(node, old);
        inner.wrote(row, old);
        const record = decodeRecord(row.head, row.body);
        this.#stored(node, row, record);
        changed(row, known, record);
      },
      wroteAside: (row, old) => {
        inner.wroteAside(row, old);
        const record = decodeRecord(row.head, row.body);
        this.#stored(node, row, record);
        if (old !== undefined) this.#left(row, decodeRecord(old.head, old.body), record);
      },
      deleted: (row) => {
        const known = this.#before(node, row);
        inner.deleted(row);
        changed(row, known, null);
      },
      deletedAside: (row) => {
        inner.deletedAside(row);
        this.#left(row, decodeRecord(row.head, row.body), null);
      },
      noted: (name) => inner.noted(name),
      committed: () => {
        inner.committed();
        for (const loss of losses) this.#forgot(node, loss);
        for (const place of places) this.#changedMs.set(place, this.#parts.nowMs());
        losses = [];
        places = [];
      },
      rolledBack: () => {
        inner.rolledBack();
        losses = [];
        places = [];
      },
    };
  }

  /**
   * A message that has outlived D is refused, whatever it carries: it may be the last trace of what is forgotten by now. And
   * nobody agrees to what its disk speaks against.
   */
  take(index: number, request: PeerRequest, ageMs: number): (response: PeerResponse) => void {
    const { lifeMs, report, nodes, ledger } = this.#parts;
    const node = nodes[index];
    if (lifeMs === null || node === undefined || request.path !== MESSAGES_PATH) {
      return () => undefined;
    }
    const asked: Asked = {
      node,
      keys: ledger.keys,
      lifeMs,
      isRotten: (key) => ledger.rotten.has(`${index}/${key.name}`),
      quietMs: (key) => this.#parts.nowMs() - (this.#changedMs.get(`${index}/${key.name}`) ?? 0),
    };
    const objections = objectionsTo(asked, request.body);
    return ({ status, body }) => {
      if (status !== 200) return;
      if (ageMs > lifeMs) {
        report("reaping", `node ${index} takes a message that is ${Math.floor(ageMs)} ms old`);
      }
      for (const { key, why } of overruled(objections, request.body, body)) {
        report("reaping", `node ${index} agrees that ${key} may be forgotten, but it ${why}`);
      }
    };
  }

  #isRotten(node: number, row: Row): boolean {
    const key = this.#parts.ledger.keyOf(row);
    return key !== undefined && this.#parts.ledger.rotten.has(`${node}/${key.name}`);
  }

  #before(node: number, row: DiskRow | undefined): Before | null {
    if (row === undefined) return null;
    if (!this.#isRotten(node, row)) {
      return { before: decodeRecord(row.head, row.body), wasRotten: false };
    }
    const key = this.#parts.ledger.keyOf(row);
    const before = this.#written.get(`${node}/${key?.name}`);
    return before === undefined ? null : { before, wasRotten: true };
  }

  #left(row: Row, before: CausalRecord, after: CausalRecord | null): void {
    const key = this.#parts.ledger.keyOf(row);
    if (key === undefined) return;
    for (const { dot } of before.siblings) {
      const mint = key.dots.of(dot);
      if (mint === undefined || isHeldIn(after, mint)) continue;
      this.#leftMs.set(mint, this.#parts.nowMs());
    }
  }

  #stored(node: number, row: Row, record: CausalRecord): void {
    const key = this.#parts.ledger.keyOf(row);
    if (this.#buriedMs.size === 0 || key === undefined || isRestored(row)) return;
    for (const { dot } of record.siblings) {
      const mint = key.dots.of(dot);
      const atMs = mint === undefined ? undefined : this.#buriedMs.get(mint);
      if (mint === undefined || atMs === undefined) continue;
      this.#parts.report(
        "resurrected",
        `node ${node} stores op ${mint.op} of ${key.name}; what had replaced it was forgotten at ${atMs}`,
      );
    }
  }

  /** An owner has committed the loss of a row, or of entries of its context. */
  #forgot(node: number, { key, before, after, wasRotten }: Loss): void {
    const gone = key.dots.covered(before.context).filter((mint) => !isCovered(after, mint));
    const replaced = gone.filter((mint) => !isHeldIn(before, mint));
    const isAlive = before.siblings.some((one) =>
      after === null
        ? !one.deleted && one.expiresAtMs === 0
        : // The shorter context is still that of all siblings.
          !covers(after.context, one.dot),
    );
    if (wasRotten) {
      // Where the proof holds it is forgotten, whether it was meant to be or not; else it is lost, and others judge that.
      const isProven = replaced.every((mint) => this.#holder(key, mint) === undefined);
      if (!isAlive && isProven) for (const mint of gone) key.forgotten.add(mint);
      return;
    }
    if (isAlive) {
      this.#parts.report("reaping", `node ${node} forgets a value of ${key.name} that is alive`);
    }
    for (const mint of gone) key.forgotten.add(mint);
    for (const mint of replaced) {
      this.#judge(node, key, mint);
      this.#buriedMs.set(mint, this.#parts.nowMs());
    }
  }

  #judge(node: number, key: KeyState, mint: Mint): void {
    const what = `node ${node} forgets ${key.name} and that op ${mint.op} of it is replaced`;
    const holder = this.#holder(key, mint);
    if (holder !== undefined) {
      this.#parts.report("reaping", `${what}, but node ${holder.index} still keeps that`);
    }
    const leftMs = this.#leftMs.get(mint);
    const { lifeMs, nowMs } = this.#parts;
    if (leftMs === undefined || lifeMs === null) return;
    const agoMs = nowMs() - leftMs;
    if (agoMs >= LIVES_OF_A_COPY * lifeMs) return;
    this.#parts.report(
      "reaping",
      `${what}, but a disk held that ${Math.floor(agoMs)} ms ago: it may be under way`,
    );
  }

  #holder(key: KeyState, mint: Mint): SimNode | undefined {
    return this.#parts.nodes.find((one) => this.#holds(one, key, mint));
  }

  #holds(node: SimNode, key: KeyState, mint: Mint): boolean {
    const row = node.rowOf(key);
    if (row !== undefined && !this.#isRotten(node.index, row) && holdsDot(row, mint)) return true;
    return node.disk.asideRows().some((aside) => isOf(aside, key) && holdsDot(aside, mint));
  }
}

/** Rows of a restored backup are judged by the reap horizons when they are let in. */
function isRestored(row: Row): boolean {
  return "shelf" in row && (row.shelf === RESTORED_SHELF || row.shelf === QUARANTINE_SHELF);
}

function isOf(aside: AsideRow, key: KeyState): boolean {
  return (
    !isRestored(aside) && aside.namespace === key.namespace && equalBytes(aside.key, key.bytes)
  );
}

function holdsDot(row: Row, mint: Mint): boolean {
  return isHeldIn(decodeRecord(row.head, row.body), mint);
}

function isHeldIn(record: CausalRecord | null, { dot }: Mint): boolean {
  return record?.siblings.some((one) => equalDots(one.dot, dot)) === true;
}

function isCovered(record: CausalRecord | null, { dot }: Mint): boolean {
  return record !== null && covers(record.context, dot);
}
