/** The actors that members write under: entries of all others, and those of their earlier epochs, may go from contexts. */
import type { ActiveLayout } from "../core/active-layout.ts";
import type { ActorId, NodeId } from "../core/ids.ts";
import type { Replication } from "./context.ts";
import { introduce } from "./introduction.ts";
import { membersOf } from "./storage-members.ts";

export class ActorsInUse {
  readonly #r: Replication;
  /** Under which of its own generations each member knows this node. */
  readonly #met = new Map<NodeId, number>();

  constructor(r: Replication) {
    this.#r = r;
  }

  /**
   * Tells every member this node's actor, and is told theirs: once in a start, and again under a new actor. Whoever could not
   * be reached is met the next time.
   */
  async meet(layout: ActiveLayout): Promise<void> {
    const { generation } = this.#r.actors.own;
    const unmet = membersOf(layout, this.#r.self).filter(
      (node) => this.#met.get(node) !== generation && this.#r.membership.liveness(node) !== "down",
    );
    if (unmet.length === 0) return;
    await Promise.all(
      unmet.map(async (node) => {
        if ((await introduce(this.#r, layout, node)) !== null) this.#met.set(node, generation);
      }),
    );
  }

  /** Null while a member's is not known: then nothing may go. */
  known(layout: ActiveLayout): ReadonlySet<ActorId> | null {
    const { actors, store, self } = this.#r;
    const book = new Map(actors.all());
    const inUse = new Set<ActorId>([store.actorId]);
    for (const node of membersOf(layout, self)) {
      const actor = book.get(node)?.actor;
      if (actor === undefined) return null;
      inUse.add(actor);
    }
    return inUse;
  }
}
