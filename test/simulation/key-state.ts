/** What is known of one key of a run. */
import { utf8Encode } from "../../src/core/bytes.ts";
import { DotBook, type Mint } from "./checkers/dot-reuse.ts";
import type { Report } from "./checkers/report.ts";
import type { Op } from "./history.ts";
import type { Holding } from "./holdings.ts";

/** The number of the namespace `default`. */
const DEFAULT_NAMESPACE = 1;

export interface KeyState {
  /** Unique over all namespaces. */
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Name and number: the number is known once the namespace was made. */
  readonly space: string;
  namespace: number;
  /** The namespace's own answer for those who do not say: only home replicas count. */
  readonly isStrict: boolean;
  /** What rows that were reaped, and entries of contexts that were compacted, had told of: no context need cover it any more. */
  readonly forgotten: Set<Mint>;
  /** Homes that count without what they had acknowledged, and when there was one last (weak-homes.ts). */
  readonly weakHomes: Set<number>;
  weakUntilMs: number;
  /** Home replicas, by node number: they never change in this floor of the simulator. */
  homes: readonly number[];
  readonly dots: DotBook;
  /** Every committed row and hint of it, oldest first. */
  readonly holdings: Holding[];
  /** Acknowledged writes, and those that a majority of the homes had stored, in the order of their answers. */
  readonly acked: Op[];
  readonly strong: Op[];
  /** The dots of a write; one, unless something is wrong. */
  readonly mintsOf: Map<number, Mint[]>;
}

export function newKeyState(
  name: string,
  space: { readonly name: string; readonly isStrict: boolean },
  report: Report,
): KeyState {
  return {
    name,
    bytes: utf8Encode(name),
    space: space.name,
    namespace: DEFAULT_NAMESPACE,
    isStrict: space.isStrict,
    weakHomes: new Set(),
    weakUntilMs: Number.NEGATIVE_INFINITY,
    forgotten: new Set(),
    homes: [],
    dots: new DotBook(name, report),
    holdings: [],
    acked: [],
    strong: [],
    mintsOf: new Map(),
  };
}

/** The write was executed twice. */
export function isDoubled(key: KeyState, op: number): boolean {
  return (key.mintsOf.get(op)?.length ?? 0) > 1;
}

/** At some moment since it began, the operation may have met a home that counted without what it had acknowledged. */
export function metWeakHome(key: KeyState, op: Op): boolean {
  return key.weakHomes.size > 0 || key.weakUntilMs >= op.startMs;
}
