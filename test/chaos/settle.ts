/** After the world has healed: until all owners agree on every key, and what they then show. Public API only. */

import { call } from "./call.ts";
import type { ChaosCluster } from "./chaos-cluster.ts";
import type { Ring } from "./checkers/convergence.ts";
import type { Violation } from "./checkers/violation.ts";
import type { KeyState } from "./key-client.ts";
import { readValue } from "./values.ts";

const POLL_MS = 500;
const CONCURRENT = 16;

interface Owner {
  readonly id: string;
  readonly siblings: readonly { readonly dot: string; readonly deleted: boolean }[] | null;
  readonly context?: string;
  readonly error?: string;
}

/**
 * Asks for what each owner of each key holds, which repairs nothing, until they agree. Null after `timeoutMs`, else the ms
 * since `sinceMs`; and what was still apart.
 */
export async function untilAgreed(
  cluster: ChaosCluster,
  keys: readonly KeyState[],
  sinceMs: number,
  timeoutMs: number,
): Promise<{ readonly tookMs: number | null; readonly apart: readonly string[] }> {
  let apart = [...keys];
  for (;;) {
    const still: KeyState[] = [];
    await eachOf(apart, async (key) => {
      if (!(await agree(cluster, key))) still.push(key);
    });
    apart = still;
    const tookMs = performance.now() - sinceMs;
    if (apart.length === 0) return { tookMs, apart: [] };
    if (tookMs > timeoutMs) return { tookMs: null, apart: apart.map(({ name }) => name) };
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

/** Until no node keeps a write for another one any more. The nodes that still do after `timeoutMs`. */
export async function untilHandedOver(
  cluster: ChaosCluster,
  sinceMs: number,
  timeoutMs: number,
): Promise<string[]> {
  for (;;) {
    const holders: string[] = [];
    for (const node of cluster.nodes) {
      const view = await cluster.viewOf(node);
      // Each node tells best of itself.
      const own = view?.nodes.find(({ id }) => id === view.self);
      if (own?.hints?.count !== 0) holders.push(`node ${node.number}`);
    }
    if (holders.length === 0 || performance.now() - sinceMs > timeoutMs) return holders;
    await new Promise((wake) => setTimeout(wake, POLL_MS));
  }
}

async function agree(cluster: ChaosCluster, key: KeyState): Promise<boolean> {
  const { url } = cluster.node(key.name.length % cluster.nodes.length);
  const called = await call(`${url}/v1/cluster/explain/default/${key.name}`, "GET", {});
  if (called.status !== 200) return false;
  const { owners } = JSON.parse(called.body) as { owners: Owner[] };
  const views = owners.map(({ siblings, context, error }) =>
    error === undefined ? JSON.stringify([context ?? "", siblings]) : error,
  );
  return owners.every(({ error }) => error === undefined) && new Set(views).size === 1;
}

export interface FinalValue {
  readonly visible: readonly number[];
  readonly elements: ReadonlySet<number>;
}

/** What all replicas together show of each key. A key that they do not show at all is a violation. */
export async function finalValues(
  cluster: ChaosCluster,
  keys: readonly KeyState[],
): Promise<{ readonly values: Map<string, FinalValue>; readonly violations: Violation[] }> {
  const values = new Map<string, FinalValue>();
  const violations: Violation[] = [];
  await eachOf(keys, async ({ name: key }) => {
    const report = (text: string): void =>
      void violations.push({ checker: "final read", key, text });
    const query = "consistency=all&conflict=siblings";
    const accept = { accept: "application/json, */*;q=0.5" };
    const { url } = cluster.node(key.length % cluster.nodes.length);
    const called = await call(`${url}/v1/kv/default/${key}?${query}`, "GET", accept);
    if (called.outcome !== "ok")
      return report(`cannot be read from all replicas: ${called.answer}`);
    const visible: number[] = [];
    const elements = new Set<number>();
    for (const text of textsOf(called.status, called.body)) {
      const value = readValue(key, text);
      if (value === null) report(`wrong bytes: ${text.slice(0, 80)}`);
      else {
        visible.push(value.write);
        for (const element of value.elements) elements.add(element);
      }
    }
    values.set(key, { visible, elements });
  });
  return { values, violations };
}

/** Who owns what, by the numbers of the nodes. */
export async function ringOf(cluster: ChaosCluster): Promise<Ring> {
  const numbers = new Map<string, number>();
  for (const node of cluster.nodes) {
    const view = await cluster.viewOf(node);
    if (view === undefined) throw new Error(`node ${node.number} does not say who it is`);
    numbers.set(view.self, node.number);
  }
  const called = await call(`${cluster.node(0).url}/v1/cluster/ring`, "GET", {});
  const ring = JSON.parse(called.body) as {
    partitions: number;
    nodes: string[];
    policies: { default: { owners: number[][] } };
  };
  const owners = ring.policies.default.owners.map((indexes) =>
    indexes.map((index) => numbers.get(ring.nodes[index] ?? "") ?? -1),
  );
  return { partitions: ring.partitions, owners };
}

function textsOf(status: number, body: string): string[] {
  if (status === 404) return [];
  if (status === 200) return [body];
  const { siblings } = JSON.parse(body) as { siblings: { value: string }[] };
  return siblings.map(({ value }) => Buffer.from(value, "base64").toString("utf8"));
}

async function eachOf<T>(items: readonly T[], act: (item: T) => Promise<void>): Promise<void> {
  const entries = items.values();
  const lane = async (): Promise<void> => {
    for (const item of entries) await act(item);
  };
  await Promise.all(Array.from({ length: CONCURRENT }, lane));
}
