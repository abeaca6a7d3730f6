/** Six nodes in three regions, each in a network namespace. */
import { randomBytes } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { Runtime } from "../e2e/dev-cluster.ts";
import { until } from "../e2e/requests.ts";
import { ChaosNode, removeStaleDisks } from "./chaos-node.ts";
import { Network } from "./network.ts";

export const REGIONS = ["eu", "us", "ap"] as const;
const NODES_PER_REGION = 2;
export const NODES = REGIONS.length * NODES_PER_REGION;
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const CLIENT_PORT = 7070;
const PEER_PORT = 7071;

/** The cluster as one node sees it. */
export interface NodeView {
  readonly self: string;
  readonly nodes: readonly {
    readonly id: string;
    readonly state: string;
    readonly hints?: { readonly count: number };
  }[];
}

export class ChaosCluster {
  readonly network = new Network(NODES);
  readonly nodes: readonly ChaosNode[];
  readonly #directory: string;
  readonly #onSignal = (): void => void this.close().finally(() => process.exit(1));

  /** `directory` is made, and keeps the nodes' logs. */
  constructor(directory: string, runtime: Runtime) {
    this.#directory = directory;
    const numbers = Array.from({ length: NODES }, (_, number) => number);
    const peerUrl = (number: number): string =>
      `http://${this.network.peerAddressOf(number)}:${PEER_PORT}`;
    for (const signal of SIGNALS) process.once(signal, this.#onSignal);
    this.nodes = numbers.map((number) => {
      const region = REGIONS[Math.floor(number / NODES_PER_REGION)] ?? "";
      const client = `${this.network.clientAddressOf(number)}:${CLIENT_PORT}`;
      const others = numbers.filter((other) => other !== number).map(peerUrl);
      const args = [
        ...["--listen", client, "--insecure-allow-anonymous"],
        ...["--peer-listen", `${this.network.peerAddressOf(number)}:${PEER_PORT}`],
        ...["--region", region, "--zone", `z${number % NODES_PER_REGION}`],
        ...["--cluster-secret-file", this.#secretFile, "--log-format", "json"],
        ...["--bootstrap-expect", String(NODES), "--until-stdin-closes"],
      ];
      const place = {
        ...{ number, region, client, peer: peerUrl(number) },
        namespace: this.network.namespaceOf(number),
        directory: join(directory, `node-${number}`),
        // The first one makes the cluster; it knows its peers from its directory ever after.
        args: number === 0 ? args : [...args, "--join", others.join(",")],
      };
      return new ChaosNode(place, runtime);
    });
  }

  node(number: number): ChaosNode {
    const node = this.nodes[number];
    if (node === undefined) throw new Error(`There is no node ${number}`);
    return node;
  }

  async start(): Promise<void> {
    mkdirSync(this.#directory, { recursive: true });
    writeFileSync(this.#secretFile, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
    removeStaleDisks();
    this.network.create();
    for (const node of this.nodes) {
      node.mount();
      node.start();
    }
    await Promise.all(this.nodes.map((node) => node.ready()));
    await this.untilAllUp(60_000);
  }

  /** Everything runs and is connected, with right clocks and free disks. Resolves when all take requests again. */
  async heal(): Promise<void> {
    this.network.heal();
    for (const node of this.nodes) {
      node.control({});
      node.freeDisk();
      node.resume();
      node.start();
    }
    await Promise.all(this.nodes.map((node) => node.ready()));
  }

  async untilAllUp(timeoutMs: number): Promise<void> {
    for (const node of this.nodes) {
      const probe = async (): Promise<true | undefined> => {
        const view = await this.viewOf(node);
        const up = view?.nodes.filter(({ state }) => state === "up").length ?? 0;
        return up === NODES ? true : undefined;
      };
      await until(`node ${node.number} to see all nodes up`, probe, timeoutMs);
    }
  }

  /** Undefined when the node does not answer. */
  async viewOf(node: ChaosNode): Promise<NodeView | undefined> {
    try {
      const signal = AbortSignal.timeout(5_000);
      const answer = await fetch(`${node.url}/v1/cluster`, { signal });
      return (await answer.json()) as NodeView;
    } catch {
      return undefined;
    }
  }

  /** In good order. Names of those that had to be killed. */
  async stop(): Promise<string[]> {
    const ended = await Promise.all(this.nodes.map((node) => node.stop()));
    return this.nodes.filter((_, at) => ended[at] === false).map((node) => `node ${node.number}`);
  }

  /** Whatever state it is in: nothing is left but the logs. */
  async close(): Promise<void> {
    for (const signal of SIGNALS) process.removeListener(signal, this.#onSignal);
    await Promise.all(this.nodes.map((node) => node.kill()));
    for (const node of this.nodes) node.unmount();
    this.network.close();
  }

  get #secretFile(): string {
    return join(this.#directory, "cluster-secret");
  }
}
