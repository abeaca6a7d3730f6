/** Several Clusters over a network in memory under one virtual clock: what membership does, without sockets or disks. */
import { createHash } from "node:crypto";
import { decode, encode } from "@msgpack/msgpack";
import { Cluster } from "../../src/cluster/cluster.ts";
import type { ClusterConfig, ClusterOptions } from "../../src/cluster/cluster-options.ts";
import {
  type MessageKind,
  type PeerChannel,
  PeerError,
  type SendOptions,
  type WireFields,
} from "../../src/cluster/peer-channel.ts";
import { type ClusterId, type NodeId, parseNodeId } from "../../src/core/ids.ts";
import type { Env } from "../../src/env/env.ts";
import type { LogFields } from "../../src/env/logger.ts";
import type { MetaStore, MetaValues } from "../../src/env/meta-store.ts";
import type { Random } from "../../src/env/random.ts";
import { type NodeClock, VirtualClock } from "./virtual-clock.ts";

/** Mulberry32: enough for tests, the same on every runtime. */
export function seededRandom(seed: number): Random {
  let state = seed | 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  return {
    below: (limit) => (limit <= 1 ? 0 : next() % limit),
    bytes: (count) => Uint8Array.from({ length: count }, () => next() & 0xff),
  };
}

export class MemoryMeta implements MetaStore {
  readonly values = new Map<string, Uint8Array>();

  get(name: string): Uint8Array | undefined {
    return this.values.get(name)?.slice();
  }
  set(name: string, value: Uint8Array): void {
    this.values.set(name, value.slice());
  }
  setAll(values: MetaValues): void {
    for (const [name, value] of values) this.set(name, value);
  }
  delete(name: string): void {
    this.values.delete(name);
  }
  names(prefix: string): string[] {
    return [...this.values.keys()].filter((name) => name.startsWith(prefix)).sort();
  }
}

export interface LogLine {
  readonly node: number;
  readonly level: string;
  readonly event: string;
  readonly fields: LogFields;
}

/** One node's directory and, while it runs, its process. */
export interface TestNode {
  readonly index: number;
  readonly id: NodeId;
  meta: MemoryMeta;
  clusterId: ClusterId | undefined;
  incarnation: number;
  config: ClusterConfig;
  keys: number;
  clock: NodeClock;
  cluster: Cluster;
  running: boolean;
}

/** A message may be dropped or delayed: undefined delivers it after the world's latency, null drops it. */
export type Interference = (
  from: number,
  to: number,
  kind: MessageKind,
  isAnswer: boolean,
) => number | null | undefined;

export class ClusterWorld {
  readonly clock = new VirtualClock();
  readonly nodes: TestNode[] = [];
  readonly logs: LogLine[] = [];
  /** Anything but a PeerError that a handler threw: a bug, whatever else the test looks at. */
  readonly faults: unknown[] = [];
  readonly trace = createHash("sha256");
  latencyMs = 1;
  interfere: Interference = () => undefined;
  readonly #random: Random;

  constructor(seed = 1) {
    this.#random = seededRandom(seed);
  }

  /** Makes the directory of a node and starts it. */
  add(config: Partial<ClusterConfig> = {}): TestNode {
    const index = this.nodes.length;
    const hex = (index + 1).toString(16);
    const id = parseNodeId(hex.padStart(2, "0").repeat(16));
    const url = `http://node-${index}:7071`;
    const full: ClusterConfig = {
      region: ["eu", "us", "ap"][index % 3] as string,
      zone: "a",
      weight: 1,
      role: "storage",
      url: `http://node-${index}:7070`,
      peerUrl: url,
      join: index === 0 ? [] : ["http://node-0:7071"],
      bootstrapExpect: 1,
      partitions: 16,
      copies: 3,
      gossipIntervalMs: 500,
      ...config,
    };
    const directory = { index, id, meta: new MemoryMeta(), clusterId: undefined, incarnation: 0 };
    const process = this.#process(directory, full, false);
    const node: TestNode = { ...directory, config: full, keys: 0, running: true, ...process };
    this.nodes.push(node);
    this.#launch(node);
    return node;
  }

  /** kill -9: the database stays. */
  kill(node: TestNode): void {
    node.clock.kill();
    node.running = false;
  }

  /** Starts the process again; `lostDatabase` is a new actor id on an empty database under the old identity. */
  restart(node: TestNode, lostDatabase = false): void {
    if (node.running) this.kill(node);
    if (lostDatabase) node.meta = new MemoryMeta();
    Object.assign(node, this.#process(node, node.config, lostDatabase), { running: true });
    this.#launch(node);
  }

  logged(event: string): readonly LogLine[] {
    return this.logs.filter((line) => line.event === event);
  }

  async runFor(ms: number): Promise<void> {
    await this.clock.run(this.clock.monotonicMs() + ms);
    if (this.faults.length > 0) throw this.faults[0];
  }

  async until(done: () => boolean, limitMs: number, what: string): Promise<void> {
    await this.clock.runUntil(done, limitMs, what);
    if (this.faults.length > 0) throw this.faults[0];
  }

  /** Runs the clock until the promise has settled. */
  async settle<T>(promise: Promise<T>, limitMs = 20_000): Promise<T> {
    let settled = false;
    const watched = promise.finally(() => {
      settled = true;
    });
    watched.catch(() => undefined);
    await this.until(() => settled, limitMs, "a promise settles");
    return watched;
  }

  /** A second process on a copy of the node's directory, reached at an address of its own. */
  clone(node: TestNode): TestNode {
    const index = this.nodes.length;
    const meta = new MemoryMeta();
    for (const [name, value] of node.meta.values) meta.set(name, value);
    const config = { ...node.config, peerUrl: `http://node-${index}:7071` };
    const directory = { ...node, index, meta, config };
    const twin: TestNode = { ...directory, ...this.#process(directory, config, false) };
    this.nodes.push(twin);
    this.#launch(twin);
    return twin;
  }

  #process(
    directory: Pick<TestNode, "index" | "id" | "meta" | "clusterId" | "incarnation">,
    config: ClusterConfig,
    actorIsNew: boolean,
  ): { clock: NodeClock; cluster: Cluster; incarnation: number } {
    const { index, id, meta, clusterId } = directory;
    const incarnation = directory.incarnation + 1;
    const clock = this.clock.clockFor();
    const live = (): TestNode | undefined => this.nodes.find((node) => node.index === index);
    const options: ClusterOptions = {
      env: this.#env(index, clock),
      meta,
      channel: this.#channel(index, id, clock),
      self: id,
      clusterId,
      incarnation,
      config,
      load: () => ({ keys: live()?.keys ?? 0, bytes: 0, hints: { count: 0, bytes: 0 } }),
      hasRows: () => (live()?.keys ?? 0) > 0,
      actorIsNew,
    };
    return { clock, cluster: new Cluster(options), incarnation };
  }

  #launch(node: TestNode): void {
    node.cluster.onClusterId((clusterId) => {
      node.clusterId = clusterId;
    });
    node.cluster.start();
  }

  #env(index: number, clock: NodeClock): Env {
    const log =
      (level: string) =>
      (event: string, fields: LogFields = {}): void => {
        this.logs.push({ node: index, level, event, fields });
      };
    const unused = (): never => {
      throw new Error("not part of this test world");
    };
    return {
      clock,
      random: seededRandom(this.#random.below(2 ** 32)),
      crypto: {
        sha256: (bytes) => new Uint8Array(createHash("sha256").update(bytes).digest()),
        hmacSha256: unused,
        hkdfSha256: unused,
        equal: unused,
      },
      hasher: { hash64: unused, hash128: unused },
      logger: { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error") },
      transport: { call: unused },
      failStop: (reason, cause) => {
        throw new Error(reason, { cause });
      },
    };
  }

  #channel(from: number, self: NodeId, clock: NodeClock): PeerChannel {
    return {
      send: (node, kind, fields, options) => {
        const known = this.nodes[from]?.cluster.addressOf(node);
        const target = this.nodes.find((other) => other.config.peerUrl === known);
        return this.#call(from, self, clock, target, kind, fields, options);
      },
      sendTo: (url, kind, fields, timeoutMs) => {
        const target = this.nodes.find((other) => other.config.peerUrl === url);
        return this.#call(from, self, clock, target, kind, fields, { timeoutMs, lane: "direct" });
      },
    };
  }

  #call(
    from: number,
    self: NodeId,
    clock: NodeClock,
    target: TestNode | undefined,
    kind: MessageKind,
    fields: WireFields,
    options: SendOptions,
  ): Promise<WireFields> {
    // Through the codec, as on the wire: what cannot travel fails here, and nobody shares memory.
    const request = encode(fields);
    this.trace
      .update(`${this.clock.monotonicMs()} ${from} ${target?.index} ${kind}`)
      .update(request);
    return new Promise((resolve, reject) => {
      const timer = clock.after(options.timeoutMs, () => {
        reject(
          new PeerError("timeout", "timeout", `No answer to ${kind} in ${options.timeoutMs} ms`),
        );
      });
      const settle = (act: () => void): void => {
        timer.cancel();
        act();
      };
      if (target === undefined) {
        settle(() => reject(new PeerError("unreachable", "unreachable", "Unknown address")));
        return;
      }
      const { index } = target;
      const arrive = async (): Promise<void> => {
        const node = this.nodes[index];
        if (node === undefined || !node.running) {
          clock.after(this.latencyMs, () =>
            settle(() => reject(new PeerError("unreachable", "unreachable", "Refused"))),
          );
          return;
        }
        const answer = await this.#answer(node, kind, request, self, options.timeoutMs);
        const delayMs = this.interfere(index, from, kind, true);
        if (delayMs === null || !node.running) return;
        clock.after(delayMs ?? this.latencyMs, () =>
          settle(() => (answer instanceof PeerError ? reject(answer) : resolve(answer))),
        );
      };
      const delayMs = this.interfere(from, index, kind, false);
      // On the target's clock: a stalled process reads its socket late.
      if (delayMs !== null) {
        const network = target.running ? target.clock : this.clock;
        network.after(delayMs ?? this.latencyMs, () => void arrive());
      }
    });
  }

  async #answer(
    node: TestNode,
    kind: MessageKind,
    request: Uint8Array,
    from: NodeId,
    timeoutMs: number,
  ): Promise<WireFields | PeerError> {
    const handler = node.cluster.handlers[kind];
    if (handler === undefined) return new PeerError("refused", "unknown_kind", kind);
    try {
      const fields = decode(request) as WireFields;
      return decode(
        encode(await handler(fields, { from, timeoutMs, diesMs: Number.POSITIVE_INFINITY })),
      ) as WireFields;
    } catch (error) {
      if (error instanceof PeerError) return error;
      this.faults.push(error);
      return new PeerError("refused", "internal", String(error));
    }
  }
}

/** A cluster of so many nodes, formed. */
export async function formedWorld(size: number, seed = 1): Promise<ClusterWorld> {
  const world = new ClusterWorld(seed);
  for (let i = 0; i < size; i++) world.add({ bootstrapExpect: size });
  await world.until(
    () => world.nodes.every((node) => !node.cluster.refusesWrites()),
    30_000,
    `${size} nodes form a cluster`,
  );
  return world;
}
