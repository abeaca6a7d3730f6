/** Hands a put to the nearest home. It may be tried at another one only if the first certainly did not execute it. */

import { PeerError, type WireFields } from "../cluster/peer-channel.ts";
import { MEMBERS_MAX } from "../core/limits.ts";
import type { Replication } from "./context.ts";
import { decodeOutcome, encodeForward } from "./forward-message.ts";
import type { PutOutcome, PutRequest } from "./requests.ts";
import { nearestFirst, type Route, routeOf } from "./route.ts";

/** A refusal is certain; these are the ones after which another home may do better. */
const TRY_ANOTHER = new Set(["not_home", "stale_layout", "overloaded", "rehello", "not_ready"]);

export async function forwardPut(
  r: Replication,
  request: PutRequest,
  route: Route,
): Promise<PutOutcome> {
  const deadlineMs = r.env.clock.monotonicMs() + request.timeoutMs;
  const requestId = r.env.random.bytes(16);
  let { layout, homes } = route;
  const tried = new Set<string>();
  let overloaded = false;
  // Bounded: every pass either returns or marks one more home as tried.
  for (let attempt = 0; attempt < MEMBERS_MAX; attempt++) {
    const node = nearestFirst(r, layout, homes).find((home) => !tried.has(home));
    const timeoutMs = deadlineMs - r.env.clock.monotonicMs();
    if (node === undefined || timeoutMs <= 0) break;
    tried.add(node);
    try {
      const fields = encodeForward(requestId, layout.version, request);
      const answer = await r.channel.send(node, "forward", fields, { timeoutMs, lane: "direct" });
      return outcomeOf(answer, homes.length);
    } catch (error) {
      if (!(error instanceof PeerError)) throw error;
      if (error.outcome === "timeout") return notReached(homes.length, true);
      if (error.outcome === "refused" && !TRY_ANOTHER.has(error.code))
        return refusal(error, homes.length);
      overloaded ||= error.code === "overloaded";
      if (error.code === "stale_layout") {
        r.adoptRefusal(error.detail);
        const newer = r.membership.layout();
        const again = newer === undefined ? undefined : routeOf(newer, request.key);
        if (again === undefined) return { status: "namespace-not-found" };
        if (again.layout.version > layout.version) tried.delete(node);
        ({ layout, homes } = again);
      }
    }
  }
  return overloaded ? { status: "overloaded" } : notReached(homes.length, false);
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
