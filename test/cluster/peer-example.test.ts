/** The worked example of docs/protocol.md, made again: if it differs, the protocol has changed. */

import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { systemCrypto } from "../../runtimes/shared/system-crypto.ts";
import { Keyring } from "../../src/cluster/keyring.ts";
import { encodeAnswer, encodeRequest } from "../../src/cluster/peer-codec.ts";
import { type Admitted, PeerGate } from "../../src/cluster/peer-gate.ts";
import { type CallerSession, makeHello, readHelloAnswer } from "../../src/cluster/peer-sessions.ts";
import { bytesToHex } from "../../src/core/bytes.ts";
import type { Random } from "../../src/env/random.ts";
import { VirtualClock } from "../support/virtual-clock.ts";
import { ALICE, BOB, CLUSTER, LogCapture } from "./peer-harness.ts";

/** 00 00 .., then 01 01 .., then 02 02 ..: in the example nothing is left to chance. */
function countingRandom(start: number): Random {
  let next = start;
  return { bytes: (count) => new Uint8Array(count).fill(next++), below: () => 0 };
}

/** Each step of the example, by its name in the page. */
function example(): Readonly<Record<string, string>> {
  const secret = Uint8Array.from({ length: 32 }, (_, i) => i);
  const keyring = new Keyring(systemCrypto, [secret]);
  const clock = new VirtualClock();
  const alice = { clock, crypto: systemCrypto, random: countingRandom(0xa0), keyring, self: ALICE };
  const gate = new PeerGate({
    crypto: systemCrypto,
    random: countingRandom(0xb0),
    clock: new VirtualClock(),
    logger: new LogCapture(),
    keyring,
    self: BOB,
  });
  const hello = makeHello(alice, BOB);
  const helloAnswer = gate.hello(hello.auth);
  const session = readHelloAnswer(alice, hello, helloAnswer) as CallerSession;
  const body = encodeRequest(CLUSTER, [1, 250, [7, new Uint8Array([1, 2])]]);
  const request = session.sign(body, 0);
  const admitted = gate.admit(request.auth, body) as Admitted;
  const answer = gate.answer(admitted, 200, encodeAnswer([0, [42]]));
  expect(session.verify(request, answer)).toBe("answer");
  const lost = session.sign(body, 0);
  const restarted = new PeerGate({
    crypto: systemCrypto,
    random: countingRandom(0xc0),
    clock: new VirtualClock(),
    logger: new LogCapture(),
    keyring,
    self: BOB,
  });
  const rehello = restarted.admit(lost.auth, body);
  return {
    "key id": keyring.active("peer-request").keyId,
    "request key": bytesToHex(keyring.active("peer-request").key),
    "answer key": bytesToHex(keyring.active("peer-response").key),
    hello: hello.auth,
    "hello answer": helloAnswer.auth,
    "request body": bytesToHex(body),
    request: request.auth,
    "answer body": bytesToHex(answer.body),
    answer: answer.auth,
    rehello: "auth" in rehello ? rehello.auth : "",
  };
}

describe("docs/protocol.md", () => {
  const page = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");
  for (const [name, value] of Object.entries(example())) {
    test(`shows the ${name} of the worked example as it is`, () => {
      expect(value.length).toBeGreaterThan(0);
      expect(page).toContain(value);
    });
  }
});
