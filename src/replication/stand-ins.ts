import type { NodeId } from "../core/ids.ts";
import { nextStandIn } from "../core/stand-ins.ts";
import type { Replication } from "./context.ts";
import type { Route } from "./route.ts";

/** The stand-ins that one request asks, each once. Made when the first home is found missing: most requests need none. */
export class StandIns {
  readonly #r: Replication;
  readonly #route: Route;
  readonly #taken = new Set<NodeId>();

  constructor(r: Replication, route: Route) {
    this.#r = r;
    this.#route = route;
  }

  /**
   * The next healthy node on the ring that may keep writes for `home`, or null; it is taken from then on. `first` comes
   * before all others, if it may.
   */
  next(home: NodeId, first: NodeId | null = null): NodeId | null {
    const { layout, policy, partition } = this.#route;
    const walk = layout.fallbacks(policy, partition, home);
    const node =
      first !== null && walk.includes(first) && !this.#taken.has(first)
        ? first
        : nextStandIn(
            walk,
            (one) => this.#taken.has(one),
            (one) => this.#r.membership.liveness(one),
          );
    if (node !== null) this.#taken.add(node);
    return node;
  }

  take(node: NodeId): void {
    this.#taken.add(node);
  }

  has(node: NodeId): boolean {
    return this.#taken.has(node);
  }

  get count(): number {
    return this.#taken.size;
  }
}
