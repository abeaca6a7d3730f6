/** A replication cluster in which nodes go away and come back, with the handoff of each under the test's hand. */
import type { NodeId } from "../../src/core/ids.ts";
import { partitionOf } from "../../src/core/key.ts";
import type { CausalRecord } from "../../src/core/version.ts";
import type { Worker } from "../../src/env/worker.ts";
import { handoffWorker } from "../../src/replication/handoff.ts";
import { decodeHintNote } from "../../src/replication/hint-note.ts";
import { hintShelf } from "../../src/replication/hint-rows.ts";
import type { GetFound, GetOutcome, PutDone, PutOutcome } from "../../src/replication/requests.ts";
import type { AsideRecord } from "../../src/storage/record-store.ts";
import { type Drop, type FakeNode, ReplicationCluster } from "./replication-cluster.ts";

/** Two nodes in each of three regions: three homes for each key, and three who may stand in. */
const TWO_EACH = ["eu", "us", "ap", "eu", "us", "ap"];

export class HintCluster extends ReplicationCluster {
  readonly #workers = new Map<NodeId, Worker>();
  readonly #away = new Set<NodeId>();
  /** Beyond who is away. */
  also: Drop = () => "deliver";

  constructor(
    regions: readonly string[] = TWO_EACH,
    options: ConstructorParameters<typeof ReplicationCluster>[2] = {},
  ) {
    super(regions, 3, options);
    this.drop = (from, to, kind) =>
      this.#away.has(to) || this.#away.has(from) ? "refuse" : this.also(from, to, kind);
  }

  /** They can be reached by nobody, and everybody knows it. */
  leave(...nodes: readonly FakeNode[]): void {
    for (const { id } of nodes) {
      this.#away.add(id);
      this.down.add(id);
    }
  }

  comeBack(...nodes: readonly FakeNode[]): void {
    for (const { id } of nodes) {
      this.#away.delete(id);
      this.down.delete(id);
    }
  }

  byId(id: NodeId): FakeNode {
    const node = this.nodes.find((one) => one.id === id);
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  /** The key's homes, and the others in the order in which they stand in. */
  places(text: string): { homes: FakeNode[]; others: FakeNode[] } {
    const layout = this.node(0).replication.membership.layout();
    if (layout === undefined) throw new Error("no layout");
    const partition = partitionOf(this.key(text).hash, layout.partitions);
    const homes = layout.homes("default", partition);
    const others = layout.fallbacks("default", partition, homes[0] as NodeId);
    return { homes: homes.map((id) => this.byId(id)), others: others.map((id) => this.byId(id)) };
  }

  async putAt(
    node: FakeNode,
    text: string,
    value: string,
    options: Parameters<ReplicationCluster["putRequest"]>[2] = {},
  ): Promise<PutOutcome> {
    return this.settle(node.coordinator.put(this.putRequest(text, value, options)));
  }

  async getAt(
    node: FakeNode,
    text: string,
    options: Parameters<ReplicationCluster["get"]>[2] = {},
  ): Promise<GetOutcome> {
    return this.get(this.nodes.indexOf(node), text, options);
  }

  hint(at: FakeNode, text: string, target: FakeNode): AsideRecord | undefined {
    const found = at.store
      .asides(this.key(text))
      .find(({ shelf }) => shelf === hintShelf(target.id));
    return found?.state === "record" ? found : undefined;
  }

  /** All hints of the key: `holder for target`, by their numbers. */
  hints(text: string): string[] {
    const found: string[] = [];
    for (const [i, node] of this.nodes.entries()) {
      for (const target of node.replication.hints.targets(this.key(text))) {
        found.push(`${i} for ${this.nodes.findIndex((one) => one.id === target)}`);
      }
    }
    return found;
  }

  neededBy(hint: AsideRecord | undefined): number | undefined {
    return hint === undefined ? undefined : decodeHintNote(hint.note).needed;
  }

  /** One step of the node's handoff; with `fresh` as after a restart, with nothing remembered. */
  async handOff(node: FakeNode, how: "goes-on" | "fresh" = "goes-on"): Promise<number> {
    let worker = how === "fresh" ? undefined : this.#workers.get(node.id);
    if (worker === undefined) {
      worker = handoffWorker(node.replication);
      this.#workers.set(node.id, worker);
    }
    return this.settle(worker.step());
  }

  /** Steps and pauses of all nodes' handoffs until so much time has passed. */
  async handOffFor(ms: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms;
    while (this.clock.monotonicMs() < endMs) {
      for (const node of this.nodes) await this.handOff(node);
      await this.clock.run(this.clock.monotonicMs() + 250);
    }
  }
}

export function done(outcome: PutOutcome): PutDone {
  if (outcome.status !== "ok") throw new Error(JSON.stringify(outcome));
  return outcome;
}

export function found(outcome: GetOutcome): GetFound {
  if (outcome.status !== "ok") throw new Error(JSON.stringify(outcome));
  return outcome;
}

export function texts(outcome: GetOutcome): string[] {
  return valuesOf(found(outcome).chosen);
}

export function held(node: FakeNode, id: string): string[] {
  return valuesOf(node.store.rows.get(id)?.record.siblings ?? []);
}

export function valuesOf(siblings: CausalRecord["siblings"]): string[] {
  return siblings.map(({ value }) => new TextDecoder().decode(value ?? new Uint8Array())).sort();
}
