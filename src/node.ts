/** The composition root: one ring member from a configuration, a world and an opened data directory. */

import { Cluster } from "./cluster/cluster.ts";
import { Keyring } from "./cluster/keyring.ts";
import { encodeLayout } from "./cluster/layout-codec.ts";
import { PeerClient } from "./cluster/peer-client.ts";
import { createPeerServer } from "./cluster/peer-server.ts";
import { HybridClock } from "./core/clock.ts";
import { type ClusterId, type NodeId, parseRegionId } from "./core/ids.ts";
import {
  BATCH_BYTES_MAX,
  MESSAGE_LIFE_MS,
  PEER_BODY_BYTES_MAX,
  STAND_IN_AFTER_MIN_MS,
} from "./core/limits.ts";
import type { Disk } from "./env/disk.ts";
import type { Env } from "./env/env.ts";
import type { PeerHandler } from "./env/transport.ts";
import { type RunningWorker, startWorker } from "./env/worker.ts";
import { createApp } from "./http/app.ts";
import type { RequestInfo } from "./http/call.ts";
import { type NodeConfig, VERSION } from "./node-config.ts";
import { nodeMetrics } from "./node-metrics.ts";
import type { Replication } from "./replication/context.ts";
import { Coordinator } from "./replication/coordinator.ts";
import { type Counters, newCounters } from "./replication/counters.ts";
import { Doubt } from "./replication/doubt.ts";
import { PeerService } from "./replication/peer-service.ts";
import { recoveryWorker } from "./replication/recovery.ts";
import { Replica } from "./replication/replica.ts";
import { Sweeper } from "./replication/sweeper.ts";
import { type DataDirectory, openDataDirectory } from "./storage/data-directory.ts";
import type { DataDirectoryOptions } from "./storage/data-directory-options.ts";
import { Store } from "./storage/store.ts";

/** What the runtimes' listeners and transports let pass: the largest body that the node itself accepts. */
export const BODY_LIMITS = { clientBytesMax: BATCH_BYTES_MAX, peerBytesMax: PEER_BODY_BYTES_MAX };

/** @throws DataDirectoryError with what the operator can do. */
export function openData(options: DataDirectoryOptions): DataDirectory {
  return openDataDirectory(options);
}

/** What openDataDirectory gives, or the simulator's counterpart. */
export interface NodeData {
  readonly nodeId: NodeId;
  /** Undefined until the node has created or joined a cluster. */
  readonly clusterId: ClusterId | undefined;
  setClusterId(id: ClusterId): void;
  readonly disk: Disk;
  /** The durable boot counter. */
  readonly incarnation: number;
  /** This database is new although the node is not: it may have forgotten rows, dots and promises. */
  readonly forgotten: boolean;
  close(): void;
}

export interface GyreNode {
  readonly nodeId: NodeId;
  /** What replication has done so far; the metrics show the same. */
  readonly counters: Readonly<Counters>;
  /** The client-facing app; `info` is what the runtime's listener knows beyond the request. */
  fetch(request: Request, info?: RequestInfo): Response | Promise<Response>;
  /** What the peer listener calls. */
  readonly peer: PeerHandler;
  start(): void;
  /** Ends background work, then commits and closes the store. Requests under way should have ended before. */
  stop(): Promise<void>;
  /** Resolves when the background work caused by requests so far (read repair) has ended. */
  idle(): Promise<void>;
}

export interface NodeOptions {
  readonly config: NodeConfig;
  readonly env: Env;
  readonly data: NodeData;
  /** Such as `node 24.21.0`: shown, never acted upon. */
  readonly runtime: string;
}

/** Hinted handoff is not built yet: no stand-in ever holds anything. */
const NO_HINTS = { count: 0, bytes: 0 };

/** Builds the node; nothing runs before `start`. @throws Error when the configuration or the disk cannot be used. */
export function createNode(options: NodeOptions): GyreNode {
  const { config, env, data } = options;
  const { store, keyring, client, cluster } = assemble(options);
  const replication = replicationOf(options, store, client, cluster);
  const coordinator = new Coordinator(replication);
  const service = new PeerService(replication, coordinator, () => {
    const layout = cluster.layout();
    return layout === undefined ? null : encodeLayout(layout.document);
  });
  const peer = createPeerServer({
    env,
    self: data.nodeId,
    clusterId: () => cluster.clusterId(),
    keyring,
    handlers: { ...cluster.handlers, ...service.handlers() },
    messageLifeMs: config.messageLifeMs ?? MESSAGE_LIFE_MS,
  });
  const app = createApp({
    env,
    membership: cluster,
    settings: cluster.settings,
    service: coordinator,
    keyring,
    config,
    counters: [nodeMetrics({ counters: replication.counters, store, client })],
    nodeInfo: () => ({ version: VERSION, runtime: options.runtime, hints: NO_HINTS }),
    ready: () => readiness(cluster, data.nodeId),
    refreshLayout: () => cluster.refreshLayout(),
  });
  let recovery: RunningWorker | null = null;
  let stopping = false;
  return {
    nodeId: data.nodeId,
    counters: replication.counters,
    fetch: (request, info) => app.fetch(request, info),
    peer,
    start: () => {
      cluster.start();
      recovery = startWorker(
        env.clock,
        env.logger,
        recoveryWorker(replication, () => stopping),
        0,
      );
    },
    stop: async () => {
      stopping = true;
      await recovery?.stop();
      await cluster.stop();
      await coordinator.idle();
      client.close();
      store.close();
      data.close();
    },
    idle: () => coordinator.idle(),
  };
}

interface Parts {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly client: PeerClient;
  readonly cluster: Cluster;
}

/** Store, peer client and cluster know each other only through the functions given here. */
function assemble(options: NodeOptions): Parts {
  const { config, env, data } = options;
  const keyring = new Keyring(env.crypto, config.secrets);
  const store = Store.open({
    disk: data.disk,
    clock: env.clock,
    hasher: env.hasher,
    random: env.random,
    logger: env.logger,
    failStop: env.failStop,
    cacheBytes: config.cacheBytes,
    digestKey: keyring.active("row-digest").key,
  });
  const client = new PeerClient({
    env,
    self: data.nodeId,
    clusterId: () => cluster.clusterId(),
    keyring,
    messageLifeMs: config.messageLifeMs ?? MESSAGE_LIFE_MS,
    addressOf: (node) => cluster.addressOf(node),
    onRoundTrip: (node, ms) => cluster.observeRoundTrip(node, ms),
  });
  const cluster: Cluster = new Cluster({
    env,
    meta: store.meta,
    channel: client,
    self: data.nodeId,
    clusterId: data.clusterId,
    incarnation: data.incarnation,
    config,
    load: () => {
      const { rows, bytes } = store.usage();
      return { keys: rows, bytes };
    },
    hasRows: () => store.usage().rows > 0,
    actorIsNew: data.forgotten,
  });
  cluster.onClusterId((id) => data.setClusterId(id));
  return { store, keyring, client, cluster };
}

function replicationOf(
  { config, env, data }: NodeOptions,
  store: Store,
  client: PeerClient,
  cluster: Cluster,
): Replication {
  const clock = new HybridClock(() => env.clock.wallMs());
  const doubt = new Doubt({
    meta: store.meta,
    logger: env.logger,
    hasher: env.hasher,
    self: data.nodeId,
    forgotten: data.forgotten,
  });
  return {
    env,
    self: data.nodeId,
    region: parseRegionId(config.region),
    membership: cluster,
    channel: client,
    store,
    replica: new Replica({
      store,
      clock,
      hasher: env.hasher,
      beforeOverwrite: (key) => doubt.beforeOverwrite(key),
    }),
    clock,
    sweeper: new Sweeper(env.clock),
    counters: newCounters(),
    doubt,
    patienceMs: (node) => Math.max(2 * client.latencyP99Ms(node), STAND_IN_AFTER_MIN_MS),
    adoptRefusal: (detail) => cluster.adoptRefusal(detail),
    refreshLayout: (holder) => cluster.refreshLayout(holder),
  };
}

function readiness(cluster: Cluster, self: NodeId): { ready: boolean; reason?: string } {
  const layout = cluster.layout();
  if (layout === undefined) return { ready: false, reason: "no layout yet: still joining" };
  if (layout.member(self) === undefined) return { ready: false, reason: "not in the layout yet" };
  if (!layout.document.formed) {
    const { members, expect } = layout.document;
    return { ready: false, reason: `waiting for members: ${members.length} of ${expect}` };
  }
  return { ready: true };
}
