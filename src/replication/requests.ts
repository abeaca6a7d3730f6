/** The typed requests that http hands down and the outcomes it gets back. Nothing here is HTTP. */

import type { ConflictPolicy } from "../core/conflict.ts";
import type { Consistency } from "../core/consistency.ts";
import type { Key } from "../core/key.ts";
import type { NamespaceEntry } from "../core/layout.ts";
import type { AckCounts } from "../core/quorum.ts";
import type { Session, SessionDemand } from "../core/session.ts";
import type { CausalRecord, Context, Dot, Sibling, Stamp } from "../core/version.ts";

interface KeyRequest {
  readonly key: Key;
  readonly namespace: NamespaceEntry;
  readonly consistency: Consistency;
  readonly sloppy: boolean;
  /** Time left for the whole request, in ms. */
  readonly timeoutMs: number;
  /** What the request's session must not miss; null without one. */
  readonly session: SessionDemand | null;
}

export interface GetRequest extends KeyRequest {
  readonly conflict: ConflictPolicy;
}

/** ETags without weak ones; `any` is `*`. */
export type EntityTags = { readonly any: true } | { readonly tags: readonly string[] };

export interface PutRequest extends KeyRequest {
  /** A delete is a put of a tombstone: empty value, "" content type, "" metadata. */
  readonly deleted: boolean;
  readonly value: Uint8Array;
  readonly contentType: string;
  readonly metadata: string;
  readonly expiresAtMs: number;
  /** What the client has seen; null for a blind write. */
  readonly context: { readonly entries: Context; readonly newestStamp: Stamp } | null;
  readonly ifMatch: EntityTags | null;
  readonly ifNoneMatch: EntityTags | null;
  /** How the conditional read resolves siblings. */
  readonly conflict: ConflictPolicy;
  readonly idempotencyKey: string;
  readonly bodyDigest: string;
}

/** Why a request could not be answered as asked. Writes after the first replica started are `indeterminate`. */
export type Failure =
  | {
      readonly status: "quorum-not-reached";
      readonly acks: AckCounts;
      readonly needed: number;
      readonly indeterminate: boolean;
    }
  /** Enough replicas answered, but what the session has seen of the key is at none of them. Nothing was stored. */
  | { readonly status: "session-not-reached"; readonly acks: AckCounts }
  | { readonly status: "not-formed" | "overloaded" | "disk-full" | "namespace-not-found" }
  | { readonly status: "too-many-siblings"; readonly siblings: number }
  | { readonly status: "precondition-failed"; readonly etag: string | null }
  | { readonly status: "idempotency-mismatch" }
  /** r or w above what the policy asks for (400), or above the owners that exist now (503). */
  | { readonly status: "count-above-policy"; readonly asked: number; readonly copies: number }
  | { readonly status: "count-above-owners"; readonly asked: number; readonly owners: number };

export interface GetFound {
  readonly status: "ok";
  /** The merged record, its losing siblings without values perhaps; null when no replica held the key. */
  readonly record: CausalRecord | null;
  /** What the conflict policy answers with: one for majority and latest, all live ones for siblings; [] is 404. */
  readonly chosen: readonly Sibling[];
  /** Live (neither deleted nor expired) siblings of the merged record. */
  readonly liveSiblings: number;
  readonly deletedSiblings: number;
  readonly acks: AckCounts;
}

export type GetOutcome = GetFound | Failure;

export interface PutDone {
  readonly status: "ok";
  readonly dot: Dot;
  readonly stamp: Stamp;
  /** Present only if the record as committed by this put had exactly one sibling, the new one. */
  readonly context: { readonly entries: Context; readonly newestStamp: Stamp } | null;
  /** Live siblings of the record as this put left it. */
  readonly liveSiblings: number;
  readonly acks: AckCounts;
  readonly etag: string;
}

export type PutOutcome = PutDone | Failure;

export interface ListRequest {
  readonly namespace: NamespaceEntry;
  /** Inclusive and exclusive bounds as UTF-8; a prefix has been turned into bounds. */
  readonly start: Uint8Array;
  readonly end: Uint8Array | null;
  readonly reverse: boolean;
  readonly limit: number;
  readonly conflict: ConflictPolicy;
  readonly timeoutMs: number;
  /** Keys that it has seen are listed as it has seen them, or newer; null without one. */
  readonly session: Session | null;
}

export interface ListedKey {
  readonly name: string;
  readonly expiresAtMs: number;
  readonly metadata: string;
  readonly valueBytes: number;
}

export type ListOutcome =
  | {
      readonly status: "ok";
      readonly keys: readonly ListedKey[];
      readonly complete: boolean;
      /** The last key looked at: where the next page goes on (exclusive); null when complete. */
      readonly lastKey: Uint8Array | null;
    }
  | Failure;

/** One owner's view of a key, for explain. */
export interface OwnerView {
  readonly id: string;
  readonly region: string;
  readonly state: "up" | "suspect" | "down";
  readonly siblings:
    | readonly {
        readonly dot: string;
        readonly stamp: number;
        readonly bytes: number;
        readonly deleted: boolean;
      }[]
    | null;
  readonly context?: string;
  readonly error?: string;
}

export interface Explanation {
  readonly partition: number;
  readonly owners: readonly OwnerView[];
  readonly fallbacks: readonly string[];
  readonly hints: readonly { readonly at: string; readonly for: string }[];
}

/** The whole of what http may ask for. Implemented by coordinator.ts. No method rejects for an expected outcome. */
export interface KeyValueService {
  /** At once when this node alone can answer, without a promise. */
  get(request: GetRequest): GetOutcome | Promise<GetOutcome>;
  put(request: PutRequest): Promise<PutOutcome>;
  list(request: ListRequest): Promise<ListOutcome>;
  explain(key: Key, namespace: NamespaceEntry, timeoutMs: number): Promise<Explanation>;
}
