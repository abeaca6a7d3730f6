/**
 * Dotted version vector sets: the types (Preguica et al., "Dotted Version Vectors", 2010; Almeida et al., "Scalable and
 * Accurate Causality Tracking for Eventually Consistent Stores", 2014). The algebra is in context.ts and record.ts.
 */
import type { ActorId } from "./ids.ts";

/** One write event. (actor, epoch) is the column of the vector, counter its position, 1 and up. At most 2^48. */
export interface Dot {
  readonly actor: ActorId;
  readonly epoch: number;
  readonly counter: number;
}

/**
 * A causal context: a version vector. Entry (a, e, n) says that all dots (a, e, 1..n) have been seen. Sorted by
 * (actor, epoch), each column at most once, counters of 1 and up: equal contexts are equal arrays.
 */
export type Context = readonly Dot[];

/** Hybrid logical time in microseconds since 1970, an integer below 2^53 (Kulkarni et al. 2014, one number here). */
export type Stamp = number;

/** What one put or delete left behind. Immutable once its dot exists: one dot, one value. */
export interface Sibling {
  readonly dot: Dot;
  readonly stamp: Stamp;
  /** A tombstone has an empty value, no content type and no metadata. */
  readonly deleted: boolean;
  /** `null` when only the head was fetched (digest read); never null in a stored record. */
  readonly value: Uint8Array | null;
  readonly valueBytes: number;
  /** Lets a value be verified apart from the head, and two records be compared without their values. */
  readonly valueHash: { readonly hi: number; readonly lo: number };
  readonly contentType: string;
  /** JSON text as given by the client, or "" for none. */
  readonly metadata: string;
  /** Absolute, milliseconds since 1970; 0 for never. Part of the version: set once, never judged inside hashes. */
  readonly expiresAtMs: number;
  /** The put's own write quorum and whether it allowed stand-ins: what the `majority` policy needs to out-vote it. */
  readonly writeQuorum: number;
  readonly sloppy: boolean;
  /** 128-bit digests (as 16-character byte strings) of the Idempotency-Key and of the body; "" for none. */
  readonly idempotencyKey: string;
  readonly bodyDigest: string;
}

/** What a node holds for a key. Siblings are sorted by dot and each is covered by the context. */
export interface CausalRecord {
  readonly context: Context;
  readonly siblings: readonly Sibling[];
}
