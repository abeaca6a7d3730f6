/** Every way to run Gyre in one cluster: what one of them writes, all of them read. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gyreCommand } from "./dev-cluster.ts";
import { freePorts } from "./ports.ts";
import { ServeNode } from "./serve-node.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const READY_MS = 60_000;
const BUILD_MS = 180_000;

const PROGRAMS: readonly (readonly [string, readonly string[]])[] = [
  ["node", gyreCommand("node")],
  ["bun", gyreCommand("bun")],
  ["deno", gyreCommand("deno")],
  ["gyre-node", [join(ROOT, "dist/gyre-node")]],
  ["gyre-bun", [join(ROOT, "dist/gyre-bun")]],
];
const REGIONS = ["eu", "us", "ap"];

let directory = "";
let nodes: ServeNode[] = [];

function build(runtime: "node" | "bun"): void {
  const done = spawnSync(process.execPath, [join(ROOT, `scripts/build-${runtime}.ts`)], {
    encoding: "utf8",
  });
  if (done.status !== 0) throw new Error(`Cannot build for ${runtime}: ${done.stderr}`);
}

async function startAll(): Promise<ServeNode[]> {
  const secretFile = join(directory, "cluster-secret");
  writeFileSync(secretFile, randomBytes(32).toString("hex"));
  const ports = await freePorts(2 * PROGRAMS.length);
  const peerUrl = (index: number) => `http://127.0.0.1:${ports[2 * index + 1]}`;
  const others = (index: number) => PROGRAMS.map((_, at) => peerUrl(at)).toSpliced(index, 1);
  return PROGRAMS.map(([name, program], index) => {
    const client = `127.0.0.1:${ports[2 * index]}`;
    const joining = index === 0 ? [] : ["--join", others(index).join(",")];
    return new ServeNode(name, `http://${client}`, program, [
      ...["--data", join(directory, name)],
      ...["--listen", client, "--peer-listen", `127.0.0.1:${ports[2 * index + 1]}`],
      ...["--region", REGIONS[index % REGIONS.length] ?? "eu", "--zone", `z${index}`],
      ...["--cluster-secret-file", secretFile, "--bootstrap-expect", String(PROGRAMS.length)],
      ...joining,
    ]);
  });
}

beforeAll(async () => {
  build("node");
  build("bun");
  directory = mkdtempSync(join(tmpdir(), "gyre-mixed-"));
  nodes = await startAll();
  await Promise.all(nodes.map((node) => node.ready(READY_MS)));
}, BUILD_MS + READY_MS);

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.stop()));
  rmSync(directory, { recursive: true, force: true });
}, READY_MS);

function address(node: ServeNode, writer: ServeNode): string {
  return `${node.url}/v1/kv/default/from/${writer.name}`;
}

describe("a cluster of Node, Bun, Deno and both executables", () => {
  test("reads at each what was put at each, byte for byte", async () => {
    const values = new Map(nodes.map((node) => [node, randomBytes(1000)]));
    for (const [writer, value] of values) {
      const put = await fetch(`${address(writer, writer)}?w=3`, {
        method: "PUT",
        body: new Uint8Array(value),
      });
      expect([writer.name, put.status]).toEqual([writer.name, 204]);
    }
    for (const [writer, value] of values) {
      for (const reader of nodes) {
        const got = await fetch(address(reader, writer));
        expect([reader.name, writer.name, got.status]).toEqual([reader.name, writer.name, 200]);
        expect(Buffer.from(await got.arrayBuffer()).equals(value)).toBe(true);
      }
    }
  }, 30_000);

  test("replaces at one what another wrote, given its context, and leaves no sibling", async () => {
    for (const [index, writer] of nodes.entries()) {
      const next = nodes[(index + 1) % nodes.length] ?? writer;
      const context = (await fetch(address(next, writer))).headers.get("gyre-context") ?? "";
      const put = await fetch(address(next, writer), {
        method: "PUT",
        body: "second",
        headers: { "gyre-context": context },
      });
      expect([next.name, put.status, put.headers.get("gyre-siblings")]).toEqual([
        next.name,
        204,
        "1",
      ]);
      const got = await fetch(address(writer, writer));
      expect([await got.text(), got.headers.get("gyre-siblings")]).toEqual(["second", "1"]);
    }
  }, 30_000);

  test("lists the same keys at each", async () => {
    const expected = nodes.map((node) => `from/${node.name}`).toSorted();
    for (const node of nodes) {
      const listed = await fetch(`${node.url}/v1/keys/default?prefix=from/`);
      const { keys } = (await listed.json()) as { keys: { name: string }[] };
      expect([node.name, keys.map((key) => key.name)]).toEqual([node.name, expected]);
    }
  }, 30_000);

  test("shows five nodes that are up at each", async () => {
    for (const node of nodes) {
      const status = await fetch(`${node.url}/v1/cluster`);
      const { nodes: members } = (await status.json()) as { nodes: { state: string }[] };
      expect([node.name, members.map((member) => member.state)]).toEqual([
        node.name,
        ["up", "up", "up", "up", "up"],
      ]);
    }
  }, 30_000);

  test("stops in order at SIGTERM, each with exit code 0 and without its lock", async () => {
    const codes = await Promise.all(nodes.map(async (node) => [node.name, await node.stop()]));
    expect(codes).toEqual(nodes.map((node) => [node.name, 0]));
    const locks = nodes.filter((node) => existsSync(join(directory, node.name, "lock")));
    expect(locks.map((node) => node.name)).toEqual([]);
  }, 60_000);
});
