/** What reaches the peer listener of a real node from those who do not belong there, and from those who speak nonsense. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createSystemEnv } from "../../runtimes/shared/system-env.ts";
import { createNetTransport } from "../../runtimes/shared/transport-net.ts";
import { Keyring } from "../../src/cluster/keyring.ts";
import { HELLO_PATH, MESSAGES_PATH } from "../../src/cluster/peer-auth.ts";
import { PeerCaller } from "../../src/cluster/peer-caller.ts";
import { newPeerStats } from "../../src/cluster/peer-stats.ts";
import { parseSecrets } from "../../src/config.ts";
import { parseNodeId } from "../../src/core/ids.ts";
import type { Logger } from "../../src/env/logger.ts";
import { gyreCommand } from "./dev-cluster.ts";
import { freePorts } from "./ports.ts";
import { rawHead, sendRaw } from "./raw-http.ts";
import { ask, type ClusterView, jsonOf, until } from "./requests.ts";
import { E2E_RUNTIME, ServeCluster } from "./serve-cluster.ts";
import { ServeNode } from "./serve-node.ts";

setDefaultTimeout(120_000);

const ANSWER_MS = 20_000;
const STRANGER = parseNodeId("5".repeat(32));
const silent = (): void => undefined;
const noLogger: Logger = { debug: silent, info: silent, warn: silent, error: silent };

const cluster = new ServeCluster({ nodes: 1, regions: ["eu"] });
const transport = createNetTransport({ answerBytesMax: 1024 * 1024 });
const others: ServeNode[] = [];

beforeAll(async () => {
  await cluster.start();
  const put = await ask(known(), { method: "PUT", body: "value" });
  expect(put.status).toBe(204);
});
afterAll(async () => {
  transport.close();
  for (const node of others) node.signal("SIGKILL");
  await cluster.close();
});

function known(): string {
  return `${cluster.node(0).url}/v1/kv/default/known`;
}

/** Someone who has this secret and calls the node's peer listener, without the codec that would make good messages. */
async function callerWith(secret: Uint8Array): Promise<PeerCaller> {
  const env = { ...(await createSystemEnv(noLogger)), transport };
  const keyring = new Keyring(env.crypto, [secret]);
  return new PeerCaller({
    env,
    identity: { clock: env.clock, crypto: env.crypto, random: env.random, keyring, self: STRANGER },
    stats: newPeerStats(),
    target: null,
    addressOf: () => cluster.peerUrlOf(0),
  });
}

function clusterSecret(): Uint8Array {
  const file = cluster.secretFile;
  const [secret] = parseSecrets(file, readFileSync(file, "utf8"));
  if (secret === undefined) throw new Error(`No secret in ${file}`);
  return secret;
}

/** Log lines of an event, by a node that writes JSON. */
function linesOf(node: ServeNode, event: string): string[] {
  return node.output.split("\n").filter((line) => line.includes(`"event":"${event}"`));
}

async function untilLogged(node: ServeNode, event: string): Promise<string> {
  return await until(`the log line ${event} of ${node.name}`, () => linesOf(node, event)[0]);
}

describe("the peer listener", () => {
  test("refuses whatever proves nothing: other methods, other paths, no header, made-up headers", async () => {
    const url = cluster.peerUrlOf(0);
    const post = (target: string, auth: string): string =>
      rawHead("POST", target, [
        "content-length: 3",
        ...(auth === "" ? [] : [`gyre-auth: ${auth}`]),
      ]);
    for (const [what, bytes, status] of [
      ["GET", rawHead("GET", MESSAGES_PATH), 405],
      ["another path", `${post("/v1/kv/default/known", "")}abc`, 404],
      ["no header", `${post(MESSAGES_PATH, "")}abc`, 401],
      ["a made-up header", `${post(MESSAGES_PATH, "q1.a.b.c.d.1.e.f")}abc`, 401],
      ["half a header", `${post(MESSAGES_PATH, "q1.")}abc`, 401],
      ["a hello with a body", `${post(HELLO_PATH, "h1.a.b.c.d.e")}abc`, 400],
      [
        "a made-up hello",
        rawHead("POST", HELLO_PATH, ["content-length: 0", "gyre-auth: h1.a"]),
        401,
      ],
      [
        "81 MiB announced",
        rawHead("POST", MESSAGES_PATH, [`content-length: ${81 * 1024 ** 2}`]),
        413,
      ],
    ] as const) {
      const answer = await sendRaw(url, [bytes]);
      expect([what, answer.status, answer.body]).toEqual([what, status, ""]);
    }
    await untilLogged(cluster.node(0), "peer-unauthorized");
  });

  test("refuses broken msgpack from a peer with the secret, says so in its log, and goes on", async () => {
    const caller = await callerWith(clusterSecret());
    const deep = new Uint8Array(10_000).fill(0x91);
    const huge = Uint8Array.from([0xdd, 0xff, 0xff, 0xff, 0xff]);
    const valid = [0x93, 0x01, 0xa0, 0x90];
    for (const [what, body] of [
      ["nothing", new Uint8Array(0)],
      ["a byte that msgpack never uses", Uint8Array.from([0xc1])],
      ["arrays ten thousand deep", deep],
      ["an array of four billion", huge],
      ["text that is no UTF-8", Uint8Array.from([0x93, 0x01, 0xa2, 0xff, 0xfe, 0x90])],
      ["a map", Uint8Array.from([0x81, 0xa1, 0x61, 0x01])],
      ["bytes after the end", Uint8Array.from([...valid, 0xc0])],
      ["noise", new Uint8Array(randomBytes(5_000))],
    ] as const) {
      const answer = await caller.call(body, 0, ANSWER_MS);
      expect([what, answer.status]).toEqual([what, 400]);
    }
    await untilLogged(cluster.node(0), "peer-message-unreadable");
    expect((await ask(known())).body.toString()).toBe("value");
  });

  test("does not answer a caller with another secret", async () => {
    const caller = await callerWith(new Uint8Array(randomBytes(32)));
    const refused = await caller.call(new Uint8Array(0), 0, ANSWER_MS).then(
      () => "answered",
      (error: unknown) => String(error),
    );
    expect(refused).toContain("does not accept our cluster secret");
  });
});

describe("a node with another secret", () => {
  test("is refused, and both sides say why in their logs", async () => {
    const [clientPort = 0, peerPort = 0] = await freePorts(2);
    const secretFile = join(cluster.directory, "other-secret");
    writeFileSync(secretFile, `${randomBytes(32).toString("hex")}\n`);
    const client = `127.0.0.1:${clientPort}`;
    const stranger = new ServeNode("stranger", `http://${client}`, gyreCommand(E2E_RUNTIME), [
      ...["--data", join(cluster.directory, "stranger"), "--log-format", "json"],
      ...["--listen", client, "--peer-listen", `127.0.0.1:${peerPort}`],
      ...["--cluster-secret-file", secretFile, "--join", cluster.peerUrlOf(0)],
    ]);
    others.push(stranger);
    const theirs = await untilLogged(stranger, "peer-refuses-our-secret");
    expect(theirs).toContain(cluster.peerUrlOf(0));
    await untilLogged(stranger, "join-refused");
    const ours = await untilLogged(cluster.node(0), "peer-unauthorized");
    expect(ours).toContain("does it have this cluster's secret?");
    // It stays outside: alive, taking nothing, and unknown to the cluster.
    const put = await ask(`${stranger.url}/v1/kv/default/known`, { method: "PUT", body: "x" });
    expect(put.status).toBe(503);
    const { nodes } = jsonOf<ClusterView>(await ask(`${cluster.node(0).url}/v1/cluster`));
    expect(nodes.length).toBe(1);
    expect(await stranger.stop()).toBe(0);
  });
});

describe("after all of this", () => {
  test("the node serves and has logged no error", async () => {
    expect((await ask(known())).body.toString()).toBe("value");
    const errors = cluster
      .node(0)
      .output.split("\n")
      .filter((line) => line.includes('"level":"error"'));
    expect(errors).toEqual([]);
    expect(await cluster.node(0).stop()).toBe(0);
  });
});
