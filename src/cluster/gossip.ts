/** Push-pull exchange of the member list, and of how new the layout and the settings are (design 5). */
import type { NodeId } from "../core/ids.ts";
import type { Env } from "../env/env.ts";
import type { ClockWatch } from "./clock-watch.ts";
import {
  DEAD_CALL_ONE_IN,
  FULL_DIGEST_INTERVAL_MS,
  GOSSIP_FANOUT,
  GOSSIP_RECENT_ENTRIES,
  GOSSIP_TIMEOUT_MS,
  KNOWN_MEMBERS_MAX,
  SETTINGS_DIGEST_BYTES,
} from "./cluster-limits.ts";
import {
  compareLiveliness,
  decodeEntry,
  encodeEntry,
  type Liveliness,
  type MemberEntry,
  readLiveliness,
  readNodeId,
} from "./member-entry.ts";
import type { Member, MemberList } from "./member-list.ts";
import type { PeerChannel, WireFields, WireValue } from "./peer-channel.ts";
import type { Suspicion } from "./suspicion.ts";
import { asFields, readArray, readBytes, readInt } from "./wire-read.ts";

/** How new a node's documents are: travels in every gossip message. */
export interface Freshness {
  readonly generation: number;
  readonly version: number;
  readonly settingsDigest: Uint8Array;
}

/** Where wall clocks end, in ms since 1970. */
const WALL_MS_MAX = Number.MAX_SAFE_INTEGER;

export interface GossipParts {
  readonly env: Env;
  readonly channel: PeerChannel;
  readonly members: MemberList;
  readonly suspicion: Suspicion;
  readonly clocks: ClockWatch;
  readonly self: NodeId;
  readonly intervalMs: number;
  /** The own entry; `bump` raises its counter first. */
  readonly own: (bump: boolean) => MemberEntry;
  readonly freshness: () => Freshness;
  /** A peer has told how new its documents are. `asked`: this node called it, and not the other way round. */
  readonly onFreshness: (from: NodeId, theirs: Freshness, asked: boolean) => void;
}

export class Gossip {
  readonly #parts: GossipParts;
  readonly #calling = new Set<NodeId>();
  #nextFullMs = 0;
  #rounds = 0;
  #lastGoodRound = 0;

  constructor(parts: GossipParts) {
    this.#parts = parts;
  }

  /** One round: starts the exchanges and does not wait for them, so that one slow peer delays nobody else. */
  round(): number {
    const { env, own, intervalMs } = this.#parts;
    own(true);
    this.#rounds++;
    const nowMs = env.clock.monotonicMs();
    const full = nowMs >= this.#nextFullMs;
    if (full) this.#nextFullMs = nowMs + FULL_DIGEST_INTERVAL_MS;
    let first = true;
    for (const target of this.#targets()) {
      void this.#exchange(target, full && first);
      first = false;
    }
    return intervalMs;
  }

  /** Answers a peer's push with a pull. @throws BadMessageError */
  answer(fields: WireFields, from: NodeId): WireFields {
    const { freshness, own, members } = this.#parts;
    const pushed = this.#takeIn(fields, from, false);
    if (fields[5] === null || fields[5] === undefined) {
      // What came in just now need not go back.
      const news = members.recent(GOSSIP_RECENT_ENTRIES).filter((e) => !pushed.has(e));
      return this.#message(freshness(), [own(false), ...news], []);
    }
    const digest = this.#readDigest(fields);
    const newer: MemberEntry[] = [own(false)];
    const wanted: NodeId[] = [];
    for (const member of members.others()) {
      const theirs = digest.get(member.entry.id);
      if (theirs === undefined || compareLiveliness(member.entry, theirs) > 0) {
        newer.push(member.entry);
      }
    }
    for (const [id, theirs] of digest) {
      if (id === this.#parts.self) continue;
      const known = members.get(id);
      if (known === undefined || compareLiveliness(theirs, known.entry) > 0) wanted.push(id);
    }
    return this.#message(freshness(), newer, wanted);
  }

  /** A last word on the way out, so that peers need not find the silence out by themselves. */
  async farewell(entry: MemberEntry): Promise<void> {
    const message = this.#message(this.#parts.freshness(), [entry], null);
    const sends = this.#targets().map((target) => this.#send(target.entry.id, message));
    await Promise.allSettled(sends);
  }

  async #exchange(target: Member, full: boolean): Promise<void> {
    const { env, own, members, freshness, suspicion, clocks } = this.#parts;
    const to = target.entry.id;
    const round = this.#rounds;
    this.#calling.add(to);
    try {
      const entries = full ? [own(false)] : [own(false), ...members.recent(GOSSIP_RECENT_ENTRIES)];
      const message = this.#message(freshness(), entries, full ? this.#digest() : null);
      const sentMs = env.clock.monotonicMs();
      const answer = await this.#send(to, message);
      clocks.observe(to, readInt(answer, 6, "gossip.wallMs", 0, WALL_MS_MAX), sentMs);
      this.#takeIn(answer, to, true);
      if (this.#lastGoodRound < round) {
        this.#lastGoodRound = round;
        suspicion.goodRound();
      }
      if (full) await this.#sendWanted(to, answer);
    } catch (error) {
      env.logger.debug("gossip-failed", { node: to, error: String(error) });
    } finally {
      this.#calling.delete(to);
    }
  }

  async #sendWanted(to: NodeId, answer: WireFields): Promise<void> {
    const { members, freshness } = this.#parts;
    const wanted = readArray(answer, 5, "gossip.wanted", KNOWN_MEMBERS_MAX);
    const entries: MemberEntry[] = [];
    for (let i = 0; i < wanted.length; i++) {
      const member = members.get(readNodeId(wanted, i, "gossip.wanted"));
      if (member !== undefined) entries.push(member.entry);
    }
    if (entries.length > 0) await this.#send(to, this.#message(freshness(), entries, null));
  }

  #send(to: NodeId, message: WireFields): Promise<WireFields> {
    return this.#parts.channel.send(to, "gossip", message, {
      timeoutMs: GOSSIP_TIMEOUT_MS,
      lane: "batch",
    });
  }

  #message(fresh: Freshness, entries: readonly MemberEntry[], last: WireValue): WireFields {
    return [
      fresh.generation,
      fresh.version,
      fresh.settingsDigest,
      entries.map(encodeEntry),
      this.#parts.suspicion.accusations(),
      last,
      Math.max(0, Math.floor(this.#parts.env.clock.wallMs())),
    ];
  }

  /** The first five fields, which question and answer share. Returns the entries that came. */
  #takeIn(fields: WireFields, from: NodeId, asked: boolean): Set<MemberEntry> {
    const { env, members, suspicion, onFreshness } = this.#parts;
    const theirs: Freshness = {
      generation: readInt(fields, 0, "gossip.generation", 0, 0xffff_ffff),
      version: readInt(fields, 1, "gossip.version", 0, Number.MAX_SAFE_INTEGER),
      settingsDigest: readBytes(fields, 2, "gossip.settings", SETTINGS_DIGEST_BYTES).slice(),
    };
    // Decoded as a whole before any of it counts: a bad message changes nothing.
    const entries = readArray(fields, 3, "gossip.entries", KNOWN_MEMBERS_MAX + 1).map(decodeEntry);
    const accusations = readArray(fields, 4, "gossip.suspects", KNOWN_MEMBERS_MAX).map((item) => {
      const accusation = asFields(item, "gossip.suspect", 4);
      return { id: readNodeId(accusation, 0, "suspect.id"), at: readLiveliness(accusation, 1) };
    });
    const nowMs = env.clock.monotonicMs();
    for (const entry of entries) members.merge(entry, nowMs);
    for (const accusation of accusations) suspicion.heard(accusation.id, accusation.at, nowMs);
    onFreshness(from, theirs, asked);
    return new Set(entries);
  }

  #digest(): WireFields {
    const own = this.#parts.own(false);
    const digest: WireFields[] = [[own.id, own.incarnation, own.nonce, own.counter]];
    for (const { entry } of this.#parts.members.others()) {
      digest.push([entry.id, entry.incarnation, entry.nonce, entry.counter]);
    }
    return digest;
  }

  #readDigest(fields: WireFields): Map<NodeId, Liveliness> {
    const digest = new Map<NodeId, Liveliness>();
    for (const item of readArray(fields, 5, "gossip.digest", KNOWN_MEMBERS_MAX + 1)) {
      const triple = asFields(item, "gossip.digest", 4);
      digest.set(readNodeId(triple, 0, "digest.id"), readLiveliness(triple, 1));
    }
    return digest;
  }

  /** Three at random, one of them in another region where there is one, and now and then one that is thought down. */
  #targets(): Member[] {
    const { env, own, members } = this.#parts;
    const region = own(false).region;
    const near: Member[] = [];
    const far: Member[] = [];
    const down: Member[] = [];
    for (const member of members.others()) {
      if (this.#calling.has(member.entry.id)) continue;
      if (member.state === "down") down.push(member);
      else if (member.entry.region === region) near.push(member);
      else far.push(member);
    }
    const targets: Member[] = [];
    const take = (from: Member[]): void => {
      const [taken] = from.splice(env.random.below(from.length), 1);
      if (taken !== undefined) targets.push(taken);
    };
    if (far.length > 0) take(far);
    const rest = near.concat(far);
    while (targets.length < GOSSIP_FANOUT && rest.length > 0) take(rest);
    // With nobody else to talk to, the silent ones are all there is to try.
    const callDown = targets.length === 0 || env.random.below(DEAD_CALL_ONE_IN) === 0;
    if (callDown && down.length > 0) take(down);
    return targets;
  }
}
