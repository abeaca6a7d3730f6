/**
 * A node whose database may have forgotten promises (a new actor id under a known identity) executes nothing until it has
 * found the newest layout document, and has no say in the decision after it (design 6: acceptor amnesia forked the ring
 * in 103 of 20,000 modelled schedules).
 */
import type { NodeId } from "../core/ids.ts";
import type { LayoutDocument } from "../core/layout.ts";
import type { Env } from "../env/env.ts";
import type { Acceptor } from "./acceptor.ts";
import { refusal } from "./acceptor.ts";
import { ELECTOR_TIMEOUT_MS, LAYOUT_BYTES_MAX } from "./cluster-limits.ts";
import type { LayoutStore } from "./layout-store.ts";
import type { PeerChannel, WireFields } from "./peer-channel.ts";
import { readBytesOrNull, readInt } from "./wire-read.ts";

/** The second field of a `layout` message. */
const FETCH = 0;
const RECOVER = 1;

export interface RecoveryParts {
  readonly env: Env;
  readonly channel: PeerChannel;
  readonly self: NodeId;
  readonly layouts: LayoutStore;
  readonly acceptor: Acceptor;
}

export class Recovery {
  readonly #parts: RecoveryParts;

  constructor(parts: RecoveryParts) {
    this.#parts = parts;
  }

  /**
   * Answers `layout`: [generation, version, purpose] -> [newer document or null, version accepted but undecided].
   * Whoever recovers is answered only by a node that has forgotten nothing itself. @throws PeerError
   */
  answer(fields: WireFields): WireFields {
    const { layouts, acceptor } = this.#parts;
    const generation = readInt(fields, 0, "layout.generation", 0, 0xffff_ffff);
    const version = readInt(fields, 1, "layout.version", 0, Number.MAX_SAFE_INTEGER);
    const purpose = readInt(fields, 2, "layout.purpose", FETCH, RECOVER);
    const current = layouts.current();
    if (current === undefined) throw refusal("not_ready", "This node has no layout yet");
    const { document } = current;
    const theirsIsOlder =
      document.generation > generation ||
      (document.generation === generation && document.version > version);
    if (theirsIsOlder) return [current.encoded, 0];
    if (layouts.isBehind(generation, version)) throw refusal("behind", `Has ${document.version}`);
    if (purpose === RECOVER && layouts.abstainsThrough > document.version) {
      throw refusal("abstains", "This node has forgotten promises itself");
    }
    return [null, acceptor.acceptedVersion()];
  }

  /** Asks one peer for a newer document and adopts it. @throws PeerError */
  async fetchFrom(node: NodeId): Promise<void> {
    const { layouts } = this.#parts;
    const [document] = await this.#ask(node, FETCH);
    if (document !== null) layouts.adoptEncoded(document);
  }

  /**
   * One attempt. True when the known document is certain to be the newest: this node acts by it from now on, under a
   * durable vow to abstain from the next decision.
   */
  async attempt(): Promise<boolean> {
    const { env, layouts, self } = this.#parts;
    const known = layouts.known();
    if (known === undefined) return false;
    const { document } = known;
    const { witnesses, needed } = witnessesFor(document, self);
    const answers = await Promise.all(witnesses.map((node) => this.#testimony(node)));
    // An answer brought a newer document: only *its* electors can say that there is no newer one still.
    if (layouts.known() !== known) return false;
    if (answers.includes("undecided")) return false;
    if (answers.filter((answer) => answer === "nothing-newer").length < needed) return false;
    const { version } = document;
    const alone = document.electors.length === 1 && document.electors[0] === self;
    // It may also have forgotten that it was frozen: it takes no write under this version.
    if (!alone && known.active.member(self)?.role === "storage") layouts.freeze(version);
    // A sole elector that abstained could never decide anything again, and nobody else could have promised.
    layouts.endRecovery(alone ? 0 : version + 1);
    env.logger.warn("layout-recovered", { version, abstainsThrough: layouts.abstainsThrough });
    return true;
  }

  async #testimony(node: NodeId): Promise<"nothing-newer" | "undecided" | "none"> {
    const { env, layouts } = this.#parts;
    try {
      const [document, accepted] = await this.#ask(node, RECOVER);
      if (document !== null) layouts.adoptEncoded(document);
      if (document !== null) return "none";
      return accepted > 0 ? "undecided" : "nothing-newer";
    } catch (error) {
      env.logger.debug("recovery-no-testimony", { node, error: String(error) });
      return "none";
    }
  }

  async #ask(node: NodeId, purpose: number): Promise<readonly [Uint8Array | null, number]> {
    const { channel, layouts } = this.#parts;
    const question = [layouts.generation, layouts.version, purpose];
    const answer = await channel.send(node, "layout", question, {
      timeoutMs: ELECTOR_TIMEOUT_MS,
      lane: "direct",
    });
    const document = readBytesOrNull(answer, 0, "layout.document", LAYOUT_BYTES_MAX);
    return [document, readInt(answer, 1, "layout.accepted", 0, Number.MAX_SAFE_INTEGER)];
  }
}

/**
 * Whom to ask, and how many must answer: a majority of the electors, the asker not among them. The sole elector of a
 * cluster has no such majority; there every other member must show that it knows nothing newer.
 */
function witnessesFor(
  document: LayoutDocument,
  self: NodeId,
): { witnesses: readonly NodeId[]; needed: number } {
  const electors = document.electors.filter((node) => node !== self);
  if (electors.length > 0) {
    return { witnesses: electors, needed: Math.floor(document.electors.length / 2) + 1 };
  }
  const others = document.members.map((m) => m.id).filter((node) => node !== self);
  return { witnesses: others, needed: others.length };
}
