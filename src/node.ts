/** The composition root: one ring member from a configuration, a world and an opened data directory. */

import { Cluster } from "./cluster/cluster.ts";
import { Keyring } from "./cluster/keyring.ts";
import { encodeLayout } from "./cluster/layout-codec.ts";
import { DOCUMENT } from "./cluster/layout-store.ts";
import { PeerClient } from "./cluster/peer-client.ts";
import { createPeerServer } from "./cluster/peer-server.ts";
import { assert } from "./core/assert.ts";
import { HybridClock } from "./core/clock.ts";
import { type ClusterId, type NodeId, parseRegionId } from "./core/ids.ts";
import type { Key } from "./core/key.ts";
import {
  BATCH_BYTES_MAX,
  GRACE_DEFAULT_MS,
  HINT_AGE_MAX_MS,
  MESSAGE_LIFE_MS,
  PEER_BODIES_ARRIVING_BYTES_MAX,
  PEER_BODY_BYTES_MAX,
  PEER_CONNECTIONS_MAX,
  STAND_IN_AFTER_MIN_MS,
} from "./core/limits.ts";
import type { Disk } from "./env/disk.ts";
import type { Env } from "./env/env.ts";
import type { PeerAdmission, PeerHandler } from "./env/transport.ts";
import { WakefulClock } from "./env/wakeful-clock.ts";
import { type RunningWorker, startWorker } from "./env/worker.ts";
import { createApp } from "./http/app.ts";
import type { RequestInfo } from "./http/call.ts";
import { type AntiEntropyParts, createAntiEntropy } from "./node-anti-entropy.ts";
import { type NodeConfig, VERSION } from "./node-config.ts";
import { nodeMetrics } from "./node-metrics.ts";
import { readiness } from "./node-readiness.ts";
import { type OnlyCopyData, onlyCopyWorkers } from "./only-copy-mark.ts";
import { ActorBook } from "./replication/actor-book.ts";
import { ActorsSeen } from "./replication/actors-seen.ts";
import { antiEntropyMetrics } from "./replication/anti-entropy-figures.ts";
import type { Replication } from "./replication/context.ts";
import { Coordinator } from "./replication/coordinator.ts";
import { CopyCheck } from "./replication/copy-check.ts";
import { type Counters, newCounters } from "./replication/counters.ts";
import type { ReadAnswer } from "./replication/data-messages.ts";
import { Doubt } from "./replication/doubt.ts";
import { handoffWorker } from "./replication/handoff.ts";
import { isHeldElsewhere } from "./replication/held-elsewhere.ts";
import { hintUsage } from "./replication/hint-rows.ts";
import { Hints, hintBudget } from "./replication/hints.ts";
import { localRead } from "./replication/local-read.ts";
import { PeerService } from "./replication/peer-service.ts";
import { quarantinePage } from "./replication/quarantine.ts";
import { createReaping, type ReapingParts } from "./replication/reaping.ts";
import { recoveryWorker } from "./replication/recovery.ts";
import { Replica } from "./replication/replica.ts";
import { Sweeper } from "./replication/sweeper.ts";
import { type DataDirectory, openDataDirectory } from "./storage/data-directory.ts";
import type { DataDirectoryOptions } from "./storage/data-directory-options.ts";
import { RESTORED_SHELF } from "./storage/shelves.ts";
import { Store } from "./storage/store.ts";

/** What the runtimes' listeners and transports let pass: the largest body that the node itself accepts. */
export const BODY_LIMITS = { clientBytesMax: BATCH_BYTES_MAX, peerBytesMax: PEER_BODY_BYTES_MAX };
export const PEER_LISTENER_LIMITS = {
  bodyBytesMax: PEER_BODY_BYTES_MAX,
  arrivingBytesMax: PEER_BODIES_ARRIVING_BYTES_MAX,
  connectionsMax: PEER_CONNECTIONS_MAX,
};

/** @throws DataDirectoryError with what the operator can do. */
export function openData(options: Omit<DataDirectoryOptions, "vitalMeta">): DataDirectory {
  return openDataDirectory({ ...options, vitalMeta: [DOCUMENT] });
}

/** What openDataDirectory gives, or the simulator's counterpart. */
export interface NodeData extends OnlyCopyData {
  /** Undefined until the node has created or joined a cluster. */
  readonly clusterId: ClusterId | undefined;
  setClusterId(id: ClusterId): void;
  readonly disk: Disk;
  /** The durable boot counter. */
  readonly incarnation: number;
  /** Undefined where there are no files. */
  readonly backup?: (
    version: string,
  ) => Promise<{ readonly path: string; readonly manifest: object }>;
  /** This database is new although the node is not: it may have forgotten rows, dots and promises. */
  readonly forgotten: boolean;
  close(): void;
}

export interface GyreNode {
  readonly nodeId: NodeId;
  /** What replication has done so far; the metrics show the same. */
  readonly counters: Readonly<Counters>;
  /** Figures of anti-entropy, and the trees that must be as the rows are. */
  readonly repair: Pick<AntiEntropyParts, "antiEntropy" | "trees">;
  /** Its own answer to a read, as it would give it to a peer: what it holds of the key, and whether that counts. */
  ownAnswer(key: Key): ReadAnswer | Promise<ReadAnswer>;
  /** The client-facing app; `info` is what the runtime's listener knows beyond the request. */
  fetch(request: Request, info?: RequestInfo): Response | Promise<Response>;
  /** What the peer listener calls. */
  readonly peer: PeerHandler;
  readonly admitPeer: PeerAdmission;
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

/** Builds the node; nothing runs before `start`. @throws Error when the configuration or the disk cannot be used. */
export function createNode(options: NodeOptions): GyreNode {
  const { config, env, data } = options;
  const lifeMs = config.messageLifeMs ?? MESSAGE_LIFE_MS;
  assert(config.requestTimeoutMs < lifeMs, "no request may outlive a message");
  // What came from others is judged by a clock that goes on while the machine sleeps, and so is what waits for them.
  const wakeful: Env = { ...env, clock: new WakefulClock(env.clock) };
  const parts = assemble(options, wakeful);
  const { store, keyring, client, cluster } = parts;
  const markWorkers = onlyCopyWorkers(data, env.logger, cluster);
  let copyCheck: CopyCheck | null = null;
  const mayBeCopy = () => copyCheck?.isPending === true;
  const beforeMint = () => copyCheck?.beforeMint();
  const replication = replicationOf({ ...options, env: wakeful }, parts, mayBeCopy, beforeMint);
  copyCheck = new CopyCheck(replication, () => cluster.beginRecovery());
  const graceMs = config.graceMs ?? GRACE_DEFAULT_MS;
  const reaping = createReaping(replication, env.clock, graceMs, config.contextEntriesMax);
  const coordinator = new Coordinator(replication);
  const service = new PeerService(replication, coordinator, () => {
    const layout = cluster.layout();
    return layout === undefined ? null : encodeLayout(layout.document);
  });
  const repair = createAntiEntropy(replication, keyring, config);
  const peer = createPeerServer({
    env: wakeful,
    self: data.nodeId,
    clusterId: () => cluster.clusterId(),
    keyring,
    handlers: {
      ...cluster.handlers,
      ...service.handlers(),
      ...reaping.handlers,
      ...new ActorsSeen(store.meta, env.clock).handlers(),
      ...repair.antiEntropy.handlers(service.admission),
    },
    messageLifeMs: lifeMs,
  });
  const app = appOf(options, parts, replication, coordinator, repair, reaping);
  let background: RunningWorker[] = [];
  let stopping = false;
  return {
    nodeId: data.nodeId,
    counters: replication.counters,
    repair,
    ownAnswer: (key) => localRead(replication, key),
    fetch: (request, info) => app.fetch(request, info),
    peer: peer.handle,
    admitPeer: peer.admit,
    start: () => {
      cluster.start();
      const workers = [
        recoveryWorker(replication, () => stopping),
        handoffWorker(replication, () => stopping),
        ...reaping.workers,
        copyCheck,
        ...repair.workers,
        ...markWorkers,
      ];
      background = workers.map((worker) => startWorker(env.clock, env.logger, worker, 0));
    },
    stop: async () => {
      stopping = true;
      repair.antiEntropy.stop();
      await Promise.all(background.map((worker) => worker.stop()));
      await cluster.stop();
      await coordinator.idle();
      client.close();
      store.close();
      data.close();
    },
    idle: () => coordinator.idle(),
  };
}

function appOf(
  options: NodeOptions,
  { store, keyring, client, cluster }: Parts,
  replication: Replication,
  coordinator: Coordinator,
  repair: AntiEntropyParts,
  reaping: ReapingParts,
): ReturnType<typeof createApp> {
  const { config, env, data } = options;
  const { backup } = data;
  return createApp({
    env,
    membership: cluster,
    settings: cluster.settings,
    service: coordinator,
    keyring,
    config,
    confirmedWallMs: () => cluster.confirmedWallMs(),
    counters: [
      nodeMetrics({ counters: replication.counters, store, client, clocks: cluster.clocks }),
      () => antiEntropyMetrics(repair.antiEntropy.figures, repair.trees),
    ],
    nodeInfo: () => ({
      version: VERSION,
      runtime: options.runtime,
      antiEntropy: repair.antiEntropy.view(),
      reaping: reaping.view(),
    }),
    ready: () => readiness(cluster, data.nodeId, replication.mayBeCopy()),
    refreshLayout: () => cluster.refreshLayout(),
    backup: backup === undefined ? null : () => backup(VERSION),
    quarantine: (cursor) => quarantinePage(store, cursor),
  });
}

interface Parts {
  readonly store: Store;
  readonly keyring: Keyring;
  readonly client: PeerClient;
  readonly cluster: Cluster;
}

/** Store, peer client and cluster know each other only through the functions given here. */
function assemble(options: NodeOptions, wakeful: Env): Parts {
  const { config, env, data } = options;
  const keyring = new Keyring(env.crypto, config.secrets);
  const store = Store.open({
    disk: data.disk,
    clock: env.clock,
    hasher: env.hasher,
    random: env.random,
    logger: env.logger,
    failStop: env.failStop,
    isHeldElsewhere: () => isHeldElsewhere(cluster.layout(), data.nodeId),
    cacheBytes: config.cacheBytes,
    digestKey: keyring.active("row-digest").key,
  });
  const client = new PeerClient({
    env: wakeful,
    self: data.nodeId,
    clusterId: () => cluster.clusterId(),
    keyring,
    sessionClock: env.clock,
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
      return { keys: rows, bytes, hints: hintUsage(store) };
    },
    hasRows: () => store.usage().rows > 0,
    actorIsNew: data.forgotten,
  });
  cluster.onClusterId((id) => data.setClusterId(id));
  return { store, keyring, client, cluster };
}

function replicationOf(
  { config, env, data }: NodeOptions,
  { store, client, cluster }: Parts,
  mayBeCopy: () => boolean,
  beforeMint: () => void,
): Replication {
  const clock = new HybridClock(() => env.clock.wallMs() + cluster.clocks.correctionMs());
  const doubt = new Doubt({
    meta: store.meta,
    logger: env.logger,
    hasher: env.hasher,
    self: data.nodeId,
    forgotten: data.forgotten,
    holdsApart: () => store.isRestoring || store.asideUsage().has(RESTORED_SHELF),
  });
  const counters = newCounters();
  const bytesMax = hintBudget(config.diskBytes ?? 0);
  const ageMs = config.hintAgeMs ?? HINT_AGE_MAX_MS;
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
      beforeMint,
      beforeOverwrite: (key) => doubt.beforeOverwrite(key),
    }),
    clock,
    sweeper: new Sweeper(env.clock),
    counters,
    doubt,
    lifeMs: config.messageLifeMs ?? MESSAGE_LIFE_MS,
    hints: new Hints({ store, clock, counters, bytesMax, ageMs }),
    actors: new ActorBook({
      meta: store.meta,
      logger: env.logger,
      self: data.nodeId,
      actorId: store.actorId,
      incarnation: data.incarnation,
    }),
    clockIsOff: () => cluster.clocks.givesWay,
    mayBeCopy,
    patienceMs: (node) => Math.max(2 * client.latencyP99Ms(node), STAND_IN_AFTER_MIN_MS),
    adoptRefusal: (detail) => cluster.adoptRefusal(detail),
    refreshLayout: (holder) => cluster.refreshLayout(holder),
  };
}
