/**
 * How a node comes to a cluster (design 5, "Bootstrap"). Without `--join` and without a cluster of its own it creates one.
 * With `--join` it never does: else a list given to all nodes alike would make as many clusters as nodes.
 */
import type { ClusterId } from "../core/ids.ts";
import { parseClusterId } from "../core/ids.ts";
import type { Env } from "../env/env.ts";
import { refusal } from "./acceptor.ts";
import {
  JOIN_REFUSED_RETRY_MS,
  JOIN_RETRY_MAX_MS,
  JOIN_RETRY_MS,
  JOIN_TIMEOUT_MS,
  KNOWN_MEMBERS_MAX,
  LAYOUT_BYTES_MAX,
} from "./cluster-limits.ts";
import type { LayoutStore } from "./layout-store.ts";
import { decodeEntry, encodeEntry, type MemberEntry } from "./member-entry.ts";
import type { MemberList } from "./member-list.ts";
import {
  type MessageContext,
  type PeerChannel,
  PeerError,
  type WireFields,
} from "./peer-channel.ts";
import { BadMessageError, readArray, readBytesOrNull, readParsed } from "./wire-read.ts";

const HOLDS_DATA =
  "Cannot join: the cluster holds data, and this version changes its ring only while it is empty. " +
  "Start a new cluster with all its nodes and import the data there.";

/** What asking again will not change before somebody acts: logged as errors, and repeated slowly. */
const FINAL_REFUSALS = new Set(["cluster_holds_data", "removed", "wrong_cluster", "unauthorized"]);

export interface JoiningParts {
  readonly env: Env;
  readonly channel: PeerChannel;
  readonly layouts: LayoutStore;
  readonly members: MemberList;
  /** Addresses to ask, the own one not among them. */
  readonly seeds: readonly string[];
  readonly own: () => MemberEntry;
  readonly clusterId: () => ClusterId | undefined;
  readonly onClusterId: (clusterId: ClusterId) => void;
  /** Whether any member is known to hold a row. */
  readonly holdsData: () => boolean;
}

export class Joining {
  readonly #parts: JoiningParts;
  #nextSeed = 0;
  #nextTryMs = 0;
  #retryMs = JOIN_RETRY_MS;
  #greeted = false;

  constructor(parts: JoiningParts) {
    this.#parts = parts;
  }

  /** Asks the next seed if it is time to: until the node is a member and has once been answered. */
  async step(isMember: boolean): Promise<void> {
    const { env, seeds, members } = this.#parts;
    if (isMember && (this.#greeted || seeds.length === 0)) return;
    const nowMs = env.clock.monotonicMs();
    if (nowMs < this.#nextTryMs) return;
    // The members that are known are as good as the list, and after a move of all addresses only the list is.
    const known = [...members.others()].filter((m) => m.state === "up").map((m) => m.entry.peerUrl);
    const urls = [...seeds, ...known];
    const url = urls[this.#nextSeed++ % Math.max(1, urls.length)];
    if (url === undefined) return;
    const delayMs = await this.#ask(url);
    this.#nextTryMs = env.clock.monotonicMs() + delayMs + env.random.below(JOIN_RETRY_MS);
  }

  /** Returns how long to wait before the next request. */
  async #ask(url: string): Promise<number> {
    const { env, channel, own } = this.#parts;
    try {
      const answer = await channel.sendTo(url, "join", [encodeEntry(own())], JOIN_TIMEOUT_MS);
      this.#welcome(answer);
      this.#greeted = true;
      this.#retryMs = JOIN_RETRY_MS;
      return JOIN_RETRY_MAX_MS;
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (FINAL_REFUSALS.has(error.code)) {
        env.logger.error("join-refused", { url, code: error.code, reason: error.message });
        return JOIN_REFUSED_RETRY_MS;
      }
      env.logger.info("join-unanswered", { url, code: error.code, reason: error.message });
      const delayMs = this.#retryMs;
      this.#retryMs = Math.min(JOIN_RETRY_MAX_MS, this.#retryMs * 2);
      return delayMs;
    }
  }

  #welcome(answer: WireFields): void {
    const { env, layouts, members, clusterId, onClusterId } = this.#parts;
    const theirs = readParsed<ClusterId>(answer, 0, "join.clusterId", 32, parseClusterId);
    const document = readBytesOrNull(answer, 1, "join.layout", LAYOUT_BYTES_MAX);
    const entries = readArray(answer, 2, "join.members", KNOWN_MEMBERS_MAX + 1).map(decodeEntry);
    const mine = clusterId();
    if (mine !== undefined && mine !== theirs) {
      throw new PeerError("refused", "wrong_cluster", `This node belongs to cluster ${mine}`);
    }
    if (mine === undefined) onClusterId(theirs);
    if (document !== null) layouts.adoptEncoded(document);
    const nowMs = env.clock.monotonicMs();
    for (const entry of entries) members.merge(entry, nowMs);
  }

  /**
   * Answers `join`: [entry] -> [cluster id, layout document or null, entries]. Members ask too, after a restart, to learn
   * present addresses. @throws PeerError
   */
  answer(fields: WireFields, context: MessageContext): WireFields {
    const { env, layouts, members, own, clusterId, holdsData } = this.#parts;
    const entry = decodeEntry(fields[0]);
    if (entry.id !== context.from) throw new BadMessageError("Cannot join for another node");
    const id = clusterId();
    const known = layouts.known();
    if (id === undefined || known === undefined) {
      throw refusal("not_ready", "This node is in no cluster yet");
    }
    const isMember = known.active.member(entry.id) !== undefined;
    if (known.document.removed.includes(entry.id)) {
      const advice = "give it an empty data directory";
      throw refusal("removed", `Node ${entry.id} was removed and cannot come back: ${advice}`);
    }
    if (!isMember && entry.role === "storage" && holdsData()) {
      throw refusal("cluster_holds_data", HOLDS_DATA);
    }
    members.merge(entry, env.clock.monotonicMs());
    const entries = [own(), ...[...members.others()].map((member) => member.entry)];
    return [id, layouts.current()?.encoded ?? null, entries.map(encodeEntry)];
  }
}
