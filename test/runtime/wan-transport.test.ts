import { expect, test } from "bun:test";
import { withWanDelay } from "../../runtimes/shared/wan-transport.ts";
import type { Transport } from "../../src/env/transport.ts";
import { VirtualClock } from "../support/virtual-clock.ts";

const EU = "http://127.0.0.1:8101";
const US = "http://127.0.0.1:8102";

async function callTook(
  url: string,
): Promise<{ sentMs: number; answeredMs: number; timeoutMs: number }> {
  const clock = new VirtualClock();
  const took = { sentMs: -1, answeredMs: -1, timeoutMs: -1 };
  const near: Transport = {
    call: (request) => {
      took.sentMs = clock.monotonicMs();
      took.timeoutMs = request.timeoutMs;
      return Promise.resolve({ status: 200, auth: "", body: new Uint8Array() });
    },
  };
  const regions = new Map([
    [EU, "eu"],
    [US, "us"],
  ]);
  const transport = withWanDelay(near, clock, { region: "eu", delayMs: 40, regions });
  void transport
    .call({ url, path: "/", auth: "", body: new Uint8Array(), timeoutMs: 1000 })
    .then(() => {
      took.answeredMs = clock.monotonicMs();
    });
  await clock.run(500);
  return took;
}

test("a call to another region is held back on the way there and on the way back, inside its time", async () => {
  expect(await callTook(US)).toEqual({ sentMs: 40, answeredMs: 80, timeoutMs: 920 });
});

test("a call within the region, or to an address nobody placed, is not", async () => {
  for (const url of [EU, "http://127.0.0.1:9999"]) {
    expect(await callTook(url)).toEqual({ sentMs: 0, answeredMs: 0, timeoutMs: 1000 });
  }
});
