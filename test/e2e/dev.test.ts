/** `gyre dev` as a person meets it: real processes on free ports, killed, started again, and stopped. */

import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freeDevPort, gyreCommand, isAlive } from "./dev-cluster.ts";

setDefaultTimeout(180_000);

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A running `gyre`, and what it has written so far. */
interface Running {
  readonly child: ChildProcess;
  readonly exited: Promise<number | null>;
  out: string;
  err: string;
}

function start(...args: string[]): Running {
  const [command, ...prefix] = gyreCommand("node");
  const child = spawn(command, [...prefix, ...args], {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const running: Running = {
    child,
    exited: once(child, "close").then(([code]) => code as number | null),
    out: "",
    err: "",
  };
  child.stdout?.setEncoding("utf8").on("data", (text: string) => (running.out += text));
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (running.err += text));
  return running;
}

/** Resolves when `text` has been written; @throws Error with everything when the program ends before. */
async function untilWritten(running: Running, stream: "out" | "err", text: string): Promise<void> {
  const ended = running.exited.then(() => "ended" as const);
  while (!running[stream].includes(text)) {
    const source = stream === "out" ? running.child.stdout : running.child.stderr;
    if (source === null) throw new Error("No pipe");
    const what = await Promise.race([once(source, "data"), ended]);
    if (what === "ended" && !running[stream].includes(text)) {
      throw new Error(`It ended without ${JSON.stringify(text)}:\n${running.out}\n${running.err}`);
    }
  }
}

async function gyre(...args: string[]): Promise<{ code: number | null; out: string; err: string }> {
  const running = start(...args);
  return { code: await running.exited, out: running.out, err: running.err };
}

describe("gyre dev --nodes 3", () => {
  const directory = mkdtempSync(join(tmpdir(), "gyre-dev-"));
  const data = join(directory, "data");
  let port: number;
  let dev: Running;
  let pids: number[];
  const url = (number: number): string => `http://127.0.0.1:${port + number - 1}`;

  beforeAll(async () => {
    port = await freeDevPort(3);
    dev = start("dev", "--nodes", "3", "--port", String(port), "--data", data);
    await untilWritten(dev, "out", "cluster ready\n");
    pids = [1, 2, 3].map((n) =>
      Number(new RegExp(`^node=${n} .* pid=(\\d+) ready$`, "m").exec(dev.out)?.[1]),
    );
  });

  afterAll(async () => {
    dev.child.kill("SIGINT");
    await dev.exited;
    rmSync(directory, { recursive: true, force: true });
  });

  test("says for each node where it is and that it is ready, before it says so for the cluster", () => {
    const lines = dev.out.trimEnd().split("\n");
    expect(lines.slice(0, 3).sort()).toEqual(
      ["eu", "us", "ap"].map(
        (region, i) => `node=${i + 1} region=${region} url=${url(i + 1)} pid=${pids[i]} ready`,
      ),
    );
    expect(lines[3]).toBe("cluster ready");
  });

  test("a value put in one region is read in another, by the commands a person would use", async () => {
    expect(await gyre("put", "greeting", "hello", "--url", url(1))).toEqual({
      code: 0,
      out: "",
      err: "",
    });
    expect(await gyre("get", "greeting", "--url", url(2))).toEqual({
      code: 0,
      out: "hello",
      err: "",
    });
  });

  test("status shows three nodes up in three regions", async () => {
    const { out } = await gyre("status", "--url", url(3));
    expect(out).toContain("3 of 3 nodes up in 3 regions");
    for (const region of ["eu", "us", "ap"])
      expect(out).toMatch(new RegExp(`^${region} +z1 +up `, "m"));
  });

  test("a second cluster on the same ports is refused by name, and leaves the first alone", async () => {
    const other = await gyre(
      "dev",
      "--nodes",
      "3",
      "--port",
      String(port),
      "--data",
      join(directory, "other"),
    );
    expect(other.code).toBe(1);
    expect(other.err).toContain(`Port ${port} (clients of node 1) is in use`);
    expect(pids.every(isAlive)).toBe(true);
  });

  test("a killed node is reported and stays down, the others answer, and --only starts it again", async () => {
    process.kill(pids[1] ?? 0, "SIGKILL");
    await untilWritten(dev, "err", "node=2 region=us");
    expect(dev.err).toContain("was ended by SIGKILL; start it again with:");
    expect((await gyre("put", "while-down", "v", "--url", url(1))).code).toBe(0);
    const only = start("dev", "--data", data, "--only", "2");
    await untilWritten(only, "out", "ready\n");
    expect((await gyre("get", "while-down", "--url", url(2))).out).toBe("v");
    only.child.kill("SIGINT");
    expect(await only.exited).toBe(0);
    const [, pid] = /pid=(\d+) ready/.exec(only.out) ?? [];
    expect(isAlive(Number(pid))).toBe(false);
  });

  test("the secret is the owner's only, and the nodes keep logs", () => {
    expect(readFileSync(join(data, "cluster-secret"), "utf8")).toMatch(/^[0-9a-f]{64}\n$/);
    expect(readFileSync(join(data, "1", "log"), "utf8")).toContain('"event":"node-listening"');
  });

  test("SIGINT leaves no process and no lock, and the next start finds the data", async () => {
    dev.child.kill("SIGINT");
    expect(await dev.exited).toBe(0);
    expect(pids.some(isAlive)).toBe(false);
    for (const number of [1, 2, 3])
      expect(existsSync(join(data, String(number), "lock"))).toBe(false);
    dev = start("dev", "--data", data);
    await untilWritten(dev, "out", "cluster ready\n");
    expect((await gyre("get", "greeting", "--url", url(3))).out).toBe("hello");
    expect((await gyre("status", "--url", url(1))).out).toContain("3 of 3 nodes up in 3 regions");
  });

  test("nodes end when gyre dev dies without a chance to stop them", async () => {
    const running = [...dev.out.matchAll(/ pid=(\d+) ready/g)].map((match) => Number(match[1]));
    expect(running.length).toBe(3);
    dev.child.kill("SIGKILL");
    await dev.exited;
    const deadline = performance.now() + 60_000;
    while (running.some(isAlive) && performance.now() < deadline)
      await new Promise((resolve) => setTimeout(resolve, 50));
    expect(running.filter(isAlive)).toEqual([]);
  });
});
