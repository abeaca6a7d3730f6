/**
 * The acceptor of single-decree Paxos (Lamport 2001, "Paxos Made Simple"), one decree for each layout version. What it
 * has promised and accepted is durable before it answers; it forgets a version only by adopting its decision.
 */
import { decode, encode } from "@msgpack/msgpack";
import type { NodeId } from "../core/ids.ts";
import type { Env } from "../env/env.ts";
import type { MetaStore } from "../env/meta-store.ts";
import { LAYOUT_BYTES_MAX } from "./cluster-limits.ts";
import { decodeLayout } from "./layout-codec.ts";
import type { AdoptedLayout, LayoutStore } from "./layout-store.ts";
import { NONCE_MAX, readNodeId } from "./member-entry.ts";
import { PeerError, type WireFields, type WireValue } from "./peer-channel.ts";
import { asFields, BadMessageError, readBytes, readInt, readString } from "./wire-read.ts";

/**
 * Ordered by round, then node, then nonce. The nonce is random for each attempt: a proposer that forgot its rounds with
 * its disk can never use one ballot for two values.
 */
export interface Ballot {
  readonly round: number;
  readonly node: NodeId;
  readonly nonce: number;
}

export function compareBallots(a: Ballot, b: Ballot): number {
  if (a.round !== b.round) return a.round - b.round;
  if (a.node !== b.node) return a.node < b.node ? -1 : 1;
  return a.nonce - b.nonce;
}

export function encodeBallot(ballot: Ballot): WireFields {
  return [ballot.round, ballot.node, ballot.nonce];
}

/** @throws BadMessageError */
export function decodeBallot(value: WireValue | undefined): Ballot {
  const fields = asFields(value, "ballot", 3);
  return {
    round: readInt(fields, 0, "ballot.round", 1, 2 ** 48),
    node: readNodeId(fields, 1, "ballot.node"),
    nonce: readInt(fields, 2, "ballot.nonce", 0, NONCE_MAX),
  };
}

export interface AcceptedValue {
  readonly ballot: Ballot;
  readonly value: Uint8Array;
}

interface AcceptorState {
  readonly version: number;
  readonly promised: Ballot;
  readonly accepted: AcceptedValue | null;
}

const STATE = "paxos/acceptor";

export class Acceptor {
  readonly #env: Env;
  readonly #meta: MetaStore;
  readonly #layouts: LayoutStore;
  readonly #self: NodeId;
  #state: AcceptorState | undefined;
  #acceptedAtMs: number;

  constructor(env: Env, meta: MetaStore, layouts: LayoutStore, self: NodeId) {
    this.#env = env;
    this.#meta = meta;
    this.#layouts = layouts;
    this.#self = self;
    const stored = meta.get(STATE);
    this.#state = stored === undefined ? undefined : decodeState(stored);
    this.#acceptedAtMs = env.clock.monotonicMs();
  }

  /**
   * [version, generation, parent, ballot] -> [accepted ballot, accepted value] or [null, null].
   * @throws PeerError `promised` with the higher ballot, and what #seat refuses.
   */
  prepare(fields: WireFields): WireFields {
    const version = this.#seat(fields);
    const ballot = decodeBallot(fields[3]);
    const state = this.#at(version);
    // The very ballot already promised is a message sent again: the answer is the same.
    if (state !== undefined && compareBallots(ballot, state.promised) < 0) throw outbid(state);
    const accepted = state?.accepted ?? null;
    this.#store({ version, promised: ballot, accepted });
    return accepted === null ? [null, null] : [encodeBallot(accepted.ballot), accepted.value];
  }

  /**
   * [version, generation, parent, ballot, value] -> []. @throws as prepare, and BadMessageError for a value that may not
   * follow on the present document: no proposer, however wrong, can have such a one decided.
   */
  accept(fields: WireFields): WireFields {
    const version = this.#seat(fields);
    const ballot = decodeBallot(fields[3]);
    const state = this.#at(version);
    if (state !== undefined && compareBallots(ballot, state.promised) < 0) throw outbid(state);
    const value = readBytes(fields, 4, "accept.value", LAYOUT_BYTES_MAX).slice();
    const fault = this.#layouts.faultAsNext(decodeLayout(value));
    if (fault !== null) throw new BadMessageError(`Cannot accept layout: ${fault}`);
    this.#store({ version, promised: ballot, accepted: { ballot, value } });
    this.#acceptedAtMs = this.#env.clock.monotonicMs();
    return [];
  }

  /** The version after the known document that a value was accepted for, 0 if none. */
  acceptedVersion(): number {
    const next = this.#layouts.version + 1;
    return this.#at(next)?.accepted ? next : 0;
  }

  /** How long ago a value was accepted that is still undecided; 0 if there is none. */
  undecidedForMs(): number {
    if (this.acceptedVersion() === 0) return 0;
    return this.#env.clock.monotonicMs() - this.#acceptedAtMs;
  }

  /** Whether this node has a say in the version asked for. @throws PeerError */
  #seat(fields: WireFields): number {
    const version = readInt(fields, 0, "paxos.version", 2, Number.MAX_SAFE_INTEGER);
    const generation = readInt(fields, 1, "paxos.generation", 0, 0xffff_ffff);
    const parent = readString(fields, 2, "paxos.parent", 64);
    const current = this.#layouts.current();
    if (current === undefined) throw refusal("not_ready", "This node has no layout yet");
    const { document } = current;
    if (generation < document.generation) throw staleLayout(current);
    if (generation > document.generation) throw refusal("behind", "A newer generation");
    if (version <= document.version) throw staleLayout(current);
    if (version > document.version + 1) throw refusal("behind", `Has ${document.version}`);
    if (parent !== current.hash) throw refusal("fork", "Another document of this version");
    if (!document.electors.includes(this.#self)) throw refusal("not_elector", "Has no vote");
    if (this.#layouts.abstainsThrough >= version) throw refusal("abstains", "May have forgotten");
    return version;
  }

  #at(version: number): AcceptorState | undefined {
    return this.#state?.version === version ? this.#state : undefined;
  }

  #store(state: AcceptorState): void {
    this.#meta.set(STATE, encodeState(state));
    this.#state = state;
  }
}

export function refusal(code: string, message: string, detail: WireValue = null): PeerError {
  return new PeerError("refused", code, message, { detail });
}

/** Carries the newer document, so that the asker can adopt it at once. */
export function staleLayout(current: AdoptedLayout): PeerError {
  return refusal("stale_layout", "Another layout version", current.encoded);
}

function outbid(state: AcceptorState): PeerError {
  return refusal("promised", "A higher ballot was promised", encodeBallot(state.promised));
}

function encodeState(state: AcceptorState): Uint8Array {
  const { version, promised, accepted } = state;
  return encode([
    version,
    encodeBallot(promised),
    accepted === null ? null : encodeBallot(accepted.ballot),
    accepted === null ? null : accepted.value,
  ]);
}

function decodeState(bytes: Uint8Array): AcceptorState {
  const fields = asFields(decode(bytes) as WireValue, "acceptor", 4);
  const value = fields[3];
  return {
    version: readInt(fields, 0, "acceptor.version", 1, Number.MAX_SAFE_INTEGER),
    promised: decodeBallot(fields[1]),
    accepted:
      value instanceof Uint8Array
        ? { ballot: decodeBallot(fields[2]), value: value.slice() }
        : null,
  };
}
