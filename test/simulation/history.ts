/** What clients did and were told. A timeout or a 503 is `info`: it may have taken effect or may yet; only a certain refusal is
 * `fail` (research/reliability.md 2.0). */

export type OpKind = "put" | "delete" | "get" | "list";
export type OpStatus = "pending" | "ok" | "fail" | "info";

export type Condition = "none" | "match" | "create";

/** One write or read of one key; a batch is as many of them. Also the identity (vid) of the value a write brings. */
export interface Op {
  readonly id: number;
  readonly kind: OpKind;
  readonly key: string;
  readonly node: number;
  readonly startMs: number;
  /** The query of the call, such as `consistency=all`. */
  readonly terms: string;
  /** What the client has seen of the key: ids of writes, from the answer that its context came with. Null for blind. */
  readonly seen: ReadonlySet<number> | null;
  /** `If-Match` or `If-None-Match: *` without a context: the coordinator's own read decides what it replaces. */
  readonly condition: Condition;
  /** The writes whose values its If-Match takes for the present ones. */
  matched: readonly number[];
  /** How long the value that it brings is to live; 0 for as long as nobody replaces it. */
  ttlMs: number;
  /** Replicas that must answer, 0 where that is not known. */
  readonly needed: number;
  /** Only home replicas count, on either side. */
  readonly strict: boolean;
  /** How many strongly acknowledged writes of the key there were when a read began. */
  readonly mark: number;
  endMs: number;
  status: OpStatus;
  httpStatus: number;
  /** The ids of all writes that this one replaces, whoever wrote them, by any of its dots: known once one is minted. */
  past: ReadonlySet<number> | null;
  /** Home replicas, and stand-ins, that had made it durable before it was acknowledged. */
  acks: number;
  fallbacks: number;
  /** It was sent again under its Idempotency-Key: a coordinator that has not met it executes it once more. */
  repeats: number;
}

/** Values name their write, so that a checker can tell whose they are: `v<id>:` and padding. */
export function valueText(id: number, bytes: number): string {
  return `v${id}:`.padEnd(bytes, "x");
}

/** The write behind a value, -1 when no write of a run can have stored it. */
export function idOfValue(text: string): number {
  const id = /^v(\d+):x*$/.exec(text)?.[1];
  return id === undefined ? -1 : Number(id);
}

export function idempotencyKeyOf(id: number): string {
  return `op-${id}`;
}
