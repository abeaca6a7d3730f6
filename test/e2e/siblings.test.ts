/** Two writers who do not know of each other: what the store keeps, what it answers, and how it becomes one again. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type Answer, ask, type ClusterView, jsonOf, type Problem } from "./requests.ts";
import { ServeCluster } from "./serve-cluster.ts";

setDefaultTimeout(180_000);

/** Each client rewrites so many keys at once, so that commits and peer batches are shared as under real load. */
const COUNTERS = 10;
/** Of one client on one counter. */
const STEPS = 500;
const REWRITES = 2 * COUNTERS * STEPS;

const cluster = new ServeCluster({
  nodes: 3,
  regions: ["eu", "us", "ap"],
  flags: ["--request-timeout-ms", "3000"],
});

beforeAll(() => cluster.start());
afterAll(() => cluster.close());

interface SiblingsJson {
  readonly context: string;
  readonly siblings: readonly {
    readonly value: string;
    readonly contentType: string;
    readonly stamp: number;
    readonly dot: string;
  }[];
}

function address(url: string, key: string, query = ""): string {
  return `${url}/v1/kv/default/${key}${query === "" ? "" : `?${query}`}`;
}

function put(url: string, key: string, value: string, context: string, query = "") {
  return ask(address(url, key, query), {
    method: "PUT",
    body: value,
    headers: {
      "content-type": "text/plain",
      ...(context === "" ? {} : { "gyre-context": context }),
    },
  });
}

function contextOf(answer: Answer): string {
  return answer.headers.get("gyre-context") ?? "";
}

function siblingsOf(answer: Answer): number {
  return Number(answer.headers.get("gyre-siblings"));
}

/** The addresses of the key's owners, as `gyre explain` names them. */
async function homesOf(key: string): Promise<readonly [string, string, ...string[]]> {
  const { url } = cluster.node(0);
  const explained = jsonOf<{ owners: { id: string }[] }>(
    await ask(`${url}/v1/cluster/explain/default/${key}`),
  );
  const { nodes } = jsonOf<ClusterView>(await ask(`${url}/v1/cluster`));
  const urls = explained.owners.map(({ id }) => nodes.find((node) => node.id === id)?.url ?? "");
  const [first = "", second = "", ...rest] = urls;
  return [first, second, ...rest];
}

/** One value that every owner holds, then two puts at two owners by clients that have both seen only that value. */
async function conflict(key: string): Promise<readonly [string, string]> {
  const [first, second] = await homesOf(key);
  expect((await put(first, key, "base", "", "consistency=all")).status).toBe(204);
  const stale = contextOf(await ask(address(first, key)));
  const puts = await Promise.all([
    put(first, key, "by the first", stale),
    put(second, key, "by the second", stale),
  ]);
  expect(puts.map((answer) => answer.status)).toEqual([204, 204]);
  return [first, second];
}

async function siblingsAsJson(url: string, key: string): Promise<[Answer, SiblingsJson]> {
  const answer = await ask(address(url, key, "conflict=siblings"), {
    headers: { accept: "application/json" },
  });
  return [answer, jsonOf<SiblingsJson>(answer)];
}

function textOf(sibling: { readonly value: string }): string {
  return Buffer.from(sibling.value, "base64").toString();
}

describe("two puts at two coordinators with the same stale context", () => {
  test("leave two siblings, which conflict=siblings answers as 300, the same at every node", async () => {
    await conflict("both");
    for (const { url } of cluster.nodes) {
      const [answer, { siblings, context }] = await siblingsAsJson(url, "both");
      expect([answer.status, siblingsOf(answer)]).toEqual([300, 2]);
      expect(siblings.map(textOf).toSorted()).toEqual(["by the first", "by the second"]);
      expect(new Set(siblings.map((sibling) => sibling.dot)).size).toBe(2);
      expect(context).toBe(contextOf(answer));
    }
  });

  test("are answered as multipart/mixed to who does not ask for JSON", async () => {
    await conflict("multipart");
    const answer = await ask(address(cluster.node(2).url, "multipart", "conflict=siblings"));
    expect(answer.status).toBe(300);
    const boundary = /^multipart\/mixed; boundary=(\S+)$/.exec(
      answer.headers.get("content-type") ?? "",
    )?.[1];
    const parts = answer.body.toString().split(`--${boundary}`);
    expect([parts[0], parts.at(-1)]).toEqual(["", "--\r\n"]);
    const values = parts.slice(1, -1).map((part) => {
      const [head = "", body = ""] = part.split("\r\n\r\n");
      expect(head).toContain("Content-Type: text/plain");
      return body.trimEnd();
    });
    expect(values.toSorted()).toEqual(["by the first", "by the second"]);
  });

  test("are one value, the newest, under majority and under latest, and both are still counted", async () => {
    await conflict("one-of-two");
    const [, { siblings }] = await siblingsAsJson(cluster.node(0).url, "one-of-two");
    // Two puts in one millisecond have equal stamps; then the dots decide, and still for every reader alike.
    const stamp = Math.max(...siblings.map((sibling) => sibling.stamp));
    const newest = siblings.filter((sibling) => sibling.stamp === stamp).map(textOf);
    const shown = new Set<string>();
    for (const { url } of cluster.nodes) {
      for (const policy of ["majority", "latest"]) {
        const answer = await ask(address(url, "one-of-two", `conflict=${policy}`));
        expect([policy, answer.status, siblingsOf(answer)]).toEqual([policy, 200, 2]);
        shown.add(answer.body.toString());
      }
    }
    expect(shown.size).toBe(1);
    expect(newest).toContain([...shown].join());
  });

  test("become one by a put with the context of the answer that showed both", async () => {
    const [first, second] = await conflict("resolved");
    const [both] = await siblingsAsJson(second, "resolved");
    const merged = await put(first, "resolved", "merged", contextOf(both));
    expect([merged.status, siblingsOf(merged)]).toEqual([204, 1]);
    for (const { url } of cluster.nodes) {
      const answer = await ask(address(url, "resolved", "conflict=siblings"));
      expect([answer.status, siblingsOf(answer)]).toEqual([200, 1]);
      expect(answer.body.toString()).toBe("merged");
    }
  });

  test("stay two after a put with a context that saw only one of them", async () => {
    const [first, second] = await homesOf("partly");
    const base = await put(first, "partly", "base", "", "consistency=all");
    const stale = contextOf(base);
    const seen = await put(first, "partly", "seen", stale);
    await put(second, "partly", "not seen", stale);
    await put(first, "partly", "after the seen one", contextOf(seen));
    const [answer, { siblings }] = await siblingsAsJson(second, "partly");
    expect(siblingsOf(answer)).toBe(2);
    expect(siblings.map(textOf).toSorted()).toEqual(["after the seen one", "not seen"]);
  });

  test("give a delete and a put the same standing: under siblings the value lives, and the deletion is told of", async () => {
    const [first, second] = await homesOf("deleted");
    const stale = contextOf(await put(first, "deleted", "base", "", "consistency=all"));
    await put(first, "deleted", "alive", stale);
    const gone = await ask(address(second, "deleted"), {
      method: "DELETE",
      headers: { "gyre-context": stale },
    });
    expect(gone.status).toBe(204);
    const [live] = [await ask(address(first, "deleted", "conflict=siblings"))];
    expect([
      live?.status,
      live?.body.toString(),
      live?.headers.get("gyre-deleted-siblings"),
    ]).toEqual([200, "alive", "1"]);
    // The delete is the newest, so it wins the two other elections; its context makes the key whole again.
    const elected = await ask(address(first, "deleted", "conflict=latest"));
    expect([elected.status, siblingsOf(elected)]).toEqual([404, 1]);
    const again = await put(second, "deleted", "again", contextOf(elected));
    expect([again.status, siblingsOf(again)]).toEqual([204, 1]);
  });
});

describe("a strict put that provably missed its quorum", () => {
  test("is out-voted under majority, newest under latest, and kept until a put covers it", async () => {
    const key = "out-voted";
    const [first, second, third = ""] = await homesOf(key);
    const stale = contextOf(await put(first, key, "base", "", "consistency=all"));
    await put(second, key, "reached all", stale, "consistency=all");
    const dead = cluster.nodes.findIndex((node) => node.url === third);
    cluster.node(dead).signal("SIGKILL");
    const missed = await put(first, key, "missed one", stale, "consistency=all");
    const problem = jsonOf<Problem>(missed);
    expect([missed.status, problem.code, problem.indeterminate]).toEqual([
      503,
      "quorum_not_reached",
      true,
    ]);
    await cluster.restart(dead);
    await cluster.untilAllUp();
    // The first read of all owners repairs the third, so it is asked for everything in the order of what a repair changes.
    const voted = await ask(address(first, key, "consistency=all&conflict=majority"));
    expect([voted.status, siblingsOf(voted), voted.body.toString()]).toEqual([
      200,
      2,
      "reached all",
    ]);
    const latest = await ask(address(second, key, "consistency=all&conflict=latest"));
    expect([latest.status, latest.body.toString()]).toEqual([200, "missed one"]);
    const [both, { siblings }] = await siblingsAsJson(third, key);
    expect(siblings.map(textOf).toSorted()).toEqual(["missed one", "reached all"]);
    const merged = await put(third, key, "merged", contextOf(both), "consistency=all");
    expect([merged.status, siblingsOf(merged)]).toEqual([204, 1]);
  });
});

/** What a client knows of a counter: how many steps each client has made. Merged by the greater number. */
type Steps = Record<string, number>;

describe("two clients that read, add one and write", () => {
  let mostSiblings = 0;

  function watch(answer: Answer): Answer {
    mostSiblings = Math.max(mostSiblings, siblingsOf(answer));
    return answer;
  }

  async function readSteps(url: string, key: string): Promise<[Steps, string]> {
    const answer = watch(
      await ask(address(url, key, "conflict=siblings"), {
        headers: { accept: "application/json" },
      }),
    );
    const texts =
      answer.status === 300
        ? jsonOf<SiblingsJson>(answer).siblings.map(textOf)
        : [answer.body.toString()];
    const merged: Steps = {};
    for (const text of texts) {
      for (const [client, steps] of Object.entries(JSON.parse(text) as Steps)) {
        merged[client] = Math.max(merged[client] ?? 0, steps);
      }
    }
    return [merged, contextOf(answer)];
  }

  /** One client's steps on one counter, each at the next coordinator. */
  async function run(client: string, key: string, firstNode: number): Promise<void> {
    for (let step = 1; step <= STEPS; step++) {
      const { url } = cluster.node((step + firstNode) % cluster.nodes.length);
      const [steps, context] = await readSteps(url, key);
      if (steps[client] !== step - 1) {
        throw new Error(`Client ${client} made ${step - 1} steps of ${key}, not ${steps[client]}`);
      }
      const written = await put(url, key, JSON.stringify({ ...steps, [client]: step }), context);
      expect(watch(written).status).toBe(204);
    }
  }

  test(`never meet more than two siblings in ${REWRITES} rewrites and lose no step`, async () => {
    const keys = Array.from({ length: COUNTERS }, (_, index) => `counter-${index}`);
    // A blind put replaces whatever its coordinator holds: both clients begin with a context.
    for (const key of keys) await put(cluster.node(0).url, key, `{"a":0,"b":0}`, "");
    await Promise.all(keys.flatMap((key) => [run("a", key, 0), run("b", key, 1)]));
    for (const key of keys) {
      const [steps] = await readSteps(cluster.node(2).url, key);
      expect([key, steps]).toEqual([key, { a: STEPS, b: STEPS }]);
    }
    // Two were met at all: else the clients were never at work together and the test showed nothing.
    expect(mostSiblings).toBe(2);
  });
});
