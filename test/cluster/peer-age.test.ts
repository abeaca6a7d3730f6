/** Nothing about a reaped key is in flight: receivers drop what is too old, without clocks that agree. */
import { describe, expect, test } from "bun:test";
import { PeerError } from "../../src/cluster/peer-channel.ts";
import { MESSAGE_LIFE_MS, PEER_SESSION_LIFE_MS } from "../../src/core/limits.ts";
import type { Clock } from "../../src/env/clock.ts";
import type { PeerHandler, PeerRequest, PeerResponse } from "../../src/env/transport.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { ALICE, BOB, makeNode, TestWire, urlOf } from "./peer-harness.ts";

const SEND = { timeoutMs: 30_000, lane: "direct" } as const;

/** The same world, told from another moment: no two machines count from the same one. */
function countingFrom(clock: VirtualClock, aheadMs: () => number): Clock {
  return {
    wallMs: () => clock.wallMs(),
    monotonicMs: () => clock.monotonicMs() + aheadMs(),
    after: (delayMs, act) => clock.after(delayMs, act),
    endOfTurn: (act) => clock.endOfTurn(act),
  };
}

function pair() {
  const clock = new VirtualClock();
  const wire = new TestWire();
  const executed: unknown[] = [];
  let bobStoppedMs = 0;
  const write = ([value]: readonly unknown[]) => {
    executed.push(value);
    return [];
  };
  const bobsClock = countingFrom(clock, () => 5_000_000 - bobStoppedMs);
  const bob = makeNode({ id: BOB, clock: bobsClock, wire, handlers: { write } });
  let aliceSleptMs = 0;
  const sessionClock = countingFrom(clock, () => -aliceSleptMs);
  const alice = makeNode({ id: ALICE, clock, sessionClock, wire });
  return {
    aliceSleeps: async (ms: number) => {
      await later(clock, ms);
      aliceSleptMs += ms;
    },
    clock,
    wire,
    alice,
    bob,
    executed,
    /** Bob's machine sleeps: time passes, his monotonic clock does not see it. */
    suspendBob: async (ms: number) => {
      await later(clock, ms);
      bobStoppedMs += ms;
    },
  };
}

function later(clock: VirtualClock, ms: number): Promise<void> {
  return clock.run(clock.monotonicMs() + ms);
}

/** Holds requests with messages back until `release`; the hello passes. */
function holding(wire: TestWire): { readonly release: () => Promise<PeerResponse[]> } {
  const held: { request: PeerRequest; deliver: PeerHandler }[] = [];
  wire.wire = (request, deliver) => {
    if (request.path.endsWith("hello")) return deliver(request);
    held.push({ request, deliver });
    return new Promise(() => undefined);
  };
  return {
    release: () => Promise.all(held.splice(0).map(({ request, deliver }) => deliver(request))),
  };
}

function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

async function failure(answer: Promise<unknown>): Promise<PeerError> {
  const error = await answer.then(
    () => new Error("was answered"),
    (reason: unknown) => reason,
  );
  if (!(error instanceof PeerError)) throw error;
  return error;
}

describe("the age of a message", () => {
  test("a message that the network held back for longer than D is not executed", async () => {
    const { clock, wire, alice, executed } = pair();
    await alice.client.send(BOB, "write", ["first"], SEND);
    await later(clock, 600_000);
    const { release } = holding(wire);
    void failure(alice.client.send(BOB, "write", ["late"], SEND));
    await later(clock, MESSAGE_LIFE_MS);
    const [answer] = await release();
    expect([answer?.status, answer?.auth.startsWith("r1.")]).toEqual([408, true]);
    expect(executed).toEqual(["first"]);
  });

  test("an answer that comes after the time of its message is none, timers or not", async () => {
    const { clock, wire, alice } = pair();
    const answers = gate();
    wire.wire = async (request, deliver) => {
      const answer = await deliver(request);
      if (!request.path.endsWith("hello")) await answers.opened;
      return answer;
    };
    // A process that was stopped may be given what waits at its sockets before its timers.
    const sent = failure(alice.client.send(BOB, "read", [1], { timeoutMs: 100, lane: "direct" }));
    await later(clock, 101);
    answers.open();
    expect((await sent).outcome).toBe("timeout");
  });

  test("a message held back for half of D is executed, in whatever year of the session", async () => {
    const { clock, wire, alice, executed } = pair();
    await alice.client.send(BOB, "write", ["first"], SEND);
    await later(clock, PEER_SESSION_LIFE_MS - MESSAGE_LIFE_MS);
    const { release } = holding(wire);
    void failure(alice.client.send(BOB, "write", ["slow"], SEND));
    await later(clock, MESSAGE_LIFE_MS / 2);
    await release();
    expect(executed).toEqual(["first", "slow"]);
  });

  test("counts the time that a message waited at its sender, the hello included", async () => {
    const { clock, wire, alice, executed } = pair();
    const hello = gate();
    wire.wire = async (request, deliver) => {
      if (request.path.endsWith("hello")) await hello.opened;
      return deliver(request);
    };
    const sent = alice.client.send(BOB, "write", ["waited"], { timeoutMs: 1e9, lane: "batch" });
    await later(clock, 2_500);
    hello.open();
    await sent;
    const q1 = wire.batches[0]?.auth.split(".") ?? [];
    expect(q1[6]).toBe("-2500");
    expect(executed).toEqual(["waited"]);
  });

  test("gives no message more time than D, whatever its sender asks", async () => {
    const { clock, wire, alice } = pair();
    holding(wire);
    const sent = failure(alice.client.send(BOB, "write", ["x"], { timeoutMs: 1e9, lane: "batch" }));
    let over = false;
    void sent.then(() => {
      over = true;
    });
    await later(clock, MESSAGE_LIFE_MS - 1);
    expect(over).toBe(false);
    await later(clock, 2);
    expect((await sent).outcome).toBe("timeout");
  });

  test("a peer that was suspended takes nothing in that may be older than it seems", async () => {
    const { wire, alice, executed, suspendBob } = pair();
    await alice.client.send(BOB, "write", ["first"], SEND);
    await suspendBob(MESSAGE_LIFE_MS / 2);
    const refused = await failure(alice.client.send(BOB, "write", ["again"], SEND));
    expect([refused.outcome, refused.code]).toEqual(["refused", "expired"]);
    expect(executed).toEqual(["first"]);
    // The refusal is what makes the caller say hello again, and then the ages are right.
    await alice.client.send(BOB, "write", ["second"], SEND);
    expect(executed).toEqual(["first", "second"]);
    expect(wire.requests.filter(({ path }) => path.endsWith("hello")).length).toBe(2);
  });

  test("says hello again when a session has been in use for its time", async () => {
    const { clock, wire, alice } = pair();
    await alice.client.send(BOB, "write", [1], SEND);
    await later(clock, PEER_SESSION_LIFE_MS + 1);
    await alice.client.send(BOB, "write", [2], SEND);
    await alice.client.send(BOB, "write", [3], SEND);
    expect(wire.requests.map(({ path }) => path.slice(9))).toEqual([
      "hello",
      "messages",
      "hello",
      "messages",
      "messages",
    ]);
  });

  test("a sender that was suspended sends nothing that is older than it seems to itself", async () => {
    const { clock, wire, alice, executed, aliceSleeps } = pair();
    await alice.client.send(BOB, "write", ["first"], SEND);
    // Its session's clock stood still, that of its deadlines did not.
    await aliceSleeps(MESSAGE_LIFE_MS);
    const refused = await failure(alice.client.send(BOB, "write", ["again"], SEND));
    expect([refused.outcome, refused.code]).toEqual(["refused", "expired"]);
    await alice.client.send(BOB, "write", ["second"], SEND);
    expect(executed).toEqual(["first", "second"]);
    expect(wire.requests.filter(({ path }) => path.endsWith("hello")).length).toBe(2);
    const { release } = holding(wire);
    void failure(alice.client.send(BOB, "write", ["late"], SEND));
    await later(clock, 1);
    await aliceSleeps(MESSAGE_LIFE_MS);
    expect((await release()).map(({ status }) => status)).toEqual([408]);
  });

  test("tells the handler when its message dies, by the handler's own clock", async () => {
    const { clock, wire, alice } = pair();
    const dies: number[] = [];
    makeNode({
      id: BOB,
      clock,
      wire,
      handlers: {
        write: (_fields, context) => {
          dies.push(context.diesMs - clock.monotonicMs());
          return [];
        },
      },
    });
    await alice.client.send(BOB, "write", [1], SEND);
    const { release } = holding(wire);
    void failure(alice.client.send(BOB, "write", [2], SEND));
    await later(clock, 10_000);
    await release();
    expect(dies).toEqual([MESSAGE_LIFE_MS, MESSAGE_LIFE_MS - 10_000]);
  });

  test("is under the MAC: nobody can make a message younger", async () => {
    const { clock, wire, alice, bob, executed } = pair();
    await alice.client.send(BOB, "write", ["first"], SEND);
    holding(wire);
    void failure(alice.client.send(BOB, "write", ["late"], SEND));
    await later(clock, 0);
    const { path, auth, body } = wire.batches.at(-1) as PeerRequest;
    const fields = auth.split(".");
    fields[6] = String(Number(fields[6]) + MESSAGE_LIFE_MS);
    await later(clock, MESSAGE_LIFE_MS);
    expect((await bob.handle({ path, auth: fields.join("."), body })).auth).toBe("");
    expect(executed).toEqual(["first"]);
    expect(wire.handlers.has(urlOf(BOB))).toBe(true);
  });
});
