/**
 * The peer protocol's message kinds and the typed way to send one. The envelope (authentication, cluster id, batching,
 * msgpack) is made by peer-client.ts and peer-server.ts; the fields of each kind are encoded and validated by the module
 * that owns the kind. docs/protocol.md holds the grammar.
 */
import type { NodeId } from "../core/ids.ts";

/** Numbers go over the wire: never reuse or renumber one. */
export const MESSAGE_KINDS = {
  write: 1,
  read: 2,
  forward: 3,
  scan: 4,
  hint: 6,
  hints: 7,
  held: 8,
  introduce: 12,
  gossip: 16,
  probe: 17,
  join: 18,
  layout: 19,
  freeze: 20,
  prepare: 21,
  accept: 22,
  decided: 23,
  settings: 24,
  propose: 25,
  treeRoots: 32,
  treeSums: 33,
  treeRows: 34,
  treePull: 35,
  treePush: 36,
  reapAsk: 48,
  reapDo: 49,
  horizons: 50,
  restored: 51,
  actorSeen: 52,
} as const;

export type MessageKind = keyof typeof MESSAGE_KINDS;

/** What @msgpack/msgpack can carry. Bytes in decoded messages are views of the request: copy what is kept. */
export type WireValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly WireValue[]
  | { readonly [name: string]: WireValue };

/** A message or an answer: an array of fields, by position. */
export type WireFields = readonly WireValue[];

/**
 * `unreachable`: certainly not executed. `timeout`: may have been executed. `refused`: the peer answered that it did
 * not execute, with a stable code such as `stale_layout`, `not_home`, `overloaded`, `disk_full`, `not_ready`,
 * `bad_message`, `wrong_cluster`, `unauthorized`.
 */
export class PeerError extends Error {
  override readonly name = "PeerError";
  readonly outcome: "unreachable" | "timeout" | "refused";
  readonly code: string;
  /** What a refusal carries, such as the newer layout document for `stale_layout`. */
  readonly detail: WireValue;
  constructor(
    outcome: PeerError["outcome"],
    code: string,
    message: string,
    options?: { cause?: unknown; detail?: WireValue },
  ) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.outcome = outcome;
    this.code = code;
    this.detail = options?.detail ?? null;
  }
}

export interface SendOptions {
  /** Travels with the message: the peer drops work whose time is over. */
  readonly timeoutMs: number;
  /**
   * `batch`: shares one HTTP request with all that waits for this peer; for messages answered from memory and disk at
   * once. `direct`: a request of its own; for messages that wait for others (forward, propose) or must not queue (probe).
   */
  readonly lane: "batch" | "direct";
  /**
   * How long an idle batch lane waits for company. `jobs` (the default): for the promise jobs that run now, since all
   * fan-outs of one commit begin in the jobs that follow it. `turn`: for the end of the event-loop turn, for messages
   * sent as requests come in, each in a callback of its own.
   */
  readonly gather?: "jobs" | "turn";
}

/** Sends one message to a member and returns the fields of its answer. */
export interface PeerChannel {
  /** @throws PeerError and nothing else. */
  send(
    node: NodeId,
    kind: MessageKind,
    fields: WireFields,
    options: SendOptions,
  ): Promise<WireFields>;
  /** To an address whose node id is not known yet (join, bootstrap). @throws PeerError */
  sendTo(
    url: string,
    kind: MessageKind,
    fields: WireFields,
    timeoutMs: number,
  ): Promise<WireFields>;
}

export interface MessageContext {
  /** Authenticated sender. */
  readonly from: NodeId;
  /** Milliseconds left of the sender's deadline when the message arrived. */
  readonly timeoutMs: number;
  /** Monotonic time here after which it must not be acted upon: D after it began, see MESSAGE_LIFE_MS. */
  readonly diesMs: number;
}

/**
 * Answers one message. To refuse, throw a PeerError with outcome "refused"; a field of the wrong shape is refused with
 * code `bad_message` (BadMessageError in wire-read.ts). Anything else thrown is a bug and is answered `internal`.
 */
export type MessageHandler = (
  fields: WireFields,
  context: MessageContext,
) => Promise<WireFields> | WireFields;

export type MessageHandlers = Partial<Record<MessageKind, MessageHandler>>;
