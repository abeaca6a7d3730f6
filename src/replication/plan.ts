/** Where a request goes and what must answer it. */
import {
  type Consistency,
  type Requirement,
  type RequirementOutcome,
  requirementOf,
} from "../core/consistency.ts";
import type { NodeId } from "../core/ids.ts";
import type { Key } from "../core/key.ts";
import type { Replication } from "./context.ts";
import { regionRank } from "./region-rank.ts";
import type { Failure } from "./requests.ts";
import { type Route, routeOf } from "./route.ts";

export interface Plan {
  readonly route: Route;
  readonly requirement: Requirement;
  /** Stand-ins may take part: the request allows them, and so does its consistency. */
  readonly sloppy: boolean;
}

/**
 * Requirements by the layout's own array of homes: there is one array per unit for as long as a layout lives, and a
 * handful of consistencies, so that the hot path allocates none. `local-quorum` depends on round-trip times as well.
 */
const known = new WeakMap<readonly NodeId[], Map<string | number, RequirementOutcome>>();

export function planOf(
  r: Replication,
  request: { readonly key: Key; readonly consistency: Consistency; readonly sloppy: boolean },
): Plan | Failure {
  const layout = r.membership.layout();
  if (layout === undefined || !layout.document.formed) return { status: "not-formed" };
  const route = routeOf(layout, request.key);
  if (route === undefined) return { status: "namespace-not-found" };
  const required = requirementFor(r, route, request.consistency);
  if (!required.ok) return required.failure;
  const sloppy = request.sloppy && !required.strict;
  return { route, requirement: required.requirement, sloppy };
}

function requirementFor(
  r: Replication,
  route: Route,
  consistency: Consistency,
): RequirementOutcome {
  const name = "count" in consistency ? consistency.count : consistency.level;
  const stored = known.get(route.homes)?.get(name);
  if (stored !== undefined) return stored;
  const { layout, homes, policy } = route;
  const required = requirementOf({
    consistency,
    homes,
    policyCopies: layout.policyCopies(policy),
    layout,
    coordinatorRegion: r.region,
    regionRank: regionRank(r.membership, layout),
  });
  if (name !== "local-quorum") {
    const byName = known.get(homes) ?? new Map<string | number, RequirementOutcome>();
    byName.set(name, required);
    known.set(homes, byName);
  }
  return required;
}
