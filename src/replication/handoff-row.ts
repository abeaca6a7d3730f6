/** What becomes of one hint: who of the owners has it, and who is still to be brought it (design 7, "Sloppy quorum and hints"). */
import { PeerError } from "../cluster/peer-channel.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId } from "../core/ids.ts";
import { REQUEST_TIMEOUT_DEFAULT_MS } from "../core/limits.ts";
import type { AsideRecord } from "../storage/record-store.ts";
import { AckedActors } from "./acked-actors.ts";
import type { Replication } from "./context.ts";
import { decodeAck, encodeWrite } from "./data-messages.ts";
import { decodeHeldAnswer, encodeHeldQuestion } from "./held.ts";
import { decodeHintNote } from "./hint-note.ts";
import { nearestFirst, routeOf } from "./route.ts";

export interface Delivery {
  /** The target has it; or is no owner any more, so that nobody is waited for. */
  readonly delivered: boolean;
  /** As many owners as the put's own W hold what the hint holds: this copy is no longer needed. */
  readonly custodyEnded: boolean;
  /** The target is no owner any more under the present layout. */
  readonly rerouted: boolean;
  /** Somebody who was thought to be there did not answer. */
  readonly failed: boolean;
}

/** The namespace has been deleted: nobody wants the row any more. */
const NOT_WANTED: Delivery = {
  delivered: true,
  custodyEnded: true,
  rerouted: true,
  failed: false,
};

/** Brings the hint to its target if that is there, and to any other owners until as many hold it as its put asked for. */
export async function deliverHint(
  r: Replication,
  layout: ActiveLayout,
  hint: AsideRecord,
  { target, wasServed }: { readonly target: NodeId; readonly wasServed: boolean },
): Promise<Delivery> {
  const route = routeOf(layout, hint.key);
  if (route === undefined) return NOT_WANTED;
  const { homes } = route;
  const needed = Math.min(decodeHintNote(hint.note).needed, homes.length);
  const round = new HintRound(r, layout, homes, hint);
  const rerouted = !homes.includes(target);
  if (!rerouted && r.membership.liveness(target) !== "down") {
    // It lacks what was kept for it; only what it has been brought before it is asked for first.
    await (wasServed ? round.ensure(target) : round.give(target));
  }
  const others = nearestFirst(r, layout, homes).filter(
    (home) => home !== target && r.membership.liveness(home) !== "down",
  );
  while (round.holders.size < needed && others.length > 0) {
    const asked = others.splice(0, needed - round.holders.size);
    const given = await Promise.all(asked.map((owner) => round.ensure(owner)));
    for (const wasGiven of given) if (wasGiven) r.counters.hintsPushed++;
  }
  return {
    delivered: rerouted || round.holders.has(target),
    custodyEnded: round.holders.size >= needed,
    rerouted,
    failed: round.failed,
  };
}

class HintRound {
  readonly #r: Replication;
  readonly #layout: ActiveLayout;
  readonly #homes: readonly NodeId[];
  readonly #hint: AsideRecord;
  readonly #actors: AckedActors;
  /** Owners that hold, durably, a record that covers the hint's. */
  readonly holders = new Set<NodeId>();
  failed = false;

  constructor(r: Replication, layout: ActiveLayout, homes: readonly NodeId[], hint: AsideRecord) {
    this.#r = r;
    this.#layout = layout;
    this.#homes = homes;
    this.#hint = hint;
    this.#actors = new AckedActors(homes, r.actors.generationsOf(homes));
  }

  /** Asks before it sends: most owners have it from the put itself. True when the owner had to be given it, and has it now. */
  async ensure(owner: NodeId): Promise<boolean> {
    const isHeld = owner === this.#r.self ? false : await this.#isHeldBy(owner);
    if (isHeld !== false) return false;
    await this.give(owner);
    return this.holders.has(owner);
  }

  async give(owner: NodeId): Promise<void> {
    const { key, record } = this.#hint;
    if (owner === this.#r.self) {
      await this.#r.store.whenDurable(this.#r.replica.merge(key, record).sequence);
      this.holders.add(owner);
      return;
    }
    const fields = encodeWrite(this.#layout.version, key, record);
    const answer = await this.#answerOf(owner, () =>
      this.#r.channel
        .send(owner, "write", fields, OPTIONS)
        .then((ack) => decodeAck(ack, this.#homes.length)),
    );
    if (answer !== null) this.#holds(owner, answer);
  }

  /** A database that a later answer shows to be gone holds nothing. */
  #holds(owner: NodeId, generations: readonly number[]): void {
    this.holders.add(owner);
    for (const gone of this.#actors.heard(owner, generations)) this.holders.delete(gone);
  }

  /** Null when the owner does not answer. */
  async #isHeldBy(owner: NodeId): Promise<boolean | null> {
    const { key, record } = this.#hint;
    const fields = encodeHeldQuestion(this.#layout.version, key, record);
    const answer = await this.#answerOf(owner, () =>
      this.#r.channel
        .send(owner, "held", fields, OPTIONS)
        .then((held) => ({ generations: decodeHeldAnswer(held, this.#homes.length) })),
    );
    if (answer === null) return null;
    if (answer.generations !== null) this.#holds(owner, answer.generations);
    return answer.generations !== null;
  }

  async #answerOf<T>(owner: NodeId, ask: () => Promise<T>): Promise<T | null> {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      this.failed = true;
      if (error.code === "stale_layout") this.#r.adoptRefusal(error.detail);
      this.#r.env.logger.debug("handoff-failed", { node: owner, code: error.code });
      return null;
    }
  }
}

const OPTIONS = { timeoutMs: REQUEST_TIMEOUT_DEFAULT_MS, lane: "batch" } as const;
