import { describe, expect, test } from "bun:test";
import { encode } from "@msgpack/msgpack";
import {
  type MessageHandlers,
  PeerError,
  type WireFields,
  type WireValue,
} from "../../src/cluster/peer-channel.ts";
import { decodeAnswer, encodeRequest } from "../../src/cluster/peer-codec.ts";
import { type CallerSession, makeHello, readHelloAnswer } from "../../src/cluster/peer-sessions.ts";
import { BadMessageError } from "../../src/cluster/wire-read.ts";
import { parseClusterId } from "../../src/core/ids.ts";
import { MESSAGE_LIFE_MS } from "../../src/core/limits.ts";
import type { PeerResponse } from "../../src/env/transport.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { ALICE, BOB, CLUSTER, makeNode, type TestNode, TestWire } from "./peer-harness.ts";

const OTHER_CLUSTER = parseClusterId("e".repeat(32));

/** Bob with these handlers, and a session of Alice to send him bodies of any shape. */
async function server(
  handlers: MessageHandlers,
  options: { readonly clusterId?: null } = {},
): Promise<{ bob: TestNode; post(body: Uint8Array): Promise<PeerResponse> }> {
  const clock = new VirtualClock();
  const wire = new TestWire();
  const bob = makeNode({ id: BOB, clock, wire, handlers, ...options });
  const alice = makeNode({ id: ALICE, clock, wire });
  const identity = {
    clock,
    crypto: alice.env.crypto,
    random: alice.env.random,
    keyring: alice.keyring,
    self: ALICE,
  };
  const hello = makeHello(identity, BOB);
  const answer = await bob.handle({
    path: "/peer/v1/hello",
    auth: hello.auth,
    body: new Uint8Array(0),
  });
  const session = readHelloAnswer(identity, hello, answer) as CallerSession;
  return {
    bob,
    post: async (body) => {
      const request = session.sign(body, 0);
      const response = await bob.handle({ path: "/peer/v1/messages", auth: request.auth, body });
      // Whatever the body was: an answer to someone with the secret is authenticated.
      expect(session.verify(request, response)).toBe("answer");
      return response;
    },
  };
}

function request(...messages: readonly (readonly [number, number, WireFields])[]): Uint8Array {
  return encodeRequest(CLUSTER, messages.flat());
}

/** The codes of the answers, or "ok". */
function codes(response: PeerResponse, messages: number): WireValue[] {
  const flat = decodeAnswer(response.body, messages);
  return Array.from({ length: messages }, (_, i) =>
    flat[2 * i] === 0 ? "ok" : ((flat[2 * i + 1] as WireFields)[0] ?? null),
  );
}

describe("peer server", () => {
  test("answers each message by itself, whatever becomes of its neighbours", async () => {
    const { bob, post } = await server({
      write: () => [1],
      read: () => {
        throw new Error("a bug");
      },
      scan: () => Promise.reject(new TypeError("a later bug")),
      forward: () => {
        throw new PeerError("refused", "stale_layout", "newer", { detail: new Uint8Array([9]) });
      },
      probe: () => {
        throw new BadMessageError("Cannot read field key: want bytes");
      },
      gossip: async () => [2],
    });
    const response = await post(
      request(
        [1, 100, []],
        [2, 100, []],
        [4, 100, []],
        [3, 100, []],
        [17, 100, []],
        [16, 100, []],
        [99, 100, []],
        [1, 0, []],
      ),
    );
    expect(response.status).toBe(200);
    expect(codes(response, 8)).toEqual([
      "ok",
      "internal",
      "internal",
      "stale_layout",
      "bad_message",
      "ok",
      "unknown_kind",
      "expired",
    ]);
    const refused = decodeAnswer(response.body, 8)[7] as WireFields;
    expect(refused[2]).toEqual(new Uint8Array([9]));
    expect(bob.logger.count("peer-handler-failed")).toBe(2);
  });

  test("tells handlers who sent the message, how much time is left and when it dies", async () => {
    const seen: unknown[] = [];
    const { post } = await server({
      write: (fields, context) => {
        seen.push(fields, context);
        return [];
      },
    });
    await post(request([1, 250, ["x"]]));
    expect(seen).toEqual([["x"], { from: ALICE, timeoutMs: 250, diesMs: MESSAGE_LIFE_MS }]);
  });

  test("a failed handler leaves its caller in doubt, a refusal does not", async () => {
    const clock = new VirtualClock();
    const wire = new TestWire();
    makeNode({
      id: BOB,
      clock,
      wire,
      handlers: {
        read: () => {
          throw new Error("a bug");
        },
        write: () => {
          throw new PeerError("refused", "disk_full", "no room", { detail: 5 });
        },
      },
    });
    const alice = makeNode({ id: ALICE, clock, wire });
    const outcome = async (kind: "read" | "write"): Promise<unknown> => {
      const sent = alice.client.send(BOB, kind, [], { timeoutMs: 100, lane: "batch" });
      const error = await sent.catch((reason: unknown) => reason);
      return error instanceof PeerError ? [error.outcome, error.code, error.detail] : error;
    };
    expect(await outcome("read")).toEqual(["timeout", "internal", null]);
    expect(await outcome("write")).toEqual(["refused", "disk_full", 5]);
  });

  test("refuses a body that it cannot read with an authenticated 400 and one log line", async () => {
    let calls = 0;
    const { bob, post } = await server({
      write: () => {
        calls++;
        return [];
      },
    });
    for (const body of [
      new Uint8Array(0),
      new Uint8Array([0xc1]),
      new Uint8Array([0xdd, 0xff, 0xff, 0xff, 0xff]),
      encode([1, CLUSTER, 1]),
      encode({ version: 1 }),
      encode("x"),
    ]) {
      const response = await post(body);
      expect([response.status, codes(response, 1)]).toEqual([400, ["bad_message"]]);
    }
    const response = await post(encode([2, CLUSTER]));
    expect([response.status, codes(response, 1)]).toEqual([400, ["unsupported_version"]]);
    expect([calls, bob.logger.count("peer-message-unreadable")]).toEqual([0, 1]);
  });

  test("refuses another cluster's messages with 421, and logs it", async () => {
    let calls = 0;
    const write = (): WireFields => {
      calls++;
      return [];
    };
    const { bob, post } = await server({ write });
    const response = await post(encodeRequest(OTHER_CLUSTER, [1, 100, []]));
    expect([response.status, codes(response, 1), calls]).toEqual([421, ["wrong_cluster"], 0]);
    expect(bob.logger.count("peer-of-another-cluster")).toBe(1);
    // Before it has joined, a node belongs to none: it may ask, and be asked.
    await post(encodeRequest("", [1, 100, []]));
    const joining = await server({ write }, { clusterId: null });
    await joining.post(encodeRequest(OTHER_CLUSTER, [1, 100, []]));
    expect(calls).toBe(2);
  });

  test("a caller learns that its whole request was refused", async () => {
    const clock = new VirtualClock();
    const wire = new TestWire();
    makeNode({ id: BOB, clock, wire, handlers: { write: () => [] }, clusterId: OTHER_CLUSTER });
    const alice = makeNode({ id: ALICE, clock, wire });
    const answers = [1, 2].map(() =>
      alice.client
        .send(BOB, "write", [], { timeoutMs: 100, lane: "batch" })
        .catch((error: unknown) => (error instanceof PeerError ? error.code : error)),
    );
    expect(await Promise.all(answers)).toEqual(["wrong_cluster", "wrong_cluster"]);
  });

  test("answers a request without messages", async () => {
    const { post } = await server({});
    expect((await post(request())).status).toBe(200);
  });

  test("refuses reads whose answers together exceed one body, and no acknowledgement", async () => {
    const large = new Uint8Array(30 << 20);
    const { post } = await server({ read: () => [large], write: () => [1] });
    const response = await post(
      request([2, 100, []], [2, 100, []], [2, 100, []], [1, 100, []], [2, 100, []]),
    );
    expect(codes(response, 5)).toEqual(["ok", "ok", "answer_too_large", "ok", "answer_too_large"]);
    expect(response.body.length).toBeLessThan(80 << 20);
  });

  test("an answer that cannot be encoded leaves the callers in doubt instead of hanging", async () => {
    const { bob, post } = await server({
      write: () => [(() => 1) as unknown as WireValue],
      read: async () => [1],
    });
    const response = await post(request([1, 100, []], [2, 100, []]));
    expect(codes(response, 2)).toEqual(["internal", "internal"]);
    expect(bob.logger.count("peer-answer-unencodable")).toBe(1);
  });

  test("knows two paths, and says nothing to those without the secret", async () => {
    const { bob } = await server({});
    const empty = new Uint8Array(0);
    for (const [path, auth, body, status] of [
      ["/", "", empty, 404],
      ["/peer/v1/hello", "", empty, 401],
      ["/peer/v1/hello", "", new Uint8Array(1), 400],
      ["/peer/v1/hello", "h1.....", empty, 401],
      ["/peer/v1/messages", "", empty, 401],
      ["/peer/v1/messages", "q1.a.b.c.d.e.f.g.h", empty, 401],
      ["/peer/v1/messages", "\u00ff".repeat(5_000), empty, 401],
    ] as const) {
      const response = await bob.handle({ path, auth, body });
      expect([path, response.status, response.auth, response.body.length]).toEqual([
        path,
        status,
        "",
        0,
      ]);
    }
  });
});

describe("the head of a request whose body is on its way", () => {
  const HEAD = { path: "/peer/v1/messages", bodyBytes: 70_000 };

  async function pair() {
    const clock = new VirtualClock();
    const wire = new TestWire();
    const bob = makeNode({ id: BOB, clock, wire, handlers: { write: () => [] } });
    const alice = makeNode({ id: ALICE, clock, wire });
    const send = (value: WireValue) =>
      alice.client.send(BOB, "write", [value], { timeoutMs: 1_000, lane: "direct" });
    await send("first");
    return { bob, wire, send };
  }

  test("is refused on unknown paths, in a hello, and when it proves nothing", async () => {
    const { bob } = await pair();
    const statusOf = (path: string, auth: string) => bob.admit({ ...HEAD, path, auth })?.status;
    expect(statusOf("/v1/kv", "")).toBe(404);
    expect(statusOf("/peer/v1/hello", "h1.a")).toBe(400);
    expect(statusOf(HEAD.path, "")).toBe(401);
    expect(statusOf(HEAD.path, "q1.a.b.c.d.1.0.e.f")).toBe(401);
  });

  test("is let through when its MAC is right for this very length, and only until the request is taken", async () => {
    const { bob, wire, send } = await pair();
    const seen: (number | null)[] = [];
    wire.wire = async (request, deliver) => {
      const { path, auth, body } = request;
      const judge = (bodyBytes: number) => {
        seen.push(bob.admit({ path, auth, bodyBytes })?.status ?? null);
      };
      judge(body.length);
      judge(body.length + 1);
      judge(body.length);
      const answer = await deliver(request);
      judge(body.length);
      return answer;
    };
    await send("x".repeat(HEAD.bodyBytes));
    expect(seen).toEqual([null, 401, null, 401]);
  });

  test("of a session that is not known gets the signed answer that asks for a new hello", async () => {
    const { bob, wire } = await pair();
    const { auth } = wire.batches[0] as { auth: string };
    const fields = auth.split(".");
    fields[4] = "A".repeat(22);
    const answer = bob.admit({ ...HEAD, auth: fields.join(".") });
    expect([answer?.status, answer?.auth.startsWith(`x1.${BOB}.rehello.`)]).toEqual([401, true]);
  });
});
