/** Owners tell each other their reap horizons, so that a new owner of a unit knows what was reaped before it came. */
import { PeerError } from "../cluster/peer-channel.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId, PartitionId } from "../core/ids.ts";
import { REQUEST_TIMEOUT_DEFAULT_MS } from "../core/limits.ts";
import type { Horizon } from "./horizons.ts";
import type { Reaping } from "./reap-acts.ts";
import { decodeHorizons, encodeHorizons, HORIZONS_MAX } from "./reap-messages.ts";

/**
 * With every owner that this node shares a unit with. Unless all answer, the next walk tells and asks them again; once they
 * have, only when a horizon has risen here: who starts, or has them rise elsewhere, does the same.
 */
export async function exchangeHorizons(reaping: Reaping, layout: ActiveLayout): Promise<void> {
  const { horizons } = reaping;
  if (horizons.areShared(layout)) return;
  const { raises } = horizons;
  const answered = await Promise.all(
    [...sharedUnits(reaping, layout)].map(([owner, units]) => tell(reaping, layout, owner, units)),
  );
  if (!answered.includes(false)) horizons.noteShared(layout, raises);
}

/** Those of units that exist. The names come from a peer: "constructor" is none, although each object has one. */
export function unitsOf(layout: ActiveLayout, told: readonly Horizon[]): Horizon[] {
  return told.filter(
    ({ policy, partition }) =>
      Object.hasOwn(layout.document.policies, policy) && partition < layout.partitions,
  );
}

function sharedUnits({ r, horizons }: Reaping, layout: ActiveLayout): Map<NodeId, Horizon[]> {
  const shared = new Map<NodeId, Horizon[]>();
  for (const policy of Object.keys(layout.document.policies)) {
    for (let p = 0; p < layout.partitions; p++) {
      const partition = p as PartitionId;
      const homes = layout.homes(policy, partition);
      if (!homes.includes(r.self)) continue;
      const horizon = { policy, partition, stamp: horizons.of(policy, partition) };
      for (const home of homes) {
        if (home === r.self) continue;
        const units = shared.get(home);
        if (units === undefined) shared.set(home, [horizon]);
        else units.push(horizon);
      }
    }
  }
  return shared;
}

/** False when the owner did not answer. */
async function tell(
  { r, horizons }: Reaping,
  layout: ActiveLayout,
  owner: NodeId,
  units: readonly Horizon[],
): Promise<boolean> {
  for (let at = 0; at < units.length; at += HORIZONS_MAX) {
    const fields = encodeHorizons(layout.version, units.slice(at, at + HORIZONS_MAX));
    try {
      const answer = await r.channel.send(owner, "horizons", fields, {
        timeoutMs: REQUEST_TIMEOUT_DEFAULT_MS,
        lane: "direct",
      });
      horizons.raise(unitsOf(layout, decodeHorizons(answer)));
    } catch (error) {
      if (error instanceof PeerError) return false;
      throw error;
    }
  }
  return true;
}
