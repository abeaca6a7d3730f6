/** Sessions on three real processes, one in each region: what only one of them holds is read everywhere or nowhere. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createClient, type GyreSession } from "../../src/client/client.ts";
import { GyreError } from "../../src/client/errors.ts";
import { until } from "./requests.ts";
import { ServeCluster } from "./serve-cluster.ts";

const TIMEOUT_MS = 180_000;
const ONE = { consistency: "one" } as const;
const UTF8 = new TextDecoder();

const cluster = new ServeCluster({ nodes: 3, regions: ["eu", "us", "ap"] });

beforeAll(() => cluster.start(), TIMEOUT_MS);
afterAll(() => cluster.close());

function sessionAt(index: number, token?: string): GyreSession {
  const client = createClient({ endpoints: cluster.node(index).url, retries: 0 });
  return client.session(token);
}

/** The value, "missing", or the code of the refusal. */
async function read(session: GyreSession, key: string): Promise<string> {
  try {
    const result = await session.get(key, ONE);
    return result.status === "found" ? UTF8.decode(result.value.bytes) : result.status;
  } catch (error) {
    if (error instanceof GyreError) return error.code;
    throw error;
  }
}

test(
  "a write that only one region has is read in the others, refused while that one is silent, and never missed",
  async () => {
    const plain = createClient({ endpoints: cluster.node(0).url });
    for (const key of ["changed", "deleted"]) await plain.put(key, "old", { consistency: "all" });
    for (const index of [1, 2]) {
      cluster.node(index).signal("SIGKILL");
      await cluster.node(index).ended;
    }
    const writer = sessionAt(0);
    await writer.put("changed", "new", ONE);
    await writer.put("created", "new", ONE);
    await writer.delete("deleted", ONE);
    const token = writer.token ?? "";
    expect(await read(writer, "deleted")).toBe("missing");

    // The only node that knows can neither answer nor tell the others.
    cluster.node(0).signal("SIGSTOP");
    await Promise.all([cluster.restart(1), cluster.restart(2)]);
    for (const [key, held] of [
      ["changed", "old"],
      ["created", "missing"],
      ["deleted", "old"],
    ] as const) {
      expect([key, await read(sessionAt(1, token), key)]).toEqual([key, "session_not_reached"]);
      expect([key, await read(sessionAt(1), key)]).toEqual([key, held]);
    }

    cluster.node(0).signal("SIGCONT");
    for (const [key, seen] of [
      ["changed", "new"],
      ["created", "new"],
      ["deleted", "missing"],
    ] as const) {
      const shown = await until(`node 1 to hear of ${key}`, async () => {
        const found = await read(sessionAt(1, token), key);
        return found === "session_not_reached" ? undefined : found;
      });
      expect([key, shown]).toEqual([key, seen]);
      // What the session has been shown here, it is shown there.
      expect([key, await read(sessionAt(2, token), key)]).toEqual([key, seen]);
    }
  },
  TIMEOUT_MS,
);
