/**
 * What a peer message costs: a client and a server of the peer protocol in one process, over loopback HTTP, with
 * authentication on and 64 messages outstanding. `node bench/peer.ts [seconds]`, or bun, or deno run -A.
 *
 * Figures are CPU time of both ends together, which is what the throughput of a cluster on few cores is made of.
 */
import process from "node:process";
import * as bunListeners from "../runtimes/shared/listen-bun.ts";
import * as netListener from "../runtimes/shared/listen-peer.ts";
import { systemClock } from "../runtimes/shared/system-clock.ts";
import { systemCrypto } from "../runtimes/shared/system-crypto.ts";
import { createSystemRandom } from "../runtimes/shared/system-random.ts";
import { createNetTransport } from "../runtimes/shared/transport-net.ts";
import { Keyring } from "../src/cluster/keyring.ts";
import type { WireFields } from "../src/cluster/peer-channel.ts";
import { PeerClient } from "../src/cluster/peer-client.ts";
import { createPeerServer } from "../src/cluster/peer-server.ts";
import { parseClusterId, parseNodeId } from "../src/core/ids.ts";
import {
  MESSAGE_LIFE_MS,
  PEER_BODIES_ARRIVING_BYTES_MAX,
  PEER_BODY_BYTES_MAX,
  PEER_CONNECTIONS_MAX,
} from "../src/core/limits.ts";
import type { Env } from "../src/env/env.ts";

const OUTSTANDING = 64;
const WARM_UP_SECONDS = 2;
const seconds = Number(process.argv[2] ?? 5);

const silent = (): void => undefined;
const transport = createNetTransport({ answerBytesMax: PEER_BODY_BYTES_MAX });
const env: Env = {
  clock: systemClock,
  random: createSystemRandom(),
  crypto: systemCrypto,
  hasher: { hash64: () => ({ hi: 0, lo: 0 }), hash128: () => new Uint8Array(16) },
  logger: { debug: silent, info: silent, warn: console.warn, error: console.error },
  transport,
  failStop: (reason) => {
    throw new Error(reason);
  },
};
const keyring = new Keyring(systemCrypto, [env.random.bytes(32)]);
const cluster = parseClusterId("c".repeat(32));
const target = parseNodeId("b".repeat(32));
const { listenPeer } = "Bun" in globalThis ? bunListeners : netListener;

/** About the fields of a write of a 100-byte value, and of its acknowledgement. */
const write: WireFields = [
  7,
  1,
  new Uint8Array(20).fill(107),
  new Uint8Array(60).fill(1),
  new Uint8Array(100).fill(118),
  1_767_225_600_000_000,
  true,
];
const acknowledgement: WireFields = [new Uint8Array(16), 1_767_225_600_000_000, null, 1];

const receiver = createPeerServer({
  env,
  self: target,
  clusterId: () => cluster,
  keyring,
  handlers: { write: () => acknowledgement },
  messageLifeMs: MESSAGE_LIFE_MS,
});
const listener = await listenPeer({
  host: "127.0.0.1",
  port: 0,
  handler: receiver.handle,
  admit: receiver.admit,
  bodyBytesMax: PEER_BODY_BYTES_MAX,
  arrivingBytesMax: PEER_BODIES_ARRIVING_BYTES_MAX,
  connectionsMax: PEER_CONNECTIONS_MAX,
});
const client = new PeerClient({
  env,
  sessionClock: env.clock,
  self: parseNodeId("a".repeat(32)),
  clusterId: () => cluster,
  keyring,
  messageLifeMs: MESSAGE_LIFE_MS,
  addressOf: () => listener.url,
});

async function sendUntil(endMs: number, lane: "batch" | "direct"): Promise<void> {
  const options = { timeoutMs: 5_000, lane };
  while (performance.now() < endMs) await client.send(target, "write", write, options);
}

async function measure(lane: "batch" | "direct", forSeconds: number): Promise<void> {
  const startMs = performance.now();
  const cpu = process.cpuUsage();
  const before = { ...client.stats };
  const endMs = startMs + forSeconds * 1_000;
  await Promise.all(Array.from({ length: OUTSTANDING }, () => sendUntil(endMs, lane)));
  const elapsed = (performance.now() - startMs) / 1_000;
  const { user, system } = process.cpuUsage(cpu);
  const messages = client.stats.messages - before.messages;
  const requests = client.stats.requests - before.requests;
  if (forSeconds === WARM_UP_SECONDS) return;
  console.log(
    [
      lane.padEnd(6),
      `${Math.round(messages / elapsed)} messages/s`,
      `${(messages / requests).toFixed(1)} messages/request`,
      `${((user + system) / messages).toFixed(2)} us CPU/message`,
      `${((user + system) / requests).toFixed(1)} us CPU/request`,
    ].join("  "),
  );
}

await measure("batch", WARM_UP_SECONDS);
await measure("batch", seconds);
await measure("direct", WARM_UP_SECONDS);
await measure("direct", seconds);
client.close();
transport.close();
await listener.close(100);
