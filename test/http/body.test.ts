import { beforeEach, describe, expect, test } from "bun:test";
import { readBody } from "../../src/http/body.ts";
import { createHttpWorld, type HttpWorld, problemOf, settingsWith } from "../support/http-world.ts";

const K = "/v1/kv/default/k";
let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
  world.settings.set(1, settingsWith({ valueBytesMax: 100_000 }));
});

/** Sent without a length, chunk by chunk; counts what was taken. */
function stream(
  chunks: number,
  bytes: number,
): { body: ReadableStream<Uint8Array>; taken(): number } {
  let taken = 0;
  const body = new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (taken === chunks) return controller.close();
        taken++;
        controller.enqueue(new Uint8Array(bytes).fill(taken));
      },
    },
    { highWaterMark: 0 },
  );
  return { body, taken: () => taken };
}

describe("a body", () => {
  test("within the limit is stored whole, with and without a declared length", async () => {
    const large = new Uint8Array(100_000).map((_, i) => i);
    expect((await world.call("PUT", K, { body: large })).status).toBe(204);
    expect(world.service.puts[0]?.value).toEqual(large);
    const { body } = stream(10, 10_000);
    expect((await world.call("PUT", K, { body })).status).toBe(204);
    expect(world.service.puts[1]?.value.length).toBe(100_000);
    expect(world.service.puts[1]?.value[99_999]).toBe(10);
  });

  test("beyond it by its declared length is 413 before a byte is read", async () => {
    const { body, taken } = stream(3, 10);
    const headers = { "content-length": "100001" };
    const answer = await world.call("PUT", K, { body, headers });
    expect(answer.status).toBe(413);
    expect(await problemOf(answer)).toMatchObject({ code: "payload_too_large", bytesMax: 100_000 });
    expect(taken()).toBe(0);
  });

  test("beyond it without a length is 413 at the first byte too many, and the rest is not read", async () => {
    const { body, taken } = stream(1_000, 30_000);
    expect((await world.call("PUT", K, { body })).status).toBe(413);
    expect(taken()).toBeLessThan(8);
    expect(world.service.puts).toEqual([]);
  });

  test("shorter than declared is 400 and is not stored", async () => {
    for (const declared of [20, 90_000]) {
      const { body } = stream(1, 10);
      const headers = { "content-length": String(declared) };
      expect((await world.call("PUT", K, { body, headers })).status).toBe(400);
    }
    expect(world.service.puts).toEqual([]);
  });

  test("that stops arriving is 408 after the time of a request, and that breaks off is 400", async () => {
    const silent = new ReadableStream<Uint8Array>({
      start: (controller) => controller.enqueue(new Uint8Array(3)),
    });
    const late = world.call("PUT", K, { body: silent });
    await new Promise((resolve) => setImmediate(resolve));
    world.advance(5_000);
    expect((await problemOf(await late))["code"]).toBe("request_timeout");
    const broken = new ReadableStream<Uint8Array>({
      start: (controller) => controller.error(new Error("reset")),
    });
    expect((await world.call("PUT", K, { body: broken })).status).toBe(400);
    expect(world.service.puts).toEqual([]);
  });

  test("with a content encoding is 415, but identity is none", async () => {
    const answer = await world.call("PUT", K, {
      body: "x",
      headers: { "content-encoding": "gzip" },
    });
    expect(answer.status).toBe(415);
    expect((await problemOf(answer))["code"]).toBe("unsupported_media_type");
    const plain = { "content-encoding": "Identity" };
    expect((await world.call("PUT", K, { body: "x", headers: plain })).status).toBe(204);
  });

  test("with a length that is no number is 400", async () => {
    const headers = { "content-length": "1e3" };
    expect((await world.call("PUT", K, { body: "x", headers })).status).toBe(400);
    expect(readBody.length).toBe(2);
  });
});

describe("headers of a put", () => {
  async function status(headers: Record<string, string>): Promise<number> {
    return (await world.call("PUT", K, { body: "x", headers })).status;
  }

  test("metadata is percent-encoded JSON of at most 1024 bytes after decoding", async () => {
    expect(await status({ "gyre-metadata": "%22100%25%22" })).toBe(204);
    expect(world.service.puts[0]?.metadata).toBe('"100%"');
    const full = `"${"x".repeat(1022)}"`;
    expect(await status({ "gyre-metadata": encodeURIComponent(full) })).toBe(204);
    const over = `"${"x".repeat(1023)}"`;
    expect(await status({ "gyre-metadata": encodeURIComponent(over) })).toBe(413);
    expect(await status({ "gyre-metadata": "x".repeat(4000) })).toBe(413);
    for (const bad of ["%7B", "%zz", "%ff", "", "undefined", "\u00fc"]) {
      expect(await status({ "gyre-metadata": bad })).toBe(400);
    }
  });

  test("a content type is at most 256 bytes", async () => {
    expect(await status({ "content-type": `a/${"b".repeat(254)}` })).toBe(204);
    expect(await status({ "content-type": `a/${"b".repeat(255)}` })).toBe(400);
  });
});
