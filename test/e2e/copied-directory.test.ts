/** A data directory that was set back to an older copy of itself: the node finds out before it mints a dot that is taken. */
import { afterAll, beforeAll, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, renameSync } from "node:fs";
import { ask, parallel, until } from "./requests.ts";
import { ServeCluster } from "./serve-cluster.ts";

setDefaultTimeout(240_000);

const SET_BACK = 2;
const KEYS = Array.from({ length: 40 }, (_, index) => `key-${index}`);

const cluster = new ServeCluster({ nodes: 3, regions: ["eu"] });
beforeAll(() => cluster.start());
afterAll(() => cluster.close());

function putAll(value: string): Promise<void> {
  return parallel(KEYS, 8, async (key) => {
    const url = `${cluster.node(SET_BACK).url}/v1/kv/default/${key}?consistency=all`;
    const { status } = await ask(url, { method: "PUT", body: `${value} of ${key}` });
    expect(status).toBe(204);
  });
}

function expectAll(value: string): Promise<void> {
  return parallel(KEYS, 8, async (key) => {
    const url = `${cluster.node(SET_BACK).url}/v1/kv/default/${key}?consistency=all`;
    expect((await ask(url)).body.toString()).toBe(`${value} of ${key}`);
  });
}

/** What the node says of itself once it has asked the others. */
async function verdict(): Promise<string> {
  return until("the node to notice", async () => {
    const { output } = cluster.node(SET_BACK);
    return /database-is-a-copy|superseded-by-another-process/.exec(output)?.[0];
  });
}

test("a node on an older copy of its directory ends, starts under a new actor id and loses nothing", async () => {
  const directory = cluster.dataOf(SET_BACK);
  await putAll("first");
  await cluster.node(SET_BACK).stop();
  cpSync(directory, `${directory}-copy`, { recursive: true });
  await cluster.restart(SET_BACK);
  await cluster.untilAllUp();
  await putAll("second");
  await cluster.node(SET_BACK).stop();
  renameSync(directory, `${directory}-newer`);
  renameSync(`${directory}-copy`, directory);

  await cluster.restartFor(SET_BACK, 0);
  // It counts its starts as the lost one did. Which of the two is the later one for the others is a matter of luck.
  if ((await verdict()) !== "database-is-a-copy") {
    const first = cluster.node(SET_BACK);
    await first.stop();
    // It may have been told of both before it ended.
    if (!first.output.includes("database-is-a-copy")) {
      await cluster.restartFor(SET_BACK, 0);
      expect(await verdict()).toBe("database-is-a-copy");
    }
  }
  // What it holds may be from before a reap: it ends, and its next start holds that apart.
  await cluster.node(SET_BACK).ended;
  await cluster.restart(SET_BACK);
  await cluster.untilAllUp();
  await until("the doubt to end", async () =>
    cluster.node(SET_BACK).output.includes("doubt-ended") ? true : undefined,
  );
  await expectAll("second");
  await putAll("third");
  await expectAll("third");
});
