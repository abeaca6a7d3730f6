/** Asks as many nodes for their next rows as make a majority of the owners of every unit. */

import { PeerError } from "../cluster/peer-channel.ts";
import type { ActiveLayout } from "../core/active-layout.ts";
import type { NodeId, PartitionId } from "../core/ids.ts";
import { parseNamespaceId } from "../core/ids.ts";
import type { Replication } from "./context.ts";
import {
  decodeScanAnswer,
  encodeScan,
  type ScanAnswer,
  type ScanMessage,
} from "./data-messages.ts";
import type { Failure } from "./requests.ts";
import { nearestFirst } from "./route.ts";
import { scanLocal } from "./scan-local.ts";

export interface NodeScan extends ScanAnswer {
  readonly node: NodeId;
}

export type Gathered = { readonly status: "ok"; readonly scans: readonly NodeScan[] } | Failure;

export interface GatherRequest extends ScanMessage {
  readonly policy: string;
  readonly deadlineMs: number;
}

export async function gatherScans(
  r: Replication,
  layout: ActiveLayout,
  request: GatherRequest,
): Promise<Gathered> {
  const storage = layout.document.members.filter((member) => member.role === "storage");
  const candidates = nearestFirst(
    r.membership,
    storage.map((member) => member.id),
  );
  const scans = new Map<NodeId, NodeScan>();
  const failed = new Set<NodeId>();
  const cover = new Cover(layout, request.policy);
  for (;;) {
    const chosen = cover.choose(candidates, scans, failed);
    if (chosen === null) return notCovered(cover, scans);
    if (chosen.length === 0) return { status: "ok", scans: [...scans.values()] };
    const answers = await Promise.all(chosen.map((node) => scanNode(r, request, node)));
    for (const [i, answer] of answers.entries()) {
      const node = chosen[i];
      if (node === undefined) continue;
      // A scan that may lack rows proves nothing about what is absent.
      if (answer === null || answer.inDoubt) failed.add(node);
      else scans.set(node, { node, ...answer });
    }
  }
}

async function scanNode(
  r: Replication,
  request: GatherRequest,
  node: NodeId,
): Promise<ScanAnswer | null> {
  if (node === r.self) return scanLocal(r, request);
  const timeoutMs = request.deadlineMs - r.env.clock.monotonicMs();
  if (timeoutMs <= 0) return null;
  try {
    const fields = encodeScan({ ...request, namespace: parseNamespaceId(request.namespace) });
    const answer = await r.channel.send(node, "scan", fields, { timeoutMs, lane: "direct" });
    return decodeScanAnswer(answer, request.limit);
  } catch (error) {
    if (!(error instanceof PeerError)) throw error;
    if (error.code === "stale_layout") r.adoptRefusal(error.detail);
    return null;
  }
}

/** Which units still lack a majority of their owners. */
class Cover {
  readonly #layout: ActiveLayout;
  readonly #policy: string;

  constructor(layout: ActiveLayout, policy: string) {
    this.#layout = layout;
    this.#policy = policy;
  }

  /** The nodes to ask next, nearest first and no more than needed; [] when all is covered, null when it cannot be. */
  choose(
    candidates: readonly NodeId[],
    answered: ReadonlyMap<NodeId, unknown>,
    failed: ReadonlySet<NodeId>,
  ): NodeId[] | null {
    const counted = new Set(answered.keys());
    const chosen: NodeId[] = [];
    if (this.missing(counted) === 0) return chosen;
    for (const node of candidates) {
      if (counted.has(node) || failed.has(node)) continue;
      const before = this.missing(counted);
      counted.add(node);
      if (this.missing(counted) === before) {
        counted.delete(node);
        continue;
      }
      chosen.push(node);
      if (this.missing(counted) === 0) return chosen;
    }
    return null;
  }

  /** Acks that are still missing, added up over all units. */
  missing(nodes: ReadonlySet<NodeId>): number {
    let missing = 0;
    for (let p = 0; p < this.#layout.partitions; p++) {
      const homes = this.#layout.homes(this.#policy, p as PartitionId);
      let answering = 0;
      for (const home of homes) if (nodes.has(home)) answering++;
      missing += Math.max(0, Math.floor(homes.length / 2) + 1 - answering);
    }
    return missing;
  }
}

function notCovered(cover: Cover, scans: ReadonlyMap<NodeId, NodeScan>): Failure {
  return {
    status: "quorum-not-reached",
    acks: { primary: scans.size, fallback: 0, of: scans.size + 1 },
    needed: scans.size + (cover.missing(new Set(scans.keys())) > 0 ? 1 : 0),
    indeterminate: false,
  };
}
