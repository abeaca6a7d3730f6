/** Three copies over three regions, and one region gone: what goes on, what says so, and that nobody waits for ever. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import {
  type Answer,
  ask,
  gyreStatus,
  jsonOf,
  listAll,
  type Problem,
  parallel,
  until,
} from "./requests.ts";
import { ServeCluster } from "./serve-cluster.ts";
import type { ServeNode } from "./serve-node.ts";

setDefaultTimeout(240_000);

const KEYS = 60;
const CLIENTS = 16;
/** What the nodes promise a client. `ask` waits many times as long: a request that meets its limit was forgotten. */
const DEADLINE_MS = 2_000;

const cluster = new ServeCluster({
  nodes: 6,
  regions: ["eu", "us", "ap"],
  flags: ["--request-timeout-ms", String(DEADLINE_MS)],
});

beforeAll(() => cluster.start());
afterAll(() => cluster.close());

function address(node: ServeNode, key: string, query: string): string {
  return `${node.url}/v1/kv/default/${key}?${query}`;
}

function put(node: ServeNode, key: string, value: string, query: string): Promise<Answer> {
  return ask(address(node, key, query), { method: "PUT", body: value });
}

function inRegion(region: string): ServeNode[] {
  return cluster.nodes.filter((node) => cluster.regionOf(node) === region);
}

/** `prefix` followed by a number, `KEYS` of them: they fall into many partitions. */
function keysOf(prefix: string): string[] {
  return Array.from({ length: KEYS }, (_, index) => `${prefix}-${String(index).padStart(3, "0")}`);
}

/** Puts and gets through the nodes that are left, in turn; every one of them must be answered with its value. */
async function quorumGoesOn(left: readonly ServeNode[], prefix: string): Promise<void> {
  const wrong: string[] = [];
  await parallel(keysOf(prefix), CLIENTS, async (key, index) => {
    const writer = left[index % left.length] as ServeNode;
    const reader = left[(index + 1) % left.length] as ServeNode;
    const stored = await put(writer, key, `value of ${key}`, "consistency=quorum");
    if (stored.status !== 204) wrong.push(`put ${key}: ${stored.status} ${stored.body}`);
    const got = await ask(address(reader, key, "consistency=quorum"));
    const value = got.body.toString();
    if (got.status !== 200 || value !== `value of ${key}`) {
      wrong.push(`get ${key}: ${got.status} ${value}`);
    }
  });
  expect(wrong).toEqual([]);
}

/** `all` cannot be had: every put says that it is indeterminate, every get that it is not, and both with the counts. */
async function allSaysWhatIsMissing(left: readonly ServeNode[], prefix: string): Promise<void> {
  await parallel(keysOf(prefix).slice(0, 12), CLIENTS, async (key, index) => {
    const node = left[index % left.length] as ServeNode;
    const answers = [
      [true, await put(node, `${key}-all`, "x", "consistency=all")],
      [false, await ask(address(node, key, "consistency=all"))],
    ] as const;
    for (const [indeterminate, answer] of answers) {
      expect(answer.headers.get("content-type")).toBe("application/problem+json");
      const problem = jsonOf<Problem>(answer);
      expect([answer.status, problem.code]).toEqual([503, "quorum_not_reached"]);
      expect(problem.indeterminate).toBe(indeterminate);
      expect(problem.needed).toBe(3);
      expect(problem.acks).toEqual({ primary: 2, fallback: 0, of: 3 });
    }
  });
}

async function untilAllAreUp(): Promise<void> {
  const seer = cluster.node(0).url;
  await until("gyre status --json to show six nodes up", async () => {
    const { nodes } = await gyreStatus(seer);
    return nodes.length === 6 && nodes.every((node) => node.state === "up") ? true : undefined;
  });
  await cluster.untilAllUp();
}

/** What was written while the region was away is whole again, at every node and under `all`. */
async function allIsWhole(prefix: string): Promise<void> {
  await parallel(keysOf(prefix), CLIENTS, async (key, index) => {
    const node = cluster.node(index % cluster.nodes.length);
    // A peer that failed several times is left alone for up to a second, also when it is back already.
    const got = await until(`all of ${key} to be readable at ${node.name}`, async () => {
      const answer = await ask(address(node, key, "consistency=all"));
      return answer.status === 503 ? undefined : answer;
    });
    expect([key, got.status, got.body.toString()]).toEqual([key, 200, `value of ${key}`]);
    await until(`${key} to be writable everywhere at ${node.name}`, async () => {
      const stored = await put(node, `${key}-again`, "x", "consistency=all");
      return stored.status === 204 ? true : undefined;
    });
  });
}

async function listGoesOn(left: readonly ServeNode[], prefix: string): Promise<void> {
  const expected = keysOf(prefix);
  for (const node of left) {
    const names = await listAll(node.url, "default", `${prefix}-`);
    expect(names.filter((name) => !name.endsWith("-all"))).toEqual(expected);
  }
}

async function untilSeenDown(left: readonly ServeNode[], region: string): Promise<void> {
  for (const node of left) {
    await until(`${node.name} to see ${region} down`, async () => {
      const { nodes } = jsonOf<Awaited<ReturnType<typeof gyreStatus>>>(
        await ask(`${node.url}/v1/cluster`),
      );
      const gone = nodes.filter((member) => member.region === region);
      return gone.every((member) => member.state === "down") ? true : undefined;
    });
  }
}

describe("while one region's processes are stopped, as in a machine that hangs", () => {
  const left = () => [...inRegion("eu"), ...inRegion("ap")];

  test("quorum puts and gets go on, before anyone has noticed", async () => {
    for (const node of inRegion("us")) node.signal("SIGSTOP");
    await quorumGoesOn(left(), "hang");
  });

  test("all answers 503 with the counts, each request within its deadline", async () => {
    await allSaysWhatIsMissing(left(), "hang");
  });

  test("lists go on, complete and in order", async () => {
    await listGoesOn(left(), "hang");
  });

  test("the same holds once the region is known to be down", async () => {
    await untilSeenDown(left(), "us");
    await quorumGoesOn(left(), "known");
    await allSaysWhatIsMissing(left(), "known");
    await listGoesOn(left(), "known");
  });

  test("everything is up and whole when the processes go on", async () => {
    for (const node of inRegion("us")) node.signal("SIGCONT");
    await untilAllAreUp();
    await allIsWhole("hang");
    await allIsWhole("known");
  });
});

describe("while one region's processes are dead", () => {
  const left = () => [...inRegion("eu"), ...inRegion("us")];

  test("quorum puts and gets go on, all answers 503 with the counts, lists go on", async () => {
    for (const node of inRegion("ap")) node.signal("SIGKILL");
    await quorumGoesOn(left(), "dead");
    await allSaysWhatIsMissing(left(), "dead");
    await listGoesOn(left(), "dead");
  });

  test("everything is up and whole when the processes are started again", async () => {
    const dead = inRegion("ap").map((node) => cluster.nodes.indexOf(node));
    await Promise.all(dead.map((index) => cluster.restart(index)));
    await untilAllAreUp();
    await allIsWhole("dead");
  });
});
