import { describe, expect, test } from "bun:test";
import { joinFields, refusalContext, sealHeader } from "../../src/cluster/peer-auth.ts";
import { PeerError, type WireFields } from "../../src/cluster/peer-channel.ts";
import type { PeerRequest } from "../../src/env/transport.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import {
  ALICE,
  BOB,
  CAROL,
  delayed,
  makeNode,
  OTHER_SECRET,
  SECRET,
  type TestNode,
  TestWire,
  urlOf,
} from "./peer-harness.ts";

const BATCH = { timeoutMs: 1_000, lane: "batch" } as const;

/** Alice, who calls, and Bob, who counts what he executes and answers it doubled. */
function pair(options: { readonly bobsSecrets?: readonly Uint8Array[] } = {}): {
  readonly clock: VirtualClock;
  readonly wire: TestWire;
  readonly alice: TestNode;
  readonly bob: TestNode;
  readonly executed: number[];
  restartBob(): void;
} {
  const clock = new VirtualClock();
  const wire = new TestWire();
  const executed: number[] = [];
  const startBob = (seed: number): TestNode =>
    makeNode({
      id: BOB,
      clock,
      wire,
      seed,
      secrets: options.bobsSecrets ?? [SECRET],
      handlers: {
        write: ([value]) => {
          executed.push(value as number);
          return [2 * (value as number)];
        },
      },
    });
  const bob = startBob(1);
  const alice = makeNode({ id: ALICE, clock, wire });
  return { clock, wire, alice, bob, executed, restartBob: () => void startBob(2) };
}

/** The error that the promise ends with. */
async function failure(answer: Promise<WireFields>): Promise<PeerError> {
  const error = await answer.then(
    () => new Error("was answered"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof PeerError)) throw error;
  return error;
}

function changed(bytes: Uint8Array, at: number): Uint8Array {
  const copy = bytes.slice();
  copy[at] = (copy[at] as number) ^ 1;
  return copy;
}

describe("peer authentication", () => {
  test("carries a message to the peer and its answer back", async () => {
    const { alice, executed, wire } = pair();
    expect(await alice.client.send(BOB, "write", [21], BATCH)).toEqual([42]);
    expect(executed).toEqual([21]);
    expect(wire.requests.map((request) => request.path)).toEqual([
      "/peer/v1/hello",
      "/peer/v1/messages",
    ]);
  });

  test("says hello once for all messages that wait for it", async () => {
    const { alice, wire } = pair();
    const direct = { timeoutMs: 1_000, lane: "direct" } as const;
    await Promise.all([
      alice.client.send(BOB, "write", [1], BATCH),
      alice.client.send(BOB, "write", [2], direct),
      alice.client.send(BOB, "write", [3], direct),
    ]);
    expect(wire.requests.length - wire.batches.length).toBe(1);
  });

  test("refuses a peer with another secret, and says so once a minute on both sides", async () => {
    const { alice, bob, clock } = pair({ bobsSecrets: [OTHER_SECRET] });
    for (let i = 0; i < 2; i++) {
      const error = await failure(alice.client.send(BOB, "write", [1], BATCH));
      expect([error.outcome, error.code]).toEqual(["refused", "unauthorized"]);
    }
    expect(bob.logger.count("peer-unauthorized")).toBe(1);
    expect(alice.logger.count("peer-refuses-our-secret")).toBe(1);
    await clock.run(61_000);
    await failure(alice.client.send(BOB, "write", [1], BATCH));
    expect(bob.logger.count("peer-unauthorized")).toBe(2);
  });

  test("a secret that is only accepted verifies both ways, so that secrets can be rotated", async () => {
    const clock = new VirtualClock();
    const wire = new TestWire();
    const handlers = { write: () => [1] };
    const alice = makeNode({ id: ALICE, clock, wire, handlers, secrets: [SECRET, OTHER_SECRET] });
    const bob = makeNode({ id: BOB, clock, wire, handlers, secrets: [OTHER_SECRET, SECRET] });
    expect(await alice.client.send(BOB, "write", [0], BATCH)).toEqual([1]);
    expect(await bob.client.send(ALICE, "write", [0], BATCH)).toEqual([1]);
  });

  test("executes a replayed request once and gives the second no answer that could pass for one", async () => {
    const { alice, bob, executed, wire } = pair();
    await alice.client.send(BOB, "write", [5], BATCH);
    const recorded = wire.batches[0] as PeerRequest;
    const replay = await bob.handle(recorded);
    expect([replay.status, replay.auth]).toEqual([401, ""]);
    expect(executed).toEqual([5]);
  });

  test("executes nothing of a request whose body, header or path was changed", async () => {
    const { alice, bob, executed, wire } = pair();
    await alice.client.send(BOB, "write", [5], BATCH);
    executed.length = 0;
    let genuine: PeerRequest | undefined;
    wire.wire = async (request) => {
      genuine = request;
      return { status: 503, auth: "", body: new Uint8Array(0) };
    };
    await failure(alice.client.send(BOB, "write", [6], BATCH));
    const { auth, body, path } = genuine as PeerRequest;
    for (let at = 0; at < body.length; at++) {
      expect((await bob.handle({ path, auth, body: changed(body, at) })).auth).toBe("");
    }
    expect((await bob.handle({ path, auth, body: body.slice(1) })).auth).toBe("");
    for (let at = 0; at < auth.length; at++) {
      const other = auth[at] === "1" ? "2" : "1";
      const forged = auth.slice(0, at) + other + auth.slice(at + 1);
      await bob.handle({ path, auth: forged, body });
    }
    await bob.handle({ path: "/peer/v1/hello", auth, body });
    expect(executed).toEqual([]);
    // None of the attempts used up the number: the genuine request is still taken.
    expect((await bob.handle({ path, auth, body })).status).toBe(200);
    expect(executed).toEqual([6]);
  });

  test("an answer that was changed is no answer: the message may have been executed", async () => {
    const { alice, wire } = pair();
    await alice.client.send(BOB, "write", [5], BATCH);
    const changes: ((answer: { status: number; auth: string; body: Uint8Array }) => object)[] = [
      ({ body }) => ({ body: changed(body, body.length - 1) }),
      ({ auth }) => ({ auth: `${auth.slice(0, -2)}AA` }),
      () => ({ auth: "" }),
      () => ({ status: 421 }),
      () => ({ status: 401, auth: "", body: new Uint8Array(0) }),
    ];
    for (const change of changes) {
      wire.wire = async (request, deliver) => {
        const answer = await deliver(request);
        return request.path.endsWith("hello") ? answer : { ...answer, ...change(answer) };
      };
      const error = await failure(
        alice.client.send(BOB, "write", [5], { timeoutMs: 1_000, lane: "direct" }),
      );
      expect([error.outcome, error.code]).toEqual(["timeout", "unauthenticated_answer"]);
    }
  });

  test("an answer to another request of the session is no answer", async () => {
    const { alice, wire } = pair();
    await alice.client.send(BOB, "write", [5], BATCH);
    const recorded = wire.answers[1];
    wire.wire = async () => recorded as never;
    expect((await failure(alice.client.send(BOB, "write", [5], BATCH))).outcome).toBe("timeout");
  });

  test("a request reflected to its sender or sent to a third node proves nothing", async () => {
    const { alice, clock, executed, wire } = pair();
    const carol = makeNode({ id: CAROL, clock, wire, handlers: { write: () => [0] } });
    await alice.client.send(BOB, "write", [5], BATCH);
    for (const other of [alice, carol]) {
      wire.wire = (request, deliver) =>
        request.path.endsWith("hello") ? deliver(request) : other.handle(request);
      const error = await failure(alice.client.send(BOB, "write", [6], BATCH));
      expect([error.outcome, error.code]).toEqual(["timeout", "unauthenticated_answer"]);
      const reflected = wire.batches.at(-1) as PeerRequest;
      expect((await other.handle(reflected)).auth).toBe("");
    }
    expect(executed).toEqual([5]);
  });

  test("believes a rehello only from the peer itself", async () => {
    const { alice, executed, wire } = pair();
    await alice.client.send(BOB, "write", [5], BATCH);
    wire.wire = async (request, deliver) => {
      if (request.path.endsWith("hello")) return deliver(request);
      await deliver(request);
      // Any node of the cluster has the key to sign this; only the name inside tells whose word it is.
      const { key } = alice.keyring.active("peer-response");
      const context = refusalContext(request.path, 401, request.auth);
      const auth = sealHeader(alice.env.crypto, key, context, joinFields("x1", CAROL, "rehello"));
      return { status: 401, auth, body: new Uint8Array(0) };
    };
    const error = await failure(alice.client.send(BOB, "write", [6], BATCH));
    expect([error.outcome, executed]).toEqual(["timeout", [5, 6]]);
  });

  test("a peer that restarted gets a new hello and the request once more", async () => {
    const { alice, executed, restartBob, wire } = pair();
    await alice.client.send(BOB, "write", [1], BATCH);
    restartBob();
    expect(await alice.client.send(BOB, "write", [2], BATCH)).toEqual([4]);
    expect(executed).toEqual([1, 2]);
    expect(wire.requests.map((request) => request.path.slice(9))).toEqual([
      "hello",
      "messages",
      "messages",
      "hello",
      "messages",
    ]);
    expect(alice.client.stats.rehellos).toBe(1);
  });

  test("a peer that loses every session is tried twice, then the message counts as not executed", async () => {
    const { alice, restartBob, wire, executed } = pair();
    await alice.client.send(BOB, "write", [1], BATCH);
    let seeds = 0;
    wire.wire = (request, deliver) => {
      if (request.path.endsWith("hello")) return deliver(request);
      restartBob();
      seeds++;
      return (wire.handlers.get(urlOf(BOB)) as typeof deliver)(request);
    };
    const error = await failure(alice.client.send(BOB, "write", [2], BATCH));
    expect([error.outcome, error.code, seeds]).toEqual(["unreachable", "rehello", 2]);
    expect(executed).toEqual([1]);
  });

  test("a forged rehello does not make a caller send its request again", async () => {
    const { alice, bob, executed, restartBob, wire } = pair();
    await alice.client.send(BOB, "write", [1], BATCH);
    // A rehello that the restarted Bob really signed, but for another request.
    const old = wire.batches[0] as PeerRequest;
    restartBob();
    const rehello = await (wire.handlers.get(urlOf(BOB)) as typeof bob.handle)(old);
    expect(rehello.auth.startsWith("x1.")).toBe(true);
    wire.handlers.set(urlOf(BOB), bob.handle);
    wire.wire = async (request, deliver) => {
      const answer = await deliver(request);
      return request.path.endsWith("hello") ? answer : rehello;
    };
    const error = await failure(alice.client.send(BOB, "write", [2], BATCH));
    expect([error.outcome, executed.filter((value) => value === 2).length]).toEqual(["timeout", 1]);
  });

  test("a recorded hello, played back, opens no second session and resets no window", async () => {
    const { alice, bob, executed, wire } = pair();
    await alice.client.send(BOB, "write", [1], BATCH);
    const [hello, request] = wire.requests as [PeerRequest, PeerRequest];
    const again = await bob.handle(hello);
    expect(again.auth).toBe(wire.answers[0]?.auth as string);
    expect((await bob.handle(request)).auth).toBe("");
    expect(executed).toEqual([1]);
  });

  test("finds out that another node answers at the address, before anything is sent to execute", async () => {
    const { alice, clock, wire, executed } = pair();
    const carol = makeNode({ id: CAROL, clock, wire, handlers: { write: () => [0] } });
    wire.handlers.set(urlOf(BOB), carol.handle);
    const error = await failure(alice.client.send(BOB, "write", [1], BATCH));
    expect([error.outcome, error.code, wire.batches.length]).toEqual([
      "unreachable",
      "wrong_node",
      0,
    ]);
    expect(wire.answers.map(({ status }) => status)).toEqual([421]);
    expect(executed).toEqual([]);
  });

  test("learns who answers at an address that is all it knows", async () => {
    const { alice } = pair();
    expect(await alice.client.sendTo(urlOf(BOB), "write", [4], 1_000)).toEqual([8]);
    const error = await failure(alice.client.sendTo("http://nobody:1", "write", [4], 1_000));
    expect(error.outcome).toBe("unreachable");
  });

  test("takes requests that overtake each other, within the window, each once", async () => {
    const { alice, bob, clock, executed, wire } = pair();
    await alice.client.send(BOB, "write", [0], BATCH);
    const held: PeerRequest[] = [];
    wire.wire = (request, deliver) => {
      held.push(request);
      return delayed(clock, 10)(request, deliver);
    };
    const answers = Array.from({ length: 400 }, (_, i) =>
      failure(alice.client.send(BOB, "write", [i + 1], { timeoutMs: 5_000, lane: "direct" })),
    );
    await clock.run(0);
    for (const request of held.toReversed()) await bob.handle(request);
    expect(executed.length).toBe(401);
    await clock.run(100);
    // The slow originals arrive as second copies.
    for (const answer of answers) expect((await answer).outcome).toBe("timeout");
    expect(executed.length).toBe(401);
  });
});
