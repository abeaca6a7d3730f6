/** A killed process that missed writes becomes equal to its co-owners by itself: no stand-ins, no reads of what it missed. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { ask, type ClusterView, jsonOf, parallel, until } from "./requests.ts";
import { ServeCluster } from "./serve-cluster.ts";
import type { ServeNode } from "./serve-node.ts";

setDefaultTimeout(240_000);

const CLIENTS = 16;
const KEYS = Array.from({ length: 400 }, (_, index) => `key-${index}`);

const cluster = new ServeCluster({ nodes: 3, regions: ["eu", "us", "ap"] });

beforeAll(() => cluster.start());
afterAll(() => cluster.close());

interface RepairView extends ClusterView {
  readonly antiEntropy: {
    readonly trees: string;
    readonly mismatches: number;
    readonly rowsReceived: number;
    readonly peers: readonly { readonly rows: number }[];
  };
}

async function kill(index: number): Promise<void> {
  cluster.node(index).signal("SIGKILL");
  await cluster.node(index).ended;
}

async function view(node: ServeNode): Promise<RepairView> {
  return jsonOf<RepairView>(await ask(`${node.url}/v1/cluster`));
}

test("a node that was killed gets what it missed, new values and deletions alike", async () => {
  const first = cluster.node(0);
  const put = (key: string, body: string) =>
    ask(`${first.url}/v1/kv/default/${key}`, { method: "PUT", body });
  await parallel(KEYS.slice(0, 200), CLIENTS, async (key) => {
    expect((await put(key, "old")).status).toBe(204);
  });
  await kill(2);
  await parallel(KEYS.slice(100), CLIENTS, async (key) => {
    expect((await put(key, "new")).status).toBe(204);
  });
  await parallel(KEYS.slice(0, 50), CLIENTS, async (key) => {
    const gone = await ask(`${first.url}/v1/kv/default/${key}`, { method: "DELETE" });
    expect(gone.status).toBe(204);
  });
  const last = await cluster.restart(2);
  const state = await until("the node to have caught up", async () => {
    const { antiEntropy } = await view(last);
    const { peers, rowsReceived } = antiEntropy;
    const isQuiet = peers.length === 2 && peers.every((peer) => peer.rows === 0);
    return isQuiet && rowsReceived >= 350 ? antiEntropy : undefined;
  });
  expect(state).toMatchObject({ trees: "built", mismatches: 0, rowsReceived: 350 });
  // What the node itself holds, without a word from others.
  await Promise.all([kill(0), kill(1)]);
  await parallel(KEYS, CLIENTS, async (key) => {
    const index = KEYS.indexOf(key);
    const got = await ask(`${last.url}/v1/kv/default/${key}?consistency=one`);
    const value = index < 100 ? "old" : "new";
    const wanted = index < 50 ? 404 : 200;
    expect([key, got.status]).toEqual([key, wanted]);
    if (wanted === 200) expect([key, got.body.toString()]).toEqual([key, value]);
  });
});
