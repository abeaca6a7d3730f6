/** The background work that makes owners equal whatever they have missed, and the door for the rounds of others. */
import {
  type MessageContext,
  type MessageHandlers,
  PeerError,
  type WireFields,
} from "../cluster/peer-channel.ts";
import { readInt } from "../cluster/wire-read.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId, PartitionId } from "../core/ids.ts";
import {
  ANTI_ENTROPY_BYTES_PER_SECOND,
  ANTI_ENTROPY_INTERVAL_MS,
  ANTI_ENTROPY_ROWS_PER_SECOND,
} from "../core/limits.ts";
import { DiskFullError } from "../env/disk.ts";
import type { Worker } from "../env/worker.ts";
import type { Trees } from "../storage/trees.ts";
import {
  type AntiEntropyFigures,
  type AntiEntropyView,
  antiEntropyView,
  newAntiEntropyFigures,
} from "./anti-entropy-figures.ts";
import { Round } from "./anti-entropy-round.ts";
import { Busy } from "./busy.ts";
import type { Replication } from "./context.ts";
import { ExchangeAnswers, type ExchangeKind } from "./exchange-answers.ts";
import { Pace } from "./pace.ts";
import { RoundAborted, type RoundParts } from "./round-parts.ts";

export interface AntiEntropyOptions {
  readonly r: Replication;
  readonly trees: Trees;
  /** Of the secret that row digests are made with. */
  readonly keyId: string;
  readonly intervalMs?: number;
  readonly bytesPerSecond?: number;
  readonly rowsPerSecond?: number;
}

/** Resolves once the sender's layout is the one held here. @throws PeerError refused */
export type Admission = (layoutVersion: number, from: NodeId) => Promise<void> | null;

/** The least time between two rounds. */
const PAUSE_MIN_MS = 50;
/** While trees are being built, or nobody is there to compare with. */
const PAUSE_IDLE_MS = 500;

export class AntiEntropy {
  readonly figures: AntiEntropyFigures = newAntiEntropyFigures();
  readonly #options: AntiEntropyOptions;
  readonly #parts: RoundParts;
  readonly #answers: ExchangeAnswers;
  readonly #intervalMs: number;
  /** Peers in the order of their last rounds, the longest ago first; those not in it had none. */
  readonly #lastRounds = new Map<NodeId, number>();
  #coOwners: { readonly version: number; readonly nodes: readonly NodeId[] } = {
    version: 0,
    nodes: [],
  };
  #stopping = false;

  constructor(options: AntiEntropyOptions) {
    const { r, trees, keyId } = options;
    const { clock } = r.env;
    this.#options = options;
    this.#intervalMs = options.intervalMs ?? ANTI_ENTROPY_INTERVAL_MS;
    this.#parts = {
      r,
      trees,
      keyId,
      figures: this.figures,
      bytesPace: new Pace(clock, options.bytesPerSecond ?? ANTI_ENTROPY_BYTES_PER_SECOND),
      rowsPace: new Pace(clock, options.rowsPerSecond ?? ANTI_ENTROPY_ROWS_PER_SECOND),
      busy: new Busy(clock),
      isStopping: () => this.#stopping,
    };
    this.#answers = new ExchangeAnswers(this.#parts);
  }

  /** The round under way ends at its next message. */
  stop(): void {
    this.#stopping = true;
  }

  view(): AntiEntropyView {
    return antiEntropyView(this.figures, this.#options.trees);
  }

  handlers(admit: Admission): MessageHandlers {
    const handler =
      (kind: ExchangeKind) =>
      async (fields: WireFields, { from, diesMs }: MessageContext) => {
        const version = readInt(fields, 0, "layoutVersion", 1, Number.MAX_SAFE_INTEGER);
        const admitted = admit(version, from);
        if (admitted !== null) await admitted;
        // Records that waited here for a layout may be of a key that is reaped by now.
        if (this.#options.r.env.clock.monotonicMs() > diesMs) {
          throw new PeerError("refused", "expired", "The message is too old");
        }
        return this.#answers.answer(kind, fields, from);
      };
    return {
      treeRoots: handler("treeRoots"),
      treeSums: handler("treeSums"),
      treeRows: handler("treeRows"),
      treePull: handler("treePull"),
      treePush: handler("treePush"),
    };
  }

  worker(): Worker {
    return { name: "anti-entropy", step: () => this.#step() };
  }

  async #step(): Promise<number> {
    const { r, trees } = this.#options;
    const layout = r.membership.layout();
    if (layout?.member(r.self) === undefined || trees.shape === null) return PAUSE_IDLE_MS;
    if (r.mayBeCopy()) return PAUSE_IDLE_MS;
    const peers = this.#peers(layout);
    const peer = this.#longestAgo(peers);
    if (peer === undefined || this.#stopping || this.#parts.busy.other !== null)
      return PAUSE_IDLE_MS;
    this.#lastRounds.set(peer, r.env.clock.monotonicMs());
    const rows = await this.roundWith(peer, layout);
    // More may have been left out of the answers.
    if (rows === "busy") return PAUSE_IDLE_MS + r.env.random.below(PAUSE_IDLE_MS);
    if (rows !== "failed" && rows > 0) return PAUSE_MIN_MS;
    return Math.max(PAUSE_MIN_MS, this.#intervalMs / peers.length);
  }

  /** How many records were exchanged, or why the round did not go to its end. */
  async roundWith(peer: NodeId, layout: ActiveLayout): Promise<number | "busy" | "failed"> {
    const { r, trees } = this.#options;
    if (trees.shape === null) return "failed";
    const round = new Round(this.#parts, peer, layout, trees.shape);
    try {
      await round.run();
    } catch (error) {
      if (isBusy(error)) return "busy";
      this.figures.roundsFailed++;
      this.#gaveUp(peer, error);
      return "failed";
    }
    const { rows } = round;
    this.figures.rounds++;
    this.figures.perPeer.set(peer, { completedAtMs: Math.floor(r.env.clock.wallMs()), rows });
    if (rows > 0) r.env.logger.info("anti-entropy-exchanged", { peer, rows });
    return rows;
  }

  #gaveUp(peer: NodeId, error: unknown): void {
    const { r } = this.#options;
    if (error instanceof PeerError) {
      if (error.code === "stale_layout") r.adoptRefusal(error.detail);
      else if (error.code === "bad_message" || error.code === "other_key") {
        r.env.logger.warn("anti-entropy-refused", { peer, reason: error.message });
      }
      return;
    }
    if (error instanceof RoundAborted || error instanceof DiskFullError) return;
    throw error;
  }

  /** Members that own a unit together with this node and are believed to be there. */
  #peers(layout: ActiveLayout): readonly NodeId[] {
    const { r } = this.#options;
    if (layout.version !== this.#coOwners.version) {
      this.#coOwners = { version: layout.version, nodes: this.#coOwnersIn(layout) };
    }
    return this.#coOwners.nodes.filter((peer) => r.membership.liveness(peer) !== "down");
  }

  #coOwnersIn(layout: ActiveLayout): readonly NodeId[] {
    const { r } = this.#options;
    const peers = new Set<NodeId>();
    for (const policy of Object.keys(layout.document.policies)) {
      for (let p = 0; p < layout.partitions; p++) {
        const homes = layout.homes(policy, p as PartitionId);
        if (!homes.includes(r.self)) continue;
        for (const home of homes) if (home !== r.self) peers.add(home);
      }
    }
    for (const known of this.#lastRounds.keys()) {
      if (!peers.has(known)) this.#forget(known);
    }
    return [...peers];
  }

  #forget(peer: NodeId): void {
    this.#lastRounds.delete(peer);
    this.figures.perPeer.delete(peer);
  }

  #longestAgo(peers: readonly NodeId[]): NodeId | undefined {
    let found: NodeId | undefined;
    let foundMs = Number.POSITIVE_INFINITY;
    for (const peer of peers) {
      const lastMs = this.#lastRounds.get(peer) ?? Number.NEGATIVE_INFINITY;
      if (found !== undefined && lastMs >= foundMs) continue;
      found = peer;
      foundMs = lastMs;
    }
    return found;
  }
}

/** This node or the peer exchanges rows with another one: nothing is wrong, and it will not take long. */
function isBusy(error: unknown): boolean {
  if (error instanceof RoundAborted) return error.isBusy;
  return error instanceof PeerError && error.code === "overloaded";
}
