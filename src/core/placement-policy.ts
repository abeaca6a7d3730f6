/** Placement policies as people give them: what is allowed, when two are the same, and how one without a name is called. */
import { parseRegionId } from "./ids.ts";
import { type PlacementPolicy, policyCopies } from "./layout.ts";
import { COPIES_MAX } from "./limits.ts";

/** Longer names are refused by the layout's format. */
export const POLICY_NAME_CHARACTERS_MAX = 63;

function isCopies(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= COPIES_MAX;
}

/** Why the policy cannot be, or null when it can: 1 to COPIES_MAX copies, in regions that are named properly. */
export function checkPolicy(policy: PlacementPolicy): string | null {
  if ("n" in policy) {
    return isCopies(policy.n)
      ? null
      : `A placement policy wants n from 1 to ${COPIES_MAX}, not ${policy.n}`;
  }
  const regions = Object.keys(policy.regions);
  if (regions.length === 0) return "A placement policy by regions names at least one region";
  for (const region of regions) {
    try {
      parseRegionId(region);
    } catch {
      return "A placement policy names a region that is not 1 to 63 characters of a-z, 0-9 and -";
    }
    const copies = policy.regions[region] ?? 0;
    if (!isCopies(copies)) {
      return `A placement policy wants 1 to ${COPIES_MAX} copies in region ${region}, not ${copies}`;
    }
  }
  const copies = policyCopies(policy);
  if (copies > COPIES_MAX)
    return `A placement policy asks for ${copies} copies: at most ${COPIES_MAX}`;
  return null;
}

/** `n=3` or `ap=1,eu=2`: the same text for the same policy, another for another. */
export function canonicalPolicyText(policy: PlacementPolicy): string {
  if ("n" in policy) return `n=${policy.n}`;
  return Object.keys(policy.regions)
    .sort()
    .map((region) => `${region}=${policy.regions[region] ?? 0}`)
    .join(",");
}

export function isSamePolicy(a: PlacementPolicy, b: PlacementPolicy): boolean {
  // A region may be called "n", so equal texts alone do not tell the two kinds apart.
  return "n" in a === "n" in b && canonicalPolicyText(a) === canonicalPolicyText(b);
}
