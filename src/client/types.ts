/** The client's requests and answers. Options are named as in api.md. */

export type ConsistencyName = "one" | "local-quorum" | "quorum" | "each-quorum" | "all";
export type ConflictName = "majority" | "latest" | "siblings";

/** Retries and failover stay inside `timeoutMs`. */
export interface CallOptions {
  readonly namespace?: string | undefined;
  /** For the whole call, in ms. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ReadOptions extends CallOptions {
  readonly consistency?: ConsistencyName | undefined;
  /** Replicas that must answer; instead of `consistency`. */
  readonly r?: number | undefined;
  readonly sloppy?: boolean | undefined;
  readonly conflict?: ConflictName | undefined;
}

export interface WriteOptions extends CallOptions {
  readonly consistency?: ConsistencyName | undefined;
  /** Replicas that must acknowledge; instead of `consistency`. */
  readonly w?: number | undefined;
  readonly sloppy?: boolean | undefined;
  /** What this write has seen: the context of an earlier answer. Without it the write is blind. */
  readonly context?: string | undefined;
  readonly ifMatch?: string | undefined;
  readonly ifNoneMatch?: string | undefined;
  /** Up to 64 bytes. Makes the write safe to repeat, so the client retries it. */
  readonly idempotencyKey?: string | undefined;
}

export interface PutOptions extends WriteOptions {
  /** Seconds from now, fractions allowed; 0 for never. */
  readonly ttl?: number | undefined;
  /** Unix seconds; instead of `ttl`. */
  readonly expires?: number | undefined;
  readonly contentType?: string | undefined;
  /** Anything JSON can hold, up to 1024 bytes as JSON. */
  readonly metadata?: unknown;
}

/** One live value. */
export interface GyreValue {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly contentType: string;
  /** Undefined for none. */
  readonly metadata: unknown;
  /** Unix seconds; null for never. */
  readonly expires: number | null;
}

export type GetResult =
  | {
      readonly status: "found";
      readonly value: GyreValue;
      readonly etag: string;
      readonly context: string | null;
      /** Live siblings of the record, of which the conflict policy chose this one. */
      readonly siblings: number;
    }
  /** `context` is there when the key was deleted or has expired: a put that carries it replaces the tombstone. */
  | { readonly status: "missing"; readonly context: string | null }
  /** Two or more live values, none of them chosen: only with the conflict policy `siblings`. */
  | {
      readonly status: "siblings";
      readonly values: readonly GyreValue[];
      readonly context: string | null;
    };

export interface WriteResult {
  /** Null when the record then held other siblings, too: get it before the next put. */
  readonly context: string | null;
  readonly etag: string | null;
  readonly siblings: number;
}

export interface ListOptions extends CallOptions {
  readonly prefix?: string | undefined;
  /** Inclusive. */
  readonly start?: string | undefined;
  /** Exclusive. */
  readonly end?: string | undefined;
  readonly reverse?: boolean | undefined;
  /** Keys a page, 1 to 1000. */
  readonly limit?: number | undefined;
  readonly cursor?: string | undefined;
  readonly conflict?: ConflictName | undefined;
}

export interface ListedKey {
  readonly name: string;
  /** Unix seconds. */
  readonly expiration?: number;
  readonly metadata?: unknown;
  /** Bytes of the value. */
  readonly size: number;
}

export interface ListPage {
  readonly keys: readonly ListedKey[];
  readonly complete: boolean;
  readonly cursor?: string;
}

export type BatchOperation =
  | { readonly op: "get"; readonly key: string }
  | {
      readonly op: "put";
      readonly key: string;
      /** Base64. */
      readonly value: string;
      readonly ttl?: number;
      readonly expires?: number;
      readonly metadata?: unknown;
      readonly contentType?: string;
      readonly context?: string;
    }
  | { readonly op: "delete"; readonly key: string; readonly context?: string };

/** In the order of the operations; `status` equals that of the single call. */
export interface BatchResult {
  readonly status: number;
  /** Base64. */
  readonly value?: string;
  readonly context?: string;
  readonly metadata?: unknown;
  readonly contentType?: string;
  /** Unix seconds. */
  readonly expires?: number;
  /** The problem document of the single call. */
  readonly error?: Readonly<Record<string, unknown>>;
}

export interface BatchOptions extends CallOptions {
  readonly consistency?: ConsistencyName | undefined;
  readonly conflict?: ConflictName | undefined;
  readonly sloppy?: boolean | undefined;
}
