/**
 * Hands a put to the nearest home, or, when no home can be reached, to a stand-in. It may be tried at another node only if
 * the first certainly did not execute it.
 */

import { PeerError, type WireFields } from "../cluster/peer-channel.ts";
import type { NodeId } from "../core/ids.ts";
import { MEMBERS_MAX } from "../core/limits.ts";
import { firstHomeFor, nextStandIn } from "../core/stand-ins.ts";
import type { Replication } from "./context.ts";
import { decodeOutcome, encodeForward } from "./forward-message.ts";
import { planOf } from "./plan.ts";
import type { PutOutcome, PutRequest } from "./requests.ts";
import { nearestFirst, type Route, routeOf } from "./route.ts";

/** A refusal is certain; these are the ones after which another home may do better. */
const TRY_ANOTHER = new Set(["not_home", "stale_layout", "overloaded", "rehello", "not_ready"]);

/** `standIn` coordinates the put at this node; null when only homes may have it. */
export async function forwardPut(
  r: Replication,
  request: PutRequest,
  first: Route,
  standIn: ((request: PutRequest) => Promise<PutOutcome>) | null = null,
): Promise<PutOutcome> {
  const deadlineMs = r.env.clock.monotonicMs() + request.timeoutMs;
  const requestId = r.env.random.bytes(16);
  let route = first;
  // Who may be a copy of another database mints nothing in the place of a home either.
  const tried = new Set<NodeId>(r.mayBeCopy() ? [r.self] : []);
  const plan = planOf(r, request);
  const sloppy = standIn !== null && "route" in plan && plan.sloppy;
  let overloaded = false;
  // Bounded: every pass either returns or marks one more node as tried.
  for (let attempt = 0; attempt < MEMBERS_MAX; attempt++) {
    // Homes that are there but have too much to do are not relieved by more work elsewhere.
    const node = nextCoordinator(r, route, tried, sloppy && !overloaded);
    const timeoutMs = deadlineMs - r.env.clock.monotonicMs();
    if (node === null || timeoutMs <= 0) break;
    tried.add(node);
    if (node === r.self) {
      if (standIn === null) break;
      return standIn({ ...request, timeoutMs });
    }
    const { layout, homes } = route;
    const isHome = homes.includes(node);
    try {
      const fields = encodeForward(requestId, layout.version, request, !isHome);
      const answer = await r.channel.send(node, "forward", fields, { timeoutMs, lane: "direct" });
      return outcomeOf(answer, homes.length);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (error.outcome === "timeout") return notReached(homes.length, true);
      if (error.outcome === "refused" && !TRY_ANOTHER.has(error.code))
        return refusal(error, homes.length);
      overloaded ||= isHome && error.code === "overloaded";
      if (error.code === "stale_layout") {
        r.adoptRefusal(error.detail);
        const newer = r.membership.layout();
        const again = newer === undefined ? undefined : routeOf(newer, request.key);
        if (again === undefined) return { status: "namespace-not-found" };
        if (again.layout.version > layout.version) tried.delete(node);
        route = again;
      }
    }
  }
  return overloaded ? { status: "overloaded" } : notReached(route.homes.length, false);
}

/**
 * The nearest home; if none is left that may be there, and stand-ins may, this node or the next healthy one on the ring;
 * and at last the homes believed down, in case the belief is wrong.
 */
function nextCoordinator(
  r: Replication,
  route: Route,
  tried: ReadonlySet<NodeId>,
  sloppy: boolean,
): NodeId | null {
  const { layout, policy, partition, homes } = route;
  const untried = nearestFirst(r, layout, homes).filter((home) => !tried.has(home));
  const [nearest] = untried;
  if (!sloppy) return nearest ?? null;
  if (nearest !== undefined && r.membership.liveness(nearest) !== "down") return nearest;
  const here = !tried.has(r.self) && !r.hints.isFull && firstHomeFor(layout, route, r.self);
  if (typeof here === "string") return r.self;
  for (const home of homes) {
    const node = nextStandIn(
      layout.fallbacks(policy, partition, home),
      (one) => one === r.self || tried.has(one),
      (one) => r.membership.liveness(one),
    );
    if (node !== null) return node;
  }
  return nearest ?? null;
}

/** A home that answers at all has executed the put: what cannot be read of its answer leaves the outcome open. */
function outcomeOf(answer: WireFields, owners: number): PutOutcome {
  try {
    return decodeOutcome(answer);
  } catch (error) {
    if (error instanceof PeerError) return notReached(owners, true);
    throw error;
  }
}

function notReached(owners: number, indeterminate: boolean): PutOutcome {
  return {
    status: "quorum-not-reached",
    acks: { primary: 0, fallback: 0, of: owners },
    needed: 1,
    indeterminate,
  };
}

function refusal(error: PeerError, owners: number): PutOutcome {
  if (error.code === "not_formed") return { status: "not-formed" };
  if (error.code === "namespace_not_found") return { status: "namespace-not-found" };
  if (error.code === "disk_full") return { status: "disk-full" };
  // "duplicate" and "internal" say nothing of whether the first attempt took effect.
  return notReached(owners, error.code === "internal" || error.code === "duplicate");
}
