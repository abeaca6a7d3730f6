/** deploy/regions.ts: the compose file's deployment without containers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { isAlive } from "./dev-cluster.ts";

const SCRIPT = resolve(import.meta.dirname, "../../deploy/regions.ts");
const TIMEOUT_MS = 90_000;
/** Away from 7101 and 8101, where a cluster of the developer's may run. */
const SHIFT = 1_900;

interface Shown {
  readonly region: string;
  readonly url: string;
  readonly pid: number;
}

const directory = mkdtempSync(join(tmpdir(), "gyre-regions-"));
const shown: Shown[] = [];
let script: ChildProcess;

beforeAll(async () => {
  const child = spawn(process.execPath, [SCRIPT, "--data", directory, "--shift", String(SHIFT)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  script = child;
  for await (const line of createInterface({ input: child.stdout })) {
    const [, region = "", url = "", pid = ""] =
      /^node=\S+ region=(\S+) url=(\S+) pid=(\d+) ready$/.exec(line) ?? [];
    if (url !== "") shown.push({ region, url, pid: Number(pid) });
    if (line === "cluster ready") return;
  }
  throw new Error("deploy/regions.ts ended before the cluster was ready");
}, TIMEOUT_MS);

afterAll(() => {
  script.kill("SIGKILL");
  rmSync(directory, { recursive: true, force: true });
});

describe("the three regions without containers", () => {
  test(
    "read in each region what was put in another",
    async () => {
      expect(shown.map((node) => node.region).toSorted()).toEqual([
        "ap",
        "ap",
        "eu",
        "eu",
        "us",
        "us",
      ]);
      for (const [index, node] of shown.entries()) {
        const key = `v1/kv/default/${node.region}-${index}`;
        const put = await fetch(`${node.url}/${key}`, { method: "PUT", body: key });
        expect(put.status).toBe(204);
        for (const reader of shown) {
          const got = await fetch(`${reader.url}/${key}`);
          expect([reader.region, await got.text()]).toEqual([reader.region, key]);
        }
      }
    },
    TIMEOUT_MS,
  );

  test(
    "go on when one region is killed",
    async () => {
      for (const node of shown.filter((each) => each.region === "us"))
        process.kill(node.pid, "SIGKILL");
      const left = shown.filter((node) => node.region !== "us");
      for (const node of left) {
        const key = `${node.url}/v1/kv/default/after-${node.pid}`;
        expect((await fetch(key, { method: "PUT", body: "x" })).status).toBe(204);
        expect(await (await fetch(key)).text()).toBe("x");
      }
    },
    TIMEOUT_MS,
  );

  test(
    "stop together at SIGINT and leave no process",
    async () => {
      const ended = once(script, "exit");
      script.kill("SIGINT");
      expect(await ended).toEqual([0, null]);
      expect(shown.filter((node) => isAlive(node.pid))).toEqual([]);
    },
    TIMEOUT_MS,
  );
});
