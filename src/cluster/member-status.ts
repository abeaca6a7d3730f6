import type { NodeId } from "../core/ids.ts";
import type { AdoptedLayout } from "./layout-store.ts";
import type { MemberEntry } from "./member-entry.ts";
import type { MemberList } from "./member-list.ts";
import type { Liveness, MemberStatus } from "./membership.ts";

/** All members of the layout and who asks to join, sorted by region and id: what `gyre status` shows. */
export function memberStatuses(
  own: MemberEntry,
  members: MemberList,
  current: AdoptedLayout | undefined,
): MemberStatus[] {
  const statuses = new Map<NodeId, MemberStatus>();
  const add = (entry: MemberEntry, state: Liveness): void => {
    const { id, region, zone, role, url, peerUrl, incarnation, clockIsOff } = entry;
    const { keys, bytes, hints } = entry;
    const inLayout = current?.active.member(id) !== undefined;
    const place = { region, zone, role, url, peerUrl };
    const load = { keys, bytes, hints };
    statuses.set(id, { id, ...place, state, incarnation, ...load, clockIsOff, inLayout });
  };
  add(own, "up");
  for (const { entry, state } of members.others()) {
    // A joiner that went away again is nobody's business.
    if (state !== "down" || current?.active.member(entry.id) !== undefined) add(entry, state);
  }
  const nothing = { keys: 0, bytes: 0, hints: { count: 0, bytes: 0 } };
  const unheard = { url: "", peerUrl: "", incarnation: 0, ...nothing, clockIsOff: false };
  for (const { id, region, zone, role } of current?.document.members ?? []) {
    if (statuses.has(id)) continue;
    statuses.set(id, { id, region, zone, role, ...unheard, state: "down", inLayout: true });
  }
  return [...statuses.values()].sort((a, b) =>
    a.region === b.region ? compare(a.id, b.id) : compare(a.region, b.region),
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : 1;
}
