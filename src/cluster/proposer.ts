/** The proposer of single-decree Paxos: gets one document decided as the successor of the present one. */

import { equalBytes } from "../core/bytes.ts";
import type { NodeId } from "../core/ids.ts";
import type { LayoutDocument } from "../core/layout.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import { sleep } from "../env/worker.ts";
import {
  type AcceptedValue,
  type Acceptor,
  type Ballot,
  compareBallots,
  decodeBallot,
  encodeBallot,
} from "./acceptor.ts";
import {
  BALLOT_BACKOFF_MAX_MS,
  BALLOT_BACKOFF_MS,
  ELECTOR_TIMEOUT_MS,
  LAYOUT_BYTES_MAX,
} from "./cluster-limits.ts";
import { encodeLayout } from "./layout-codec.ts";
import type { AdoptedLayout, LayoutStore } from "./layout-store.ts";
import { type PeerChannel, PeerError, type WireFields } from "./peer-channel.ts";
import { readBytesOrNull } from "./wire-read.ts";

export interface ProposerParts {
  readonly env: Env;
  readonly channel: PeerChannel;
  readonly self: NodeId;
  readonly layouts: LayoutStore;
  readonly acceptor: Acceptor;
  /** Sends a decided document to everybody whom it may concern; gossip brings it to the rest. */
  readonly announce: (adopted: AdoptedLayout) => void;
}

/** `chosen`: the given document. `other`: another one of that version or a later one. `unavailable`: nothing known. */
export type Decision = "chosen" | "other" | "unavailable";

/** What one attempt has learned. */
type Attempt =
  | { readonly status: "decided"; readonly value: Uint8Array }
  | { readonly status: "outbid"; readonly round: number }
  | { readonly status: "overtaken" | "no-majority" };

export class Proposer {
  readonly #parts: ProposerParts;
  #stopped = false;
  /** The highest round seen anywhere, so that the next attempt outbids it. */
  #round = 0;

  constructor(parts: ProposerParts) {
    this.#parts = parts;
  }

  /** Decisions under way end `unavailable` at their next pause. */
  stop(): void {
    this.#stopped = true;
  }

  /**
   * Runs ballots until the version of `next` is decided, whatever is decided, or the deadline (monotonic) has passed.
   * REQUIRES: `next` follows on the present document. After `unavailable` it may still be decided later by another.
   */
  async decide(next: LayoutDocument, deadlineMs: number): Promise<Decision> {
    const { env, layouts, announce } = this.#parts;
    const own = encodeLayout(next);
    for (let losses = 0; ; losses++) {
      const current = layouts.current();
      if (current === undefined) return "unavailable";
      if (current.document.version + 1 !== next.version) return "other";
      const attempt = await this.#attempt(current, own);
      if (attempt.status === "decided") {
        if (!this.#adopt(attempt.value)) return "unavailable";
        const decided = layouts.current();
        if (decided !== undefined) announce(decided);
        return equalBytes(attempt.value, own) ? "chosen" : "other";
      }
      if (attempt.status === "outbid") this.#round = Math.max(this.#round, attempt.round);
      if (layouts.version >= next.version) return "other";
      const limitMs = Math.min(
        BALLOT_BACKOFF_MAX_MS,
        BALLOT_BACKOFF_MS * (1 << Math.min(losses, 8)),
      );
      const pauseMs = 1 + env.random.below(limitMs);
      if (this.#stopped || env.clock.monotonicMs() + pauseMs >= deadlineMs) return "unavailable";
      await sleep(env.clock, pauseMs);
    }
  }

  /** False on a full disk: the document is decided, but this node cannot hold it yet, and so does not vouch for it. */
  #adopt(value: Uint8Array): boolean {
    const { env, layouts } = this.#parts;
    try {
      layouts.adoptEncoded(value);
      return true;
    } catch (error) {
      if (!(error instanceof DiskFullError)) throw error;
      env.logger.error("layout-not-adopted", { reason: error.message });
      return false;
    }
  }

  async #attempt(current: AdoptedLayout, own: Uint8Array): Promise<Attempt> {
    const { env, self } = this.#parts;
    this.#round++;
    const ballot: Ballot = { round: this.#round, node: self, nonce: env.random.below(2 ** 32) };
    const { version, generation } = current.document;
    const question = [version + 1, generation, current.hash, encodeBallot(ballot)];
    const promises = await this.#majority(current, "prepare", question);
    if (promises.status !== "answered") return promises;
    let best: AcceptedValue | null = null;
    for (const fields of promises.answers) {
      const accepted = readPromise(fields);
      if (accepted === null) continue;
      if (best === null || compareBallots(accepted.ballot, best.ballot) > 0) best = accepted;
    }
    // Somebody's value may already be chosen: only the one of the highest ballot can be.
    const value = best?.value ?? own;
    const accepts = await this.#majority(current, "accept", [...question, value]);
    return accepts.status === "answered" ? { status: "decided", value } : accepts;
  }

  /** Asks every elector at once; resolves as soon as the outcome is certain. */
  #majority(
    current: AdoptedLayout,
    kind: "prepare" | "accept",
    fields: WireFields,
  ): Promise<Phase> {
    const { electors } = current.document;
    const needed = Math.floor(electors.length / 2) + 1;
    return new Promise((resolve) => {
      const answers: WireFields[] = [];
      let silent = 0;
      let highest = 0;
      for (const elector of electors) {
        void this.#ask(current, elector, kind, fields).then((answer) => {
          if (answer.status === "answered") answers.push(answer.fields);
          else silent++;
          if (answer.status === "overtaken") resolve({ status: "overtaken" });
          if (answer.status === "outbid") highest = Math.max(highest, answer.round);
          if (answers.length >= needed) resolve({ status: "answered", answers });
          if (silent <= electors.length - needed) return;
          resolve(highest > 0 ? { status: "outbid", round: highest } : { status: "no-majority" });
        });
      }
    });
  }

  async #ask(
    current: AdoptedLayout,
    elector: NodeId,
    kind: "prepare" | "accept",
    fields: WireFields,
  ): Promise<ElectorAnswer> {
    const { layouts } = this.#parts;
    try {
      return await this.#call(elector, kind, fields);
    } catch (error) {
      // Asked at most twice: an elector that lags behind gets the document first.
      const refused = error instanceof PeerError ? error : undefined;
      if (refused?.code === "behind") return this.#askAfterCatchUp(current, elector, kind, fields);
      return this.#readRefusal(error, () => {
        const detail = refused?.detail;
        return detail instanceof Uint8Array && layouts.adoptEncoded(detail);
      });
    }
  }

  async #askAfterCatchUp(
    current: AdoptedLayout,
    elector: NodeId,
    kind: "prepare" | "accept",
    fields: WireFields,
  ): Promise<ElectorAnswer> {
    try {
      const { channel } = this.#parts;
      const options = { timeoutMs: ELECTOR_TIMEOUT_MS, lane: "direct" } as const;
      await channel.send(elector, "decided", [current.encoded, []], options);
      return await this.#call(elector, kind, fields);
    } catch (error) {
      return this.#readRefusal(error, () => false);
    }
  }

  #readRefusal(error: unknown, adoptDetail: () => boolean): ElectorAnswer {
    const { env } = this.#parts;
    try {
      if (!(error instanceof PeerError)) throw error;
      if (error.code === "stale_layout" && adoptDetail()) return { status: "overtaken" };
      if (error.code === "promised") {
        return { status: "outbid", round: decodeBallot(error.detail).round };
      }
    } catch (fault) {
      env.logger.error("elector-answer-unreadable", { error: String(fault) });
      return { status: "silent" };
    }
    env.logger.debug("elector-silent", { error: String(error) });
    return { status: "silent" };
  }

  /** The own vote takes no network, but it is as durable and as strict as the others'. @throws PeerError */
  async #call(
    elector: NodeId,
    kind: "prepare" | "accept",
    fields: WireFields,
  ): Promise<ElectorAnswer> {
    const { self, acceptor, channel } = this.#parts;
    if (elector === self) return { status: "answered", fields: acceptor[kind](fields) };
    const options = { timeoutMs: ELECTOR_TIMEOUT_MS, lane: "direct" } as const;
    const answer = await channel.send(elector, kind, fields, options);
    // An unreadable promise is no promise.
    if (kind === "prepare") readPromise(answer);
    return { status: "answered", fields: answer };
  }
}

/** What the elector had accepted when it promised. @throws BadMessageError */
function readPromise(fields: WireFields): AcceptedValue | null {
  const value = readBytesOrNull(fields, 1, "prepare.value", LAYOUT_BYTES_MAX);
  return value === null ? null : { ballot: decodeBallot(fields[0]), value: value.slice() };
}

/** What a majority said in one phase of a ballot, or why there was none. */
type Phase =
  | { readonly status: "answered"; readonly answers: readonly WireFields[] }
  | Exclude<Attempt, { status: "decided" }>;

type ElectorAnswer =
  | { readonly status: "answered"; readonly fields: WireFields }
  | { readonly status: "outbid"; readonly round: number }
  | { readonly status: "overtaken" | "silent" };
