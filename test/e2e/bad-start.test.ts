/** Starts that cannot succeed: each ends with a sentence that says why and what to do, an exit code, and nothing harmed. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Server } from "node:net";
import { join, resolve } from "node:path";
import { gyreCommand } from "./dev-cluster.ts";
import { freePorts } from "./ports.ts";
import { ask } from "./requests.ts";
import { E2E_RUNTIME, ServeCluster } from "./serve-cluster.ts";
import { ServeNode } from "./serve-node.ts";

setDefaultTimeout(120_000);

const ROOT = resolve(import.meta.dirname, "../..");
const cluster = new ServeCluster({ nodes: 1, regions: ["eu"] });
const started: ServeNode[] = [];
const squatters: Server[] = [];

beforeAll(async () => {
  await cluster.start();
  expect((await ask(known(), { method: "PUT", body: "value" })).status).toBe(204);
});
afterAll(async () => {
  for (const server of squatters) server.close();
  for (const node of started) node.signal("SIGKILL");
  await Promise.all(started.map((node) => node.ended));
  await cluster.close();
});

function known(): string {
  return `${cluster.node(0).url}/v1/kv/default/known`;
}

interface Place {
  readonly data: string;
  readonly clientPort?: number;
  readonly peerPort?: number;
  readonly more?: readonly string[];
}

/** A `gyre serve` of its own, beside the node that runs. */
async function serve({ data, clientPort, peerPort, more = [] }: Place): Promise<ServeNode> {
  const [first = 0, second = 0] = await freePorts(2);
  const client = `127.0.0.1:${clientPort ?? first}`;
  const node = new ServeNode("start", `http://${client}`, gyreCommand(E2E_RUNTIME), [
    ...["--data", data, "--log-format", "json"],
    ...(more.includes("--listen") ? [] : ["--listen", client]),
    ...["--peer-listen", `127.0.0.1:${peerPort ?? second}`],
    ...more,
  ]);
  started.push(node);
  return node;
}

/** What it printed, all of it, after it has ended with this exit code. */
async function failed(place: Place, exitCode = 1): Promise<string> {
  const node = await serve(place);
  expect([await node.ended, node.output]).toEqual([exitCode, node.output]);
  // A sentence for the operator, not a stack trace for us.
  expect(node.output).toContain("gyre serve: ");
  expect(node.output).not.toMatch(/^\s+at /m);
  return node.output;
}

function directory(name: string): string {
  return join(cluster.directory, name);
}

describe("a data directory", () => {
  test("that another process uses is refused, and that process is not harmed", async () => {
    const output = await failed({ data: cluster.dataOf(0) });
    expect(output).toContain(`Cannot open data directory ${cluster.dataOf(0)}`);
    expect(output).toContain("another process is using it");
    expect(cluster.node(0).hasEnded).toBe(false);
    expect((await ask(known())).body.toString()).toBe("value");
    expect((await ask(known(), { method: "PUT", body: "value" })).status).toBe(204);
  });

  test("that is a file is refused", async () => {
    const data = directory("a-file");
    writeFileSync(data, "not a directory");
    expect(await failed({ data })).toContain(data);
    expect(readFileSync(data, "utf8")).toBe("not a directory");
  });

  // Permissions do not bind the superuser, whom containers often run tests as.
  test.skipIf(process.getuid?.() === 0)("that may not be written is refused", async () => {
    const data = directory("read-only");
    mkdirSync(data);
    chmodSync(data, 0o500);
    expect(await failed({ data })).toContain(data);
  });

  test("with an identity that cannot be understood is refused and left as it is", async () => {
    const data = directory("bad-identity");
    mkdirSync(data);
    writeFileSync(join(data, "identity.json"), '{"nodeId": 7}');
    const output = await failed({ data });
    expect(output).toContain("identity.json");
    expect(output).toContain("Restore it from a backup");
    expect(readFileSync(join(data, "identity.json"), "utf8")).toBe('{"nodeId": 7}');
  });

  test("with a database and no identity is refused: it may be anyone's", async () => {
    const data = directory("no-identity");
    mkdirSync(data);
    writeFileSync(join(data, "gyre.db"), "x");
    expect(await failed({ data })).toContain("it has a database but no identity.json");
  });

  test("of a single node with a damaged database is refused: nothing is moved, and the message says what to do", async () => {
    const data = directory("damaged");
    const first = await serve({ data });
    await first.ready(60_000);
    const key = "/v1/kv/default/known";
    expect((await ask(`${first.url}${key}`, { method: "PUT", body: "value" })).status).toBe(204);
    expect(await first.stop()).toBe(0);
    const whole = readFileSync(join(data, "gyre.db"));
    writeFileSync(join(data, "gyre.db"), Buffer.alloc(64 * 1024, "damage"));
    const names = readdirSync(data);
    for (let start = 1; start <= 2; start++) {
      const output = await failed({ data });
      expect(output).toContain(`Cannot use database ${join(data, "gyre.db")}`);
      expect(output).toContain(`gyre verify ${data}`);
      expect(output).toContain("gyre restore");
      expect(readdirSync(data)).toEqual(names);
    }
    writeFileSync(join(data, "gyre.db"), whole);
    const again = await serve({ data });
    await again.ready(60_000);
    expect((await ask(`${again.url}${key}`)).body.toString()).toBe("value");
    expect(await again.stop()).toBe(0);
  });

  test("of a single node with a damaged small value keeps its rows, and takes writes again", async () => {
    const data = directory("damaged-value");
    const first = await serve({ data });
    await first.ready(60_000);
    const key = "/v1/kv/default/known";
    expect((await ask(`${first.url}${key}`, { method: "PUT", body: "value" })).status).toBe(204);
    expect(await first.stop()).toBe(0);
    const bytes = readFileSync(join(data, "gyre.db"));
    const name = Buffer.from("epoch-lease");
    expect(bytes.indexOf(name)).toBeGreaterThan(0);
    for (let at = bytes.indexOf(name); at >= 0; at = bytes.indexOf(name, at + 1)) bytes[at] = 0x45;
    writeFileSync(join(data, "gyre.db"), bytes);
    const second = await serve({ data });
    await second.ready(60_000);
    expect(second.output).toContain("small-values-dropped");
    expect((await ask(`${second.url}${key}`)).body.toString()).toBe("value");
    expect((await ask(`${second.url}${key}`, { method: "PUT", body: "new" })).status).toBe(204);
    expect((await ask(`${second.url}${key}`)).body.toString()).toBe("new");
    expect(await second.stop()).toBe(0);
  });
});

describe("ports", () => {
  test("that are in use are named, and the data directory is free again", async () => {
    const data = directory("ports");
    for (const use of ["clients", "peers"]) {
      const squatter = createServer();
      squatters.push(squatter);
      const port = await new Promise<number>((done) => {
        squatter.listen(0, "127.0.0.1", () => {
          const address = squatter.address();
          done(address === null || typeof address === "string" ? 0 : address.port);
        });
      });
      const place = use === "clients" ? { clientPort: port } : { peerPort: port };
      const output = await failed({ data, ...place });
      expect(output).toContain(`Cannot listen for ${use} on 127.0.0.1:${port}`);
      expect(existsSync(join(data, "lock"))).toBe(false);
    }
    const node = await serve({ data });
    await node.ready(60_000);
    expect(await node.stop()).toBe(0);
  });
});

describe("options", () => {
  test("that cannot be are refused with exit code 2 before anything is touched", async () => {
    const data = directory("options");
    const secret = directory("short-secret");
    writeFileSync(secret, "abcd\n");
    for (const [more, complaint, exitCode] of [
      [["--listen", "0.0.0.0:7070"], "has no client authentication", 2],
      [["--region", "Europe!"], "--region", 2],
      [["--partitions", "1000"], "power of two", 2],
      [["--nonsense"], "--nonsense", 2],
      [["--cluster-secret-file", secret], "64 or more hex digits", 2],
      [["--cluster-secret-file", directory("nowhere")], "Cannot find the cluster secret file", 1],
      [["--config", directory("nowhere.json")], "Cannot find the configuration file", 2],
    ] as const) {
      const output = await failed({ data, more }, exitCode);
      expect(output).toContain(complaint);
    }
  });
});

/** The Node that the machine itself has, if it is one that Gyre cannot run on. */
function oldNode(): string | undefined {
  const own = join(ROOT, "node_modules");
  const path = (process.env["PATH"] ?? "").split(":").filter((each) => !each.startsWith(own));
  for (const candidate of path.map((each) => join(each, "node"))) {
    if (!existsSync(candidate)) continue;
    const version = spawnSync(candidate, ["--version"], { encoding: "utf8" }).stdout ?? "";
    const [major = 99, minor = 0] = version.replace("v", "").split(".").map(Number);
    if (major < 22 || (major === 22 && minor < 13)) return candidate;
  }
  return undefined;
}

const OLD_NODE = oldNode();

describe("a Node that is too old", () => {
  test.skipIf(OLD_NODE === undefined)("is told so in a sentence, with exit code 2", () => {
    for (const args of [["serve"], ["dev"], ["--help"], []]) {
      const done = spawnSync(OLD_NODE ?? "", [join(ROOT, "bin/gyre.mjs"), ...args], {
        encoding: "utf8",
        cwd: cluster.directory,
      });
      expect([args, done.status, done.stdout]).toEqual([args, 2, ""]);
      expect(done.stderr).toMatch(/^gyre: Cannot run on Node \S+, want Node 22\.13 or newer/);
      expect(done.stderr.trim().split("\n").length).toBe(1);
    }
  });

  test.skipIf(OLD_NODE === undefined)(
    "still runs npm's scripts, which bring their own",
    async () => {
      const child = spawn(OLD_NODE ?? "", [join(ROOT, "scripts/start.mjs"), "--help"], {
        stdio: ["ignore", "pipe", "pipe"],
      });
      let output = "";
      child.stdout.on("data", (chunk: Buffer) => {
        output += chunk;
      });
      const code = await new Promise((done) => child.on("close", done));
      expect([code, output.includes("gyre dev")]).toEqual([0, true]);
    },
  );
});

describe("after all of this", () => {
  test("the node that ran beside it serves, and stops in order", async () => {
    expect((await ask(known())).body.toString()).toBe("value");
    expect(await cluster.node(0).stop()).toBe(0);
  });
});
