/** A replication cluster whose nodes reap, with a day that is ten seconds long. */
import { HybridClock } from "../../src/core/clock.ts";
import { type RunningWorker, startWorker, type Worker } from "../../src/env/worker.ts";
import type { Reaping } from "../../src/replication/reap-acts.ts";
import type { Reaper } from "../../src/replication/reaper.ts";
import { createReaping } from "../../src/replication/reaping.ts";
import type { FakeNode } from "./replication-cluster.ts";
import { ReplicationCluster } from "./replication-cluster.ts";

/** D. */
export const LIFE_MS = 1_000;
export const QUIET_MS = 4 * LIFE_MS;
export const GRACE_MS = 10_000;

export interface ReapingNode {
  readonly node: FakeNode;
  readonly reaping: Reaping;
  readonly reaper: Reaper;
  readonly workers: readonly Worker[];
  /** How far its wall clock is ahead. */
  aheadMs: number;
}

export class ReapingCluster extends ReplicationCluster {
  readonly reapers: ReapingNode[];
  readonly #workers: RunningWorker[];

  constructor(nodes: number, copies = 3) {
    super(
      Array.from({ length: nodes }, () => "eu"),
      copies,
    );
    this.reapers = this.nodes.map((node) => this.#reaperOf(node));
    this.#workers = this.reapers.flatMap(({ workers, node }) =>
      workers.map((worker) => startWorker(this.clock, node.replication.env.logger, worker, 1)),
    );
  }

  #reaperOf(node: FakeNode): ReapingNode {
    const reapingNode = { node, aheadMs: 0 };
    const r = {
      ...node.replication,
      lifeMs: LIFE_MS,
      clock: new HybridClock(() => this.clock.wallMs() + reapingNode.aheadMs),
    };
    const { reaping, reaper, workers, handlers } = createReaping(r, this.clock, GRACE_MS);
    Object.assign(node.handlers, handlers);
    return Object.assign(reapingNode, { reaping, reaper, workers });
  }

  async pass(ms: number): Promise<void> {
    await this.clock.run(this.clock.monotonicMs() + ms);
  }

  /** Time goes on meanwhile: a worker may be waiting for somebody who will not answer. */
  async stop(): Promise<void> {
    await this.settle(Promise.all(this.#workers.map((worker) => worker.stop())));
  }

  /** Those that hold a row of the key. */
  holders(text: string): FakeNode[] {
    return this.nodes.filter(({ store }) => store.rows.has(this.key(text).id));
  }

  /** The owners of the key, in the order of the layout, then the other nodes. */
  places(text: string): { owners: ReapingNode[]; others: ReapingNode[] } {
    const homes = this.homes(text);
    const owners = homes.map((id) => this.reapers.find(({ node }) => node.id === id));
    return {
      owners: owners.filter((one) => one !== undefined),
      others: this.reapers.filter(({ node }) => !homes.includes(node.id)),
    };
  }

  homes(text: string): readonly string[] {
    const layout = this.node(0).replication.membership.layout();
    const partition = this.key(text).hash.hi >>> 28;
    return layout?.homes("default", partition as never) ?? [];
  }
}
