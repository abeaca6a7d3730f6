/** Two whole nodes in one process whose peer calls are function calls, with SQLite in the temporary directory. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadBetterSqlite } from "../runtimes/shared/sqlite-better.ts";
import { createSystemEnv } from "../runtimes/shared/system-env.ts";
import { createSystemFiles } from "../runtimes/shared/system-files.ts";
import { utf8Encode } from "../src/core/bytes.ts";
import type { Hasher } from "../src/core/hasher.ts";
import { actorIdFromBytes, parseNamespaceId } from "../src/core/ids.ts";
import { type Key, makeKey, partitionOf } from "../src/core/key.ts";
import type { CausalRecord } from "../src/core/version.ts";
import type { PeerHandler, Transport } from "../src/env/transport.ts";
import { createNode, type GyreNode, type NodeData, openData } from "../src/node.ts";
import { Store } from "../src/storage/store.ts";

const PARTITIONS = 16;
const COMMIT_ROWS = 250;
const NAMESPACE = parseNamespaceId(1);
const CLIENT_URL = "http://127.0.0.1:1";
/** Framing of a row in a message: namespace, lengths. */
const ROW_FRAME_BYTES = 12;

function ignore(): void {
  // Figures are all that is wanted here.
}

const env = await createSystemEnv({
  debug: ignore,
  info: ignore,
  warn: ignore,
  error: console.error,
});
const driver = await loadBetterSqlite();
const files = createSystemFiles(driver);

/** Both nodes and what has gone between them. */
class Pair {
  readonly #directory = mkdtempSync(join(tmpdir(), "gyre-anti-entropy-"));
  readonly #peers = new Map<string, PeerHandler>();
  bytes = 0;

  readonly #transport: Transport = {
    call: async ({ url, path, auth, body }) => {
      await turn();
      const answer = await this.#peers.get(url)?.({ path, auth, body });
      await turn();
      if (answer === undefined) throw new Error(`no peer at ${url}`);
      this.bytes += body.length + answer.body.length;
      return answer;
    },
  };

  data(number: number): ReturnType<typeof openData> {
    const path = join(this.#directory, String(number));
    return openData({ path, files, driver, durability: "process", ...env });
  }

  start(number: number): GyreNode {
    const peerUrl = `http://127.0.0.1:${number + 2}`;
    const data: NodeData = this.data(number);
    const node = createNode({
      runtime: driver.name,
      env: { ...env, transport: this.#transport },
      data,
      config: {
        region: "eu",
        zone: "z1",
        weight: 1,
        role: "storage",
        url: CLIENT_URL,
        peerUrl,
        join: number === 0 ? [] : ["http://127.0.0.1:2"],
        bootstrapExpect: 2,
        partitions: PARTITIONS,
        copies: 2,
        secrets: [new Uint8Array(32).fill(5)],
        cacheBytes: 64 << 20,
        durability: "process",
        corsOrigins: [],
        requestTimeoutMs: 5_000,
        gossipIntervalMs: 500,
        antiEntropyIntervalMs: 1_000,
      },
    });
    this.#peers.set(peerUrl, node.peer);
    node.start();
    return node;
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export async function runDifferences(keys: number, differences: number): Promise<void> {
  const pair = new Pair();
  try {
    const first = [pair.start(0), pair.start(1)];
    await until(async () => (await Promise.all(first.map(isReady))).every(Boolean));
    await Promise.all(first.map((node) => node.stop()));
    const fullBytes = fill(pair, keys, differences);
    console.log(`two owners of one partition with ${keys} keys, ${differences} of which differ`);
    const nodes = [pair.start(0), pair.start(1)] as const;
    const startedMs = performance.now();
    await until(() => nodes.every((node) => node.repair.trees.state === "built"));
    console.log(`  trees built after ${seconds(startedMs)} (both nodes in one process)`);
    await until(() => rowsReceived(nodes) >= differences);
    await until(() => nodes.every((node) => hasQuietRound(node)));
    const figures = nodes.map((node) => node.repair.antiEntropy.figures);
    const exchanged = figures.reduce((sum, each) => sum + each.bytesSent + each.bytesReceived, 0);
    const share = ((exchanged / fullBytes) * 100).toFixed(3);
    console.log(`  byte-equal after ${seconds(startedMs)}`);
    console.log(
      `  exchanged ${exchanged} bytes in ${figures[0]?.rounds} + ${figures[1]?.rounds} rounds`,
    );
    console.log(`  a full exchange one way: ${fullBytes} bytes, so ${share} % (goal below 2 %)`);
    console.log(`  all that went between the two since, gossip included: ${pair.bytes} bytes`);
    await Promise.all(nodes.map((node) => node.stop()));
  } finally {
    pair.remove();
  }
}

/** Writes the rows straight into both databases; returns the bytes of all rows of one. */
function fill(pair: Pair, keys: number, differences: number): number {
  pair.bytes = 0;
  const texts = keysOfOnePartition(env.hasher, keys);
  let bytes = 0;
  for (const number of [0, 1]) {
    const data = pair.data(number);
    const ends: (() => void)[] = [];
    const store = Store.open({
      ...env,
      disk: data.disk,
      clock: { ...env.clock, endOfTurn: (act) => void ends.push(act) },
      cacheBytes: 1 << 20,
      digestKey: new Uint8Array(32),
      maxTurnRecords: COMMIT_ROWS,
    });
    bytes = 0;
    texts.forEach((key, i) => {
      // Every n-th is missing at one of the two, in turns.
      const every = Math.floor(keys / differences);
      if (i % every === 0 && (i / every) % 2 === number && i / every < differences) return;
      store.write(key, recordOf(i + 1), null);
      bytes += key.bytes.length + ROW_FRAME_BYTES;
    });
    for (const end of ends) end();
    bytes += store.usage().bytes;
    store.close();
    data.close();
  }
  return bytes;
}

function keysOfOnePartition(hasher: Hasher, count: number): Key[] {
  const keys: Key[] = [];
  for (let i = 0; keys.length < count; i++) {
    const key = makeKey(hasher, NAMESPACE, `key-${i}`);
    if (partitionOf(key.hash, PARTITIONS) === 0) keys.push(key);
  }
  return keys;
}

function recordOf(counter: number): CausalRecord {
  const dot = { actor: actorIdFromBytes(new Uint8Array(16).fill(9)), epoch: 1, counter };
  const value = utf8Encode("x".repeat(100));
  return {
    context: [dot],
    siblings: [
      {
        dot,
        stamp: 1_700_000_000_000_000 + counter,
        deleted: false,
        value,
        valueBytes: value.length,
        valueHash: env.hasher.hash64(value),
        contentType: "text/plain",
        metadata: "",
        expiresAtMs: 0,
        writeQuorum: 2,
        sloppy: true,
        idempotencyKey: "",
        bodyDigest: "",
      },
    ],
  };
}

function rowsReceived(nodes: readonly GyreNode[]): number {
  return nodes.reduce((sum, node) => sum + node.repair.antiEntropy.figures.rowsReceived, 0);
}

/** The last round found nothing to do. */
function hasQuietRound(node: GyreNode): boolean {
  const rounds = [...node.repair.antiEntropy.figures.perPeer.values()];
  return rounds.length > 0 && rounds.every((round) => round.rows === 0);
}

async function isReady(node: GyreNode): Promise<boolean> {
  return (await node.fetch(new Request(`${CLIENT_URL}/readyz`))).status === 200;
}

function seconds(sinceMs: number): string {
  return `${((performance.now() - sinceMs) / 1000).toFixed(1)} s`;
}

async function until(isDone: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isDone())) await new Promise((resolve) => setTimeout(resolve, 20));
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
