/** Brings one node to life on any runtime: data directory, secrets, world, listeners; and takes it down in order. */
import process from "node:process";
import { parseSecrets, type ServeConfig } from "../../src/config.ts";
import type { Files } from "../../src/env/files.ts";
import type { Logger } from "../../src/env/logger.ts";
import type { SqliteDriver } from "../../src/env/sqlite.ts";
import type { Transport } from "../../src/env/transport.ts";
import { BODY_LIMITS, createNode, openData, PEER_LISTENER_LIMITS } from "../../src/node.ts";
import { diskBytesAt } from "./disk-size.ts";
import type { ClientListenOptions, Listener, PeerListenOptions } from "./listener.ts";
import { createFormattedLogger } from "./log-format.ts";
import { createSystemEnv } from "./system-env.ts";
import { createSystemFiles } from "./system-files.ts";
import { withWanDelay } from "./wan-transport.ts";

/** What each runtime does its own way. */
export interface RuntimeParts {
  /** Such as `node 24.21.0`. */
  readonly name: string;
  loadSqlite(): Promise<SqliteDriver>;
  createTransport(options: { readonly answerBytesMax: number }): Transport & { close(): void };
  listenClient(options: ClientListenOptions): Promise<Listener>;
  listenPeer(options: PeerListenOptions): Promise<Listener>;
}

/** @throws Error with a sentence for the operator: locked or unreadable directory, port in use, bad secret file. */
export async function startNode(
  parts: RuntimeParts,
  config: ServeConfig,
): Promise<{ stop(): Promise<void> }> {
  const format = config.logFormat ?? (process.stderr.isTTY === true ? "text" : "json");
  const logger = createFormattedLogger(config.logLevel, format);
  endOnUnhandled(logger);
  const sqlite = await parts.loadSqlite();
  const files = createSystemFiles(sqlite);
  const env = await createSystemEnv(logger);
  const undo: (() => void | Promise<void>)[] = [];
  try {
    const transport = parts.createTransport({ answerBytesMax: BODY_LIMITS.peerBytesMax });
    undo.push(() => transport.close());
    const data = openData({
      path: config.dataDirectory,
      files,
      driver: sqlite,
      durability: config.node.durability,
      ...(config.backupDirectory !== null && { backupDirectory: config.backupDirectory }),
      ...env,
    });
    undo.push(() => data.close());
    const secrets = readSecrets(config, files, data.ownSecret);
    const node = createNode({
      config: { ...config.node, secrets, diskBytes: diskBytesAt(config.dataDirectory) },
      env: { ...env, transport: withWan(transport) },
      data,
      runtime: `${parts.name}, ${sqlite.name}`,
    });
    // From here on the node closes the data itself.
    undo[1] = () => node.stop();
    const peers = await listening("peers", config.peerListen, {
      listen: parts.listenPeer,
      options: { handler: node.peer, admit: node.admitPeer, ...PEER_LISTENER_LIMITS },
    });
    undo.push(() => peers.close());
    const clients = await listening("clients", config.listen, {
      listen: parts.listenClient,
      options: { fetch: node.fetch, bodyBytesMax: BODY_LIMITS.clientBytesMax },
    });
    undo.push(() => clients.close());
    node.start();
    const { region, zone, url, peerUrl } = config.node;
    logger.info("node-listening", {
      node: node.nodeId,
      region,
      zone,
      url,
      peerUrl,
      pid: process.pid,
      sqlite: sqlite.name,
    });
  } catch (error) {
    await takeDown(undo);
    throw error;
  }
  return {
    stop: async () => {
      logger.info("node-stopping");
      await takeDown(undo);
      logger.info("node-stopped");
    },
  };

  function withWan(transport: Transport): Transport {
    if (config.wan === null) return transport;
    return withWanDelay(transport, env.clock, { region: config.node.region, ...config.wan });
  }
}

/** Clients first, so that what they asked for can still be asked of peers; the data last. */
async function takeDown(undo: (() => void | Promise<void>)[]): Promise<void> {
  for (let act = undo.pop(); act !== undefined; act = undo.pop()) await act();
}

async function listening<Options>(
  whom: string,
  address: ServeConfig["listen"],
  how: {
    listen(options: Options & ServeConfig["listen"]): Promise<Listener>;
    readonly options: Options;
  },
): Promise<Listener> {
  try {
    return await how.listen({ ...how.options, ...address });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new Error(`Cannot listen for ${whom} on ${address.host}:${address.port}: ${reason}`, {
      cause: error,
    });
  }
}

function readSecrets(config: ServeConfig, files: Files, ownSecret: () => Uint8Array): Uint8Array[] {
  const path = config.clusterSecretFile;
  if (path === null) return [ownSecret()];
  const content = files.read(path);
  if (content === undefined) throw new Error(`Cannot find the cluster secret file ${path}`);
  return parseSecrets(path, new TextDecoder().decode(content));
}

/** A rejection that nobody handled is a bug: what it left undone is unknown, so the node must not go on serving. */
function endOnUnhandled(logger: Logger): void {
  const end = (kind: string) => (cause: unknown) => {
    logger.error(kind, {
      error: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause),
    });
    process.exit(1);
  };
  process.on("unhandledRejection", end("unhandled-rejection"));
  process.on("uncaughtException", end("uncaught-exception"));
}
