/** A cluster of `gyre serve` processes, each of which can be stopped, killed and started again. */
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gyreCommand, type Runtime } from "./dev-cluster.ts";
import { freePorts } from "./ports.ts";
import { ask, type ClusterView, jsonOf, until } from "./requests.ts";
import { ServeNode } from "./serve-node.ts";

const READY_MS = 120_000;

/** Which runtime the end-to-end tests start: GYRE_E2E_RUNTIME=bun runs them all on Bun. */
export const E2E_RUNTIME: Runtime = runtimeOf(process.env["GYRE_E2E_RUNTIME"] ?? "node");

function runtimeOf(name: string): Runtime {
  if (name === "node" || name === "bun" || name === "deno") return name;
  throw new Error(`Cannot use the runtime ${JSON.stringify(name)}, want node, bun or deno`);
}

interface Place {
  readonly name: string;
  readonly region: string;
  readonly clientPort: number;
  readonly peerPort: number;
}

export interface ServeClusterOptions {
  readonly nodes: number;
  /** Dealt round robin. */
  readonly regions: readonly string[];
  readonly runtime?: Runtime;
  /** More flags for every node. */
  readonly flags?: readonly string[];
  /** More of the environment for every node; its data directory stands for `{data}`. */
  readonly environment?: Readonly<Record<string, string>>;
}

export class ServeCluster {
  readonly directory = mkdtempSync(join(tmpdir(), "gyre-e2e-"));
  readonly #options: ServeClusterOptions;
  #places: Place[] = [];
  #nodes: ServeNode[] = [];

  constructor(options: ServeClusterOptions) {
    this.#options = options;
  }

  get secretFile(): string {
    return join(this.directory, "cluster-secret");
  }

  get nodes(): readonly ServeNode[] {
    return this.#nodes;
  }

  node(index: number): ServeNode {
    const node = this.#nodes[index];
    if (node === undefined) throw new Error(`There is no node ${index}`);
    return node;
  }

  regionOf(node: ServeNode): string {
    return this.#places[this.#nodes.indexOf(node)]?.region ?? "";
  }

  /** The address of the node's peer listener. */
  peerUrlOf(index: number): string {
    return `http://127.0.0.1:${this.#places[index]?.peerPort}`;
  }

  dataOf(index: number): string {
    return join(this.directory, this.node(index).name);
  }

  /** Resolves when every node sees every node up. */
  async start(): Promise<void> {
    const { nodes, regions } = this.#options;
    const ports = await freePorts(2 * nodes);
    writeFileSync(this.secretFile, `${randomBytes(32).toString("hex")}\n`, { mode: 0o600 });
    this.#places = Array.from({ length: nodes }, (_, index) => ({
      name: String(index),
      region: regions[index % regions.length] ?? "",
      clientPort: ports[2 * index] ?? 0,
      peerPort: ports[2 * index + 1] ?? 0,
    }));
    this.#nodes = this.#places.map((_, index) => this.#spawn(index, index > 0));
    await Promise.all(this.#nodes.map((node) => node.ready(READY_MS)));
    await this.untilAllUp();
  }

  /** Starts a node again that has ended. Resolves when it takes requests. */
  async restart(index: number): Promise<ServeNode> {
    await this.node(index).ended;
    const node = this.#spawn(index, true);
    this.#nodes[index] = node;
    await node.ready(READY_MS);
    return node;
  }

  /** Starts a node again that has ended, and returns after so long, wherever it is by then. */
  async restartFor(index: number, ms: number): Promise<ServeNode> {
    await this.node(index).ended;
    const node = this.#spawn(index, true);
    this.#nodes[index] = node;
    await new Promise((wake) => setTimeout(wake, ms));
    return node;
  }

  /** Resolves when these nodes (all, if none are named) see every node up. */
  async untilAllUp(seers: readonly ServeNode[] = this.#nodes): Promise<void> {
    for (const node of seers) {
      await until(`${node.name} to see all nodes up`, async () => {
        const answer = await ask(`${node.url}/v1/cluster`);
        const { nodes } = jsonOf<ClusterView>(answer);
        const up = nodes.filter((member) => member.state === "up").length;
        return up === this.#nodes.length ? true : undefined;
      });
    }
  }

  /** Ends all processes at once, even stopped ones, and removes their data. */
  async close(): Promise<void> {
    for (const node of this.#nodes) if (!node.hasEnded) node.signal("SIGKILL");
    await Promise.all(this.#nodes.map((node) => node.ended));
    rmSync(this.directory, { recursive: true, force: true });
  }

  #spawn(index: number, joins: boolean): ServeNode {
    const place = this.#places[index];
    if (place === undefined) throw new Error(`There is no node ${index}`);
    const { name, region, clientPort, peerPort } = place;
    const peers = this.#places
      .filter((other) => other !== place)
      .map((other) => `http://127.0.0.1:${other.peerPort}`);
    const client = `127.0.0.1:${clientPort}`;
    const runtime = this.#options.runtime ?? E2E_RUNTIME;
    const data = join(this.directory, name);
    const environment = Object.fromEntries(
      Object.entries(this.#options.environment ?? {}).map(([key, value]) => [
        key,
        value.replaceAll("{data}", data),
      ]),
    );
    const args = [
      ...["--data", data],
      ...["--listen", client, "--peer-listen", `127.0.0.1:${peerPort}`],
      ...["--region", region, "--zone", `z${name}`],
      ...["--cluster-secret-file", this.secretFile],
      ...["--bootstrap-expect", String(this.#places.length), "--log-format", "json"],
      ...(joins && peers.length > 0 ? ["--join", peers.join(",")] : []),
      ...(this.#options.flags ?? []),
    ];
    return new ServeNode(name, `http://${client}`, gyreCommand(runtime), args, environment);
  }
}
