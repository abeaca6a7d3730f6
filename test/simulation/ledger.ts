/**
 * The truth of a run, from both ends: what clients did (the history) and what every disk was told (the observers). Checkers
 * read it; the faults ask it what may be damaged without breaking the promises' own conditions.
 */
import { utf8Decode } from "../../src/core/bytes.ts";
import { decodeRecord } from "../../src/core/record-codec.ts";
import type { CausalRecord, Context, Sibling } from "../../src/core/version.ts";
import type { AsideRow, DiskRow } from "../../src/env/disk.ts";
import type { Mint } from "./checkers/dot-reuse.ts";
import type { Report } from "./checkers/report.ts";
import { idOfValue, type Op } from "./history.ts";
import { OWN_ROWS } from "./holdings.ts";
import { type KeyState, newKeyState } from "./key-state.ts";
import type { DiskObserver } from "./observed-disk.ts";

const NO_NOTE = new Uint8Array();

interface Pending {
  readonly mints: { readonly key: KeyState; readonly mint: Mint }[];
  readonly contexts: {
    readonly key: KeyState;
    readonly context: Context;
    readonly shelf: string;
    readonly note: Uint8Array;
  }[];
  /** Rows that would be readable again after the commit. */
  readonly healed: string[];
}

/** A new dot, and the record that it came with. */
export interface Minted {
  readonly mint: Mint;
  readonly record: CausalRecord;
}

interface Place {
  readonly shelf: string;
  /** What its node remembers beside it; empty for a row of its own. */
  readonly note: Uint8Array;
  /** There was a row before. */
  readonly existed: boolean;
  /** What stood there is all that its coordinator held. */
  readonly isWhole: boolean;
}

export class Ledger {
  readonly ops: Op[] = [];
  readonly keys = new Map<string, KeyState>();
  /** Rows that were made unreadable: `node/key`. */
  readonly rotten = new Set<string>();
  /** Told of each committed row. */
  readonly onCommitted: ((
    node: number,
    key: KeyState,
    context: Context,
    shelf: string,
    note: Uint8Array,
  ) => void)[] = [];
  /** Told of each new dot, before it is known what it replaces. */
  onMinted: (op: Op, key: KeyState, minted: Minted) => void = () => undefined;
  /** Told of each hint that a node deletes, and of each small value that it sets. */
  onHintDropped: (node: number, row: AsideRow) => void = () => undefined;
  onNoted: (node: number, name: string) => void = () => undefined;
  /** How often the node has started. */
  startOf: (node: number) => number = () => 0;
  readonly #report: Report;
  readonly #count: (state: string) => void;
  readonly #pending = new Map<number, Pending>();
  readonly #byDigest = new Map<string, number>();

  constructor(parts: {
    readonly report: Report;
    readonly count: (state: string) => void;
  }) {
    this.#report = parts.report;
    this.#count = parts.count;
  }

  addKey(name: string, space: { readonly name: string; readonly isStrict: boolean }): KeyState {
    const key = newKeyState(name, space, this.#report);
    this.keys.set(name, key);
    return key;
  }

  /** How a tombstone, which has no value, tells whose it is. */
  registerDigest(digest: string, op: number): void {
    this.#byDigest.set(digest, op);
  }

  key(name: string): KeyState {
    const key = this.keys.get(name);
    if (key === undefined) throw new Error(`The simulator knows no key ${name}`);
    return key;
  }

  op(id: number): Op {
    const op = this.ops[id];
    if (op === undefined) throw new Error(`The history has no operation ${id}`);
    return op;
  }

  /** True while this node has written something that is not committed, a dot of its own or a peer's record. */
  hasUncommitted(node: number, what: "dot" | "row"): boolean {
    const pending = this.#pending.get(node);
    if (pending === undefined) return false;
    return what === "row" || pending.mints.length > 0;
  }

  observerFor(node: number): DiskObserver {
    return {
      wrote: (row, old) => this.#wrote(node, row, old),
      wroteAside: (row, old) => this.#wroteAside(node, row, old),
      deleted: (row) => this.#deleted(node, row),
      deletedAside: (row) => this.onHintDropped(node, row),
      noted: (name) => this.onNoted(node, name),
      committed: () => this.#committed(node),
      rolledBack: () => this.rolledBack(node),
    };
  }

  /** The open transaction of this node never was: a full disk, or a crash. */
  rolledBack(node: number): void {
    for (const { key, mint } of this.#pending.get(node)?.mints ?? []) {
      key.dots.forget(mint);
      const others = (key.mintsOf.get(mint.op) ?? []).filter((other) => other !== mint);
      if (others.length > 0) key.mintsOf.set(mint.op, others);
      else key.mintsOf.delete(mint.op);
      this.op(mint.op).past = pastOfAll(others);
    }
    for (const place of this.#pending.get(node)?.healed ?? []) this.rotten.add(place);
    this.#pending.delete(node);
  }

  /** Which write a sibling is of; -1 when it is nobody's. */
  opOf(sibling: Sibling): number {
    if (sibling.deleted) return this.#byDigest.get(sibling.idempotencyKey) ?? -1;
    return sibling.value === null ? -1 : idOfValue(utf8Decode(sibling.value));
  }

  /** All writes that a context covers. */
  seenBy(key: KeyState, context: Context): Set<number> {
    const seen = new Set<number>();
    for (const mint of key.dots.covered(context)) {
      seen.add(mint.op);
      for (const id of mint.past) seen.add(id);
    }
    return seen;
  }

  /** Of all writes that a context covers, those that none of the others replaces: the siblings it speaks of. */
  maximal(key: KeyState, context: Context): Mint[] {
    const covered = key.dots.covered(context);
    const replaced = new Set<number>();
    for (const mint of covered) {
      for (const id of mint.past) replaced.add(id);
    }
    return covered.filter((mint) => !replaced.has(mint.op));
  }

  /** The key of a row; undefined for one that is none of the workload's. */
  keyOf(row: { readonly namespace: number; readonly key: Uint8Array }): KeyState | undefined {
    const key = this.keys.get(utf8Decode(row.key));
    return key?.namespace === row.namespace ? key : undefined;
  }

  /** A row that told of it was rightly reaped: it may be gone without a trace. */
  mayBeReaped(key: KeyState, id: number): boolean {
    return key.mintsOf.get(id)?.some((mint) => key.forgotten.has(mint)) === true;
  }

  #wrote(node: number, row: DiskRow, old: DiskRow | undefined): void {
    const key = this.keyOf(row);
    if (key === undefined) return;
    const place = `${node}/${key.name}`;
    const before =
      old === undefined || this.rotten.has(place) ? null : decodeRecord(old.head, old.body);
    if (this.rotten.delete(place)) {
      this.#pendingOf(node).healed.push(place);
      this.#count("unreadable row written anew");
    }
    const existed = old !== undefined;
    const isWhole = before !== null;
    this.#look(node, key, row, before, { shelf: OWN_ROWS, note: NO_NOTE, existed, isWhole });
  }

  /** A stand-in stores a record for somebody else, or another row that is not to be mixed with its own. */
  #wroteAside(node: number, row: AsideRow, old: AsideRow | undefined): void {
    const key = this.keyOf(row);
    if (key === undefined) return;
    const before = old === undefined ? null : decodeRecord(old.head, old.body);
    // What its coordinator held may stand on several shelves.
    const { shelf, note } = row;
    this.#look(node, key, row, before, { shelf, note, existed: false, isWhole: false });
  }

  /** A row that was reaped, or discarded because nobody can read it. */
  #deleted(node: number, row: DiskRow): void {
    const key = this.keyOf(row);
    if (key === undefined) return;
    const place = `${node}/${key.name}`;
    if (this.rotten.delete(place)) this.#pendingOf(node).healed.push(place);
    this.#count("row deleted");
  }

  /** Every record that any disk is told: whose siblings are these, and may they be here? */
  #look(
    node: number,
    key: KeyState,
    row: DiskRow,
    before: CausalRecord | null,
    place: Place,
  ): void {
    const record = decodeRecord(row.head, row.body);
    const pending = this.#pendingOf(node);
    if (record.siblings.length > 1) this.#count("siblings");
    const { shelf, note } = place;
    pending.contexts.push({ key, context: record.context, shelf, note });
    for (const sibling of record.siblings) {
      const id = this.opOf(sibling);
      if (id < 0) {
        this.#report("phantom", `node ${node} stores a sibling of ${key.name} that nobody wrote`);
        continue;
      }
      const at = { node, start: this.startOf(node) };
      const mint = key.dots.wrote(at, row, sibling, id, record.context);
      if (mint === null) continue;
      pending.mints.push({ key, mint });
      this.#minted(key, mint, record, before, place);
    }
  }

  /** What the write that brought this dot replaces, and whether its client may have wanted that. */
  #minted(
    key: KeyState,
    mint: Mint,
    record: CausalRecord,
    before: CausalRecord | null,
    place: Place,
  ): void {
    const op = this.op(mint.op);
    const mints = key.mintsOf.get(op.id);
    if (mints === undefined) key.mintsOf.set(op.id, [mint]);
    else {
      mints.push(mint);
      const isKnown = before?.siblings.some((sibling) => this.opOf(sibling) === op.id) === true;
      if (op.repeats > 0 && !isKnown) this.#count("repeat executed again");
      else
        this.#report("duplicates", `op ${op.id} of ${key.name} was executed ${mints.length} times`);
    }
    if (op.status === "fail") {
      this.#report("honest-answers", `op ${op.id} of ${key.name} took effect after it was refused`);
    }
    if (place.existed && mint.dot.counter === 1) this.#count("new epoch on a row that existed");
    const past = this.#pastOf(key, op, mint, record, place.isWhole ? before : null);
    this.onMinted(op, key, { mint, record });
    mint.past = past;
    op.past = pastOfAll(key.mintsOf.get(op.id) ?? []);
    for (const sibling of before?.siblings ?? []) {
      const lost = this.opOf(sibling);
      const kept = record.siblings.some((other) => this.opOf(other) === lost);
      if (kept || past.has(lost) || this.#isReplacedIn(record, lost)) continue;
      this.#report(
        "unseen-replaced",
        `op ${op.id} of ${key.name} replaced op ${lost}, which its client had not seen`,
      );
    }
  }

  /** Another sibling of the record has replaced it: it came from elsewhere, and the merge dropped the older one. */
  #isReplacedIn(record: CausalRecord, id: number): boolean {
    return record.siblings.some((other) => this.ops[this.opOf(other)]?.past?.has(id) === true);
  }

  #pastOf(
    key: KeyState,
    op: Op,
    mint: Mint,
    record: CausalRecord,
    before: CausalRecord | null,
  ): ReadonlySet<number> {
    if (op.seen !== null) return op.seen;
    if (op.condition === "none" && before !== null) {
      const past = new Set<number>();
      for (const sibling of before.siblings) {
        const earlier = key.dots.of(sibling.dot);
        for (const id of earlier === undefined ? [] : [earlier.op, ...earlier.past]) past.add(id);
      }
      return past;
    }
    // Its coordinator read for it, or had a good copy of an unreadable row in its cache: what it replaces is all that its
    // context covers and that does not stand beside it.
    const past = new Set<number>();
    for (const covered of key.dots.covered(record.context)) {
      for (const id of [covered.op, ...covered.past]) past.add(id);
    }
    for (const sibling of record.siblings) past.delete(this.opOf(sibling));
    past.delete(mint.op);
    return past;
  }

  #committed(node: number): void {
    const pending = this.#pending.get(node);
    if (pending === undefined) return;
    this.#pending.delete(node);
    for (const { key, mint } of pending.mints) {
      key.dots.committed(mint);
      if (this.op(mint.op).status !== "fail") continue;
      this.#report(
        "honest-answers",
        `op ${mint.op} of ${key.name} was stored after it was refused`,
      );
    }
    for (const { key, context, shelf, note } of pending.contexts) {
      key.dots.show(context);
      for (const tell of this.onCommitted) tell(node, key, context, shelf, note);
    }
  }

  #pendingOf(node: number): Pending {
    let pending = this.#pending.get(node);
    if (pending === undefined) {
      pending = { mints: [], contexts: [], healed: [] };
      this.#pending.set(node, pending);
    }
    return pending;
  }
}

/** What a write replaces, wherever it was executed; null while it is nowhere. */
function pastOfAll(mints: readonly Mint[]): ReadonlySet<number> | null {
  return mints.length === 0 ? null : new Set(mints.flatMap((mint) => [...mint.past]));
}
