import { describe, expect, test } from "bun:test";
import { systemClock } from "../runtimes/shared/system-clock.ts";
import { systemCrypto } from "../runtimes/shared/system-crypto.ts";
import { createSystemRandom } from "../runtimes/shared/system-random.ts";
import { parseNodeId } from "../src/core/ids.ts";
import { TransportError } from "../src/env/transport.ts";
import { createNode, type GyreNode } from "../src/node.ts";
import { SimDisk } from "./simulation/sim-disk.ts";
import { createTestHasher } from "./support/hasher.ts";

const hasher = await createTestHasher();

function ignore(): void {
  // Nobody reads this log.
}

/** A cluster of one, in this process, on a disk in memory. */
function soleNode(): GyreNode {
  return createNode({
    runtime: "a test",
    config: {
      region: "eu",
      zone: "z1",
      weight: 1,
      role: "storage",
      url: "http://127.0.0.1:7070",
      peerUrl: "http://127.0.0.1:7071",
      join: [],
      bootstrapExpect: 1,
      partitions: 16,
      copies: 3,
      secrets: [new Uint8Array(32).fill(7)],
      cacheBytes: 1 << 20,
      durability: "power",
      corsOrigins: [],
      requestTimeoutMs: 5_000,
      gossipIntervalMs: 500,
    },
    env: {
      clock: systemClock,
      random: createSystemRandom(),
      crypto: systemCrypto,
      hasher,
      logger: { debug: ignore, info: ignore, warn: ignore, error: ignore },
      transport: {
        call: () => Promise.reject(new TransportError("no peers here", { sent: false })),
      },
      failStop: (reason) => {
        throw new Error(reason);
      },
    },
    data: {
      nodeId: parseNodeId("1".repeat(32)),
      clusterId: undefined,
      setClusterId: ignore,
      disk: new SimDisk().open(),
      incarnation: 1,
      forgotten: false,
      close: ignore,
    },
  });
}

async function figures(node: GyreNode): Promise<Map<string, number>> {
  const response = await node.fetch(new Request("http://127.0.0.1:7070/metrics"));
  const lines = (await response.text()).split("\n").filter((line) => /^gyre_\w+ /.test(line));
  return new Map(lines.map((line) => line.split(" ")).map(([name = "", at]) => [name, Number(at)]));
}

describe("createNode", () => {
  test("a node alone forms its cluster, stores, answers and counts what it did", async () => {
    const node = soleNode();
    node.start();
    try {
      const url = "http://127.0.0.1:7070/v1/kv/default/k";
      const before = await figures(node);
      expect((await node.fetch(new Request(url, { method: "PUT", body: "v" }))).status).toBe(204);
      expect(await (await node.fetch(new Request(url))).text()).toBe("v");
      const after = await figures(node);
      const rise = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0);
      expect(rise("gyre_puts_total")).toBe(1);
      expect(rise("gyre_gets_total")).toBe(1);
      expect(rise("gyre_rows_written_total")).toBe(1);
      expect(rise("gyre_cache_hits_total")).toBe(1);
      expect(after.get("gyre_keys")).toBe(1);
      expect(after.get("gyre_peer_messages_total")).toBe(0);
    } finally {
      await node.stop();
    }
  });
});
