import type { ActiveLayout } from "./active-layout.ts";
import { assert } from "./assert.ts";
import type { NodeId, RegionId } from "./ids.ts";

export type ConsistencyLevel = "one" | "local-quorum" | "quorum" | "each-quorum" | "all";

/** A named level, or an explicit count (r= for reads, w= for writes). */
export type Consistency = { readonly level: ConsistencyLevel } | { readonly count: number };

/** So many of these homes must answer. */
export interface QuorumGroup {
  readonly homes: readonly NodeId[];
  readonly needed: number;
}

/** What must answer before a request is won. All groups must be; a home that is in none is asked but counts to none. */
export interface Requirement {
  readonly homes: readonly NodeId[];
  readonly groups: readonly QuorumGroup[];
  /** The sum over the groups: the w that a sibling records. */
  readonly needed: number;
}

export type RequirementOutcome =
  | {
      readonly ok: true;
      readonly requirement: Requirement;
      /** The level itself forbids stand-ins, whatever the request says. */
      readonly strict: boolean;
    }
  | { readonly ok: false; readonly failure: CountFailure };

/** Above what the policy will ever place (400), or above the owners that exist now (503). */
type CountFailure =
  | { readonly status: "count-above-policy"; readonly asked: number; readonly copies: number }
  | { readonly status: "count-above-owners"; readonly asked: number; readonly owners: number };

export interface RequirementArgs {
  readonly consistency: Consistency;
  /** The owners that the layout gives the unit now. */
  readonly homes: readonly NodeId[];
  /** The copies that the policy asks for, also while fewer nodes exist. */
  readonly policyCopies: number;
  readonly layout: Pick<ActiveLayout, "regionOf">;
  readonly coordinatorRegion: RegionId;
  /** Lower is nearer. Asked only when the coordinator's region owns nothing. */
  readonly regionRank: (region: RegionId) => number;
}

/** floor(n/2)+1: any two majorities meet. */
export function majorityOf(n: number): number {
  return Math.floor(n / 2) + 1;
}

/** Turns a consistency into numbers (design: section 9). */
export function requirementOf(args: RequirementArgs): RequirementOutcome {
  const { consistency, homes, policyCopies } = args;
  if ("count" in consistency) {
    const { count } = consistency;
    assert(Number.isInteger(count) && count >= 1, "a count must be an integer of 1 or more");
    if (count > policyCopies) {
      return {
        ok: false,
        failure: { status: "count-above-policy", asked: count, copies: policyCopies },
      };
    }
    return ofAll(homes, count, false);
  }
  switch (consistency.level) {
    case "one":
      return ofAll(homes, 1, false);
    case "quorum":
      return ofAll(homes, majorityOf(homes.length), false);
    case "all":
      return ofAll(homes, Math.max(homes.length, 1), true);
    case "local-quorum":
      return localQuorum(args);
    case "each-quorum":
      return eachQuorum(args);
  }
}

function ofAll(homes: readonly NodeId[], needed: number, strict: boolean): RequirementOutcome {
  if (needed > homes.length) {
    return {
      ok: false,
      failure: { status: "count-above-owners", asked: needed, owners: homes.length },
    };
  }
  return { ok: true, requirement: { homes, groups: [{ homes, needed }], needed }, strict };
}

function localQuorum(args: RequirementArgs): RequirementOutcome {
  const { homes } = args;
  const byRegion = homesByRegion(args);
  const local = byRegion.get(args.coordinatorRegion) ?? nearestRegion(byRegion, args.regionRank);
  if (local === undefined) return ofAll(homes, 1, false);
  const needed = majorityOf(local.length);
  return {
    ok: true,
    requirement: { homes, groups: [{ homes: local, needed }], needed },
    strict: false,
  };
}

function eachQuorum(args: RequirementArgs): RequirementOutcome {
  const groups: QuorumGroup[] = [];
  let needed = 0;
  for (const homes of homesByRegion(args).values()) {
    const majority = majorityOf(homes.length);
    groups.push({ homes, needed: majority });
    needed += majority;
  }
  if (groups.length === 0) return ofAll(args.homes, 1, true);
  return { ok: true, requirement: { homes: args.homes, groups, needed }, strict: true };
}

function homesByRegion(args: RequirementArgs): Map<RegionId, NodeId[]> {
  const byRegion = new Map<RegionId, NodeId[]>();
  for (const home of args.homes) {
    const region = args.layout.regionOf(home);
    assert(region !== undefined, "an owner must be a member of its layout");
    const others = byRegion.get(region);
    if (others === undefined) byRegion.set(region, [home]);
    else others.push(home);
  }
  return byRegion;
}

/** Equal ranks go by name, so that a repeated request counts the same nodes. */
function nearestRegion(
  byRegion: ReadonlyMap<RegionId, readonly NodeId[]>,
  regionRank: (region: RegionId) => number,
): readonly NodeId[] | undefined {
  let nearest: RegionId | undefined;
  let nearestRank = 0;
  for (const region of byRegion.keys()) {
    const rank = regionRank(region);
    const isNearer =
      nearest === undefined || rank < nearestRank || (rank === nearestRank && region < nearest);
    if (!isNearer) continue;
    nearest = region;
    nearestRank = rank;
  }
  return nearest === undefined ? undefined : byRegion.get(nearest);
}
