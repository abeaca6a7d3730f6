import { beforeEach, describe, expect, test } from "bun:test";
import {
  createFakePlatform,
  type FakePlatform,
  type FakeServer,
  serverOf,
} from "../support/cli-platform.ts";
import { createHttpWorld, type HttpWorld, ORIGIN } from "../support/http-world.ts";

let platform: FakePlatform;
let world: HttpWorld;
let real: FakeServer;

beforeEach(async () => {
  platform = createFakePlatform();
  world = await createHttpWorld();
  real = serverOf(world);
  platform.servers.set(ORIGIN, real);
});

async function put(
  key: string,
  value: string | Uint8Array,
  query = "",
  headers = {},
): Promise<void> {
  const answer = await world.call("PUT", `/v1/kv/default/${key}${query}`, { body: value, headers });
  expect(answer.status).toBe(204);
}

/** In batches: a thousand single puts would take longer than the test. */
async function fill(count: number): Promise<void> {
  for (let from = 0; from < count; from += 1000) {
    const ops = Array.from({ length: Math.min(1000, count - from) }, (_, i) => ({
      op: "put",
      key: `k${String(from + i).padStart(5, "0")}`,
      value: btoa(`v${from + i}`),
    }));
    const headers = { "content-type": "application/json" };
    await world.call("POST", "/v1/batch/default", { body: JSON.stringify({ ops }), headers });
  }
}

describe("export", () => {
  test("NDJSON holds value, expiry, metadata and content type, in key order", async () => {
    await put("b", new Uint8Array([0, 255]), "?expires=1767225700.5", {
      "gyre-metadata": "%7B%22m%22%3A1%7D",
    });
    await put("a", "ä\n", "", { "content-type": "text/plain" });
    expect(await platform.run("export")).toBe(0);
    expect(platform.outText()).toBe(
      '{"key":"a","value":"ä\\n","content_type":"text/plain"}\n' +
        '{"key":"b","value_b64":"AP8=","expiration":1767225700.5,"metadata":{"m":1}}\n',
    );
    expect(platform.errText()).toContain("2 keys, ");
  });

  test("wrangler's format is one JSON array that wrangler takes: whole seconds, base64 marked", async () => {
    await put("a", "x");
    await put("b", new Uint8Array([0, 255]), "?expires=1767225700.5");
    expect(await platform.run("export", "--format", "wrangler")).toBe(0);
    expect(JSON.parse(platform.outText())).toEqual([
      { key: "a", value: "x" },
      { key: "b", value: "AP8=", base64: true, expiration: 1767225701 },
    ]);
  });

  test.each(["ndjson", "wrangler"])("nothing to export is an empty file in %s", async (format) => {
    expect(await platform.run("export", "--format", format)).toBe(0);
    expect(platform.outText().replaceAll(/\s/g, "")).toBe(format === "wrangler" ? "[]" : "");
  });

  test.each(["ndjson", "wrangler"])("what %s exports, import brings back", async (format) => {
    await fill(30);
    await put("bin", new Uint8Array([0, 1, 254, 255]));
    await platform.run("export", "out", "--format", format);
    const copy = await createHttpWorld();
    platform.servers.set(ORIGIN, serverOf(copy));
    expect(await platform.run("import", "out")).toBe(0);
    const again = createFakePlatform();
    again.servers.set(ORIGIN, serverOf(copy));
    await again.run("export", "out", "--format", format);
    expect(again.stored.get("out")).toEqual(platform.stored.get("out"));
  });

  test("an export that was cut short goes on where it stood, and the file is the same as in one go", async () => {
    await fill(1100);
    await platform.run("export", "whole");
    let pages = 0;
    platform.servers.set(ORIGIN, async (request) => {
      if (request.target.startsWith("/v1/keys/") && ++pages > 1)
        return Response.json({ code: "bug" }, { status: 500 });
      return await real(request);
    });
    expect(await platform.run("export", "out")).toBe(1);
    expect(platform.stored.has("out.gyre-export")).toBe(true);
    // As if the process had died while it wrote behind the last page it remembers.
    platform.stored.set("out", new Uint8Array([...(platform.stored.get("out") ?? []), 1, 2, 3]));
    platform.servers.set(ORIGIN, real);
    expect(await platform.run("export", "out", "--json")).toBe(0);
    expect(platform.errText()).toContain("going on after 1000 keys");
    expect(platform.stored.get("out")).toEqual(platform.stored.get("whole"));
    expect(platform.stored.has("out.gyre-export")).toBe(false);
    const sum = platform.sha256();
    sum.update(platform.stored.get("whole") ?? new Uint8Array());
    expect(JSON.parse(platform.outText())).toMatchObject({ items: 1100, sha256: sum.hex() });
  });

  test("a file that is there already is not overwritten, a state of another export not continued", async () => {
    await fill(1);
    platform.stored.set("out", new Uint8Array([1]));
    expect(await platform.run("export", "out")).toBe(2);
    expect(platform.stored.get("out")).toEqual(new Uint8Array([1]));
    const state = {
      gyre: "export state",
      namespace: "default",
      prefix: "x",
      format: "ndjson",
      cursor: "c",
      items: 1,
      bytes: 1,
    };
    platform.stored.set("out.gyre-export", new TextEncoder().encode(JSON.stringify(state)));
    expect(await platform.run("export", "out")).toBe(2);
    expect(platform.errText()).toContain("is of another export");
  });

  test("a key that is deleted between the list and the get is left out", async () => {
    await fill(3);
    platform.servers.set(ORIGIN, async (request) => {
      if (request.target.startsWith("/v1/batch/"))
        await world.call("DELETE", "/v1/kv/default/k00001");
      return await real(request);
    });
    expect(await platform.run("export")).toBe(0);
    expect(platform.outText().match(/"k\d+"/g)).toEqual(['"k00000"', '"k00002"']);
  });

  test("concurrent values are decided by the conflict policy, not refused", async () => {
    await put("k", "mine");
    const settings = world.settings;
    settings.clear();
    let asked = "";
    platform.servers.set(ORIGIN, async (request) => {
      if (request.target.startsWith("/v1/batch/")) asked = request.target;
      return await real(request);
    });
    await platform.run("export");
    expect(asked).toContain("conflict=majority");
  });

  test("values that stay unreadable end the export with 3, without a gap in the file", async () => {
    await fill(2);
    platform.servers.set(ORIGIN, async (request) =>
      request.target.startsWith("/v1/batch/")
        ? Response.json({
            results: [
              { status: 503, error: { detail: "too few" } },
              { status: 200, value: "" },
            ],
          })
        : await real(request),
    );
    expect(await platform.run("export", "--retry-seconds", "2")).toBe(3);
    expect(platform.errText()).toContain('such as "k00000": too few');
    expect(platform.outText()).toBe("");
  });
});
