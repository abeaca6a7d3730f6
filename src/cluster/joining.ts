/**
 * How a node comes to a cluster (design 5, "Bootstrap"). Without `--join` and without a cluster of its own it creates one.
 * With `--join` it never does: else a list given to all nodes alike would make as many clusters as nodes.
 */
import type { ClusterId } from "../core/ids.ts";
import { parseClusterId } from "../core/ids.ts";
import type { Env } from "../env/env.ts";
import { refusal } from "./acceptor.ts";
import {
  JOIN_ADDRESSES_MAX,
  JOIN_REFUSED_RETRY_MS,
  JOIN_RETRY_MAX_MS,
  JOIN_RETRY_MS,
  JOIN_TIMEOUT_MS,
  KNOWN_MEMBERS_MAX,
  LAYOUT_BYTES_MAX,
} from "./cluster-limits.ts";
import type { LayoutStore } from "./layout-store.ts";
import { LogLimiter } from "./log-limiter.ts";
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

type Outcome = "welcome" | "refused" | "unanswered";

export class Joining {
  readonly #parts: JoiningParts;
  readonly #logLimiter: LogLimiter;
  #nextSeed = 0;
  #nextTryMs = 0;
  #retryMs = JOIN_RETRY_MS;
  #greeted = false;

  constructor(parts: JoiningParts) {
    this.#parts = parts;
    this.#logLimiter = new LogLimiter(parts.env.clock);
  }

  /** A member has nobody to ask any more. */
  get isDone(): boolean {
    return this.#greeted || this.#parts.seeds.length === 0;
  }

  /**
   * Asks the addresses, all at once, if it is time to: until the node is a member and has once been answered. One after
   * another would take many rounds to find the first node of a new cluster among others that wait for it as well.
   */
  async step(isMember: boolean): Promise<void> {
    const { env } = this.#parts;
    if (isMember && this.isDone) return;
    if (env.clock.monotonicMs() < this.#nextTryMs) return;
    const urls = this.#round();
    if (urls.length === 0) return;
    const delayMs = this.#delayAfter(await this.#askAll(urls));
    this.#nextTryMs = env.clock.monotonicMs() + delayMs + env.random.below(JOIN_RETRY_MS);
  }

  /** The members that are known are as good as the list, and after a move of all addresses only the list is. */
  #round(): string[] {
    const { seeds, members } = this.#parts;
    const known = [...members.others()].filter((m) => m.state === "up").map((m) => m.entry.peerUrl);
    const urls = [...new Set([...seeds, ...known])];
    if (urls.length <= JOIN_ADDRESSES_MAX) return urls;
    const first = this.#nextSeed % urls.length;
    this.#nextSeed = first + JOIN_ADDRESSES_MAX;
    return [...urls, ...urls].slice(first, first + JOIN_ADDRESSES_MAX);
  }

  /** Resolves with the first welcome, whatever the others may still say, or when nobody is left who could give one. */
  #askAll(urls: readonly string[]): Promise<Outcome> {
    return new Promise((resolve, reject) => {
      let open = urls.length;
      let isRefused = true;
      for (const url of urls) {
        this.#ask(url).then((outcome) => {
          open--;
          if (outcome !== "refused") isRefused = false;
          if (outcome === "welcome") resolve(outcome);
          else if (open === 0) resolve(isRefused ? "refused" : "unanswered");
        }, reject);
      }
    });
  }

  #delayAfter(outcome: Outcome): number {
    if (outcome === "refused") return JOIN_REFUSED_RETRY_MS;
    if (outcome === "welcome") {
      this.#greeted = true;
      this.#retryMs = JOIN_RETRY_MS;
      return JOIN_RETRY_MAX_MS;
    }
    const delayMs = this.#retryMs;
    this.#retryMs = Math.min(JOIN_RETRY_MAX_MS, Math.ceil((this.#retryMs * 5) / 4));
    return delayMs;
  }

  async #ask(url: string): Promise<Outcome> {
    const { env, channel, own } = this.#parts;
    try {
      this.#welcome(await channel.sendTo(url, "join", [encodeEntry(own())], JOIN_TIMEOUT_MS));
      return "welcome";
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      const { code, message } = error;
      const isFinal = FINAL_REFUSALS.has(code);
      if (this.#logLimiter.allow(`${url} ${code}`)) {
        if (isFinal) env.logger.error("join-refused", { url, code, reason: message });
        else env.logger.info("join-unanswered", { url, code, reason: message });
      }
      return isFinal ? "refused" : "unanswered";
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
