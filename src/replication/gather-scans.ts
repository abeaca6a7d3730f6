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

export function gatherScans(
  r: Replication,
  layout: ActiveLayout,
  request: GatherRequest,
): Promise<Gathered> {
  return new Promise((resolve, reject) => {
    new Gathering(r, layout, request, resolve, reject).askMore();
  });
}

/** One page's scans. A node that is slow is asked no less, but others are asked in addition, as in a quorum read. */
class Gathering {
  readonly #r: Replication;
  readonly #request: GatherRequest;
  readonly #resolve: (gathered: Gathered) => void;
  readonly #reject: (error: unknown) => void;
  readonly #cover: Cover;
  readonly #candidates: readonly NodeId[];
  readonly #scans = new Map<NodeId, NodeScan>();
  /** Asked, and not slow yet. */
  readonly #expected = new Set<NodeId>();
  /** Slow or failed: nothing is expected of them any more. */
  readonly #givenUp = new Set<NodeId>();
  #open = 0;
  #ended = false;

  constructor(
    r: Replication,
    layout: ActiveLayout,
    request: GatherRequest,
    resolve: (gathered: Gathered) => void,
    reject: (error: unknown) => void,
  ) {
    this.#r = r;
    this.#request = request;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#cover = new Cover(layout, request.policy);
    const storage = layout.document.members.filter((member) => member.role === "storage");
    this.#candidates = nearestFirst(
      r,
      layout,
      storage.map((member) => member.id),
    );
  }

  /** Asks whoever is still needed; ends when all is covered, or when nobody is left who could make it so. */
  askMore(): void {
    if (this.#ended) return;
    if (this.#cover.missing(new Set(this.#scans.keys())) === 0) {
      this.#end({ status: "ok", scans: [...this.#scans.values()] });
      return;
    }
    const counted = new Set([...this.#scans.keys(), ...this.#expected]);
    const chosen = this.#cover.choose(this.#candidates, counted, this.#givenUp);
    for (const node of chosen ?? []) this.#ask(node);
    if (this.#open === 0) this.#end(notCovered(this.#cover, this.#scans));
  }

  #ask(node: NodeId): void {
    this.#open++;
    this.#expected.add(node);
    const patience = this.#r.env.clock.after(this.#r.patienceMs(node), () => {
      if (!this.#expected.delete(node)) return;
      this.#givenUp.add(node);
      this.askMore();
    });
    scanNode(this.#r, this.#request, node).then(
      (answer) => {
        patience.cancel();
        this.#open--;
        this.#expected.delete(node);
        // A scan that may lack rows proves nothing about what is absent.
        if (answer === null || answer.inDoubt) this.#givenUp.add(node);
        else this.#scans.set(node, { node, ...answer });
        this.askMore();
      },
      (error: unknown) => {
        patience.cancel();
        this.#ended = true;
        this.#reject(error);
      },
    );
  }

  #end(gathered: Gathered): void {
    this.#ended = true;
    this.#resolve(gathered);
  }
}

async function scanNode(
  r: Replication,
  request: GatherRequest,
  node: NodeId,
): Promise<ScanAnswer | null> {
  if (node === r.self) return r.mayBeCopy() ? null : scanLocal(r, request);
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

  /** The nodes to ask beside those counted already, nearest first and no more than needed; null when none would do. */
  choose(
    candidates: readonly NodeId[],
    counted: Set<NodeId>,
    givenUp: ReadonlySet<NodeId>,
  ): NodeId[] | null {
    const chosen: NodeId[] = [];
    let missing = this.missing(counted);
    for (const node of candidates) {
      if (missing === 0) return chosen;
      if (counted.has(node) || givenUp.has(node)) continue;
      counted.add(node);
      const left = this.missing(counted);
      if (left === missing) {
        counted.delete(node);
        continue;
      }
      chosen.push(node);
      missing = left;
    }
    return missing === 0 ? chosen : null;
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
