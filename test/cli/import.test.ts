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

interface Op {
  readonly key: string;
  readonly value: string;
}

function write(path: string, text: string): void {
  platform.stored.set(path, new TextEncoder().encode(text));
}

function lines(count: number, value = "v"): string {
  return Array.from({ length: count }, (_, i) => `{"key":"k${i}","value":"${value}${i}"}\n`).join(
    "",
  );
}

function opsOf(body: Uint8Array | undefined): readonly Op[] {
  return (JSON.parse(new TextDecoder().decode(body)) as { ops: Op[] }).ops;
}

/** The statuses are given by key; without one the real server answers. */
function answering(statusOf: (key: string, attempt: number) => number | undefined): {
  attempts: Map<string, number>;
} {
  const attempts = new Map<string, number>();
  platform.servers.set(ORIGIN, async (request) => {
    if (!request.target.startsWith("/v1/batch/")) return await real(request);
    const ops = opsOf(request.body);
    const failed = new Map<string, number>();
    for (const { key } of ops) {
      const attempt = (attempts.get(key) ?? 0) + 1;
      attempts.set(key, attempt);
      const status = statusOf(key, attempt);
      if (status !== undefined) failed.set(key, status);
    }
    const rest = ops.filter(({ key }) => !failed.has(key));
    const body = new TextEncoder().encode(JSON.stringify({ ops: rest }));
    const answer = await real({
      ...request,
      body,
      headers: new Headers({ "content-type": "application/json" }),
    });
    const results = ((await answer.json()) as { results: unknown[] }).results;
    const all = ops.map(({ key }) => {
      const status = failed.get(key);
      return status === undefined
        ? results.shift()
        : { status, error: { code: "made_up", detail: `no ${key}` } };
    });
    return Response.json({ results: all });
  });
  return { attempts };
}

async function storedValue(key: string): Promise<string> {
  return await (await world.call("GET", `/v1/kv/default/${key}`)).text();
}

describe("import", () => {
  test("stores every item, counts them, and leaves no journal", async () => {
    write("in.ndjson", lines(250));
    expect(await platform.run("import", "in.ndjson", "--json")).toBe(0);
    expect(JSON.parse(platform.outText())).toMatchObject({
      imported: 250,
      failed: 0,
      items: 250,
      format: "ndjson",
    });
    expect(world.service.puts.length).toBe(250);
    expect(await storedValue("k249")).toBe("v249");
    expect([...platform.stored.keys()]).toEqual(["in.ndjson"]);
  });

  test("takes wrangler's array with base64, metadata and expiry, from stdin", async () => {
    platform.stdinBytes = new TextEncoder().encode(
      '[{"key":"a","value":"AP8=","base64":true,"metadata":{"m":1},"expiration":1767225700},\n{"key":"b","value":"x"}]',
    );
    expect(await platform.run("import", "-")).toBe(0);
    const answer = await world.call("GET", "/v1/kv/default/a");
    expect(new Uint8Array(await answer.arrayBuffer())).toEqual(new Uint8Array([0, 255]));
    expect(answer.headers.get("gyre-expires")).toBe("1767225700");
    expect(answer.headers.get("gyre-metadata")).toBe(encodeURIComponent('{"m":1}'));
  });

  test("the summary has the checksum of the file", async () => {
    write("in.ndjson", '{"key":"a","value":"1"}\n');
    await platform.run("import", "in.ndjson", "--json");
    const sum = platform.sha256();
    sum.update(platform.stored.get("in.ndjson") ?? new Uint8Array());
    expect(JSON.parse(platform.outText())).toMatchObject({ sha256: sum.hex() });
  });

  test("a dry run reads everything, reports malformed lines by number, and stores nothing", async () => {
    write("in.ndjson", '{"key":"a","value":"1"}\n{"key":"b"}\n\nnonsense\n');
    expect(await platform.run("import", "in.ndjson", "--dry-run")).toBe(1);
    expect(platform.errText()).toContain("line 2: want either value");
    expect(platform.errText()).toContain("line 4: ");
    expect(world.service.puts.length).toBe(0);
    expect([...platform.stored.keys()]).toEqual(["in.ndjson"]);
  });

  test("malformed items fail by themselves; the others are stored and the exit code tells", async () => {
    write("in.ndjson", '{"key":"a","value":"1"}\n{"key":7}\n{"key":"b","value":"2"}\n');
    expect(await platform.run("import", "in.ndjson")).toBe(1);
    expect(await storedValue("b")).toBe("2");
    expect(platform.errText()).toContain("2 imported, 1 failed");
  });

  test("a broken array stores what stands before the break and names the line", async () => {
    write("in.json", '[{"key":"a","value":"1"},\n oops]');
    expect(await platform.run("import", "in.json")).toBe(1);
    expect(platform.errText()).toContain("Cannot read line 2");
    expect(await storedValue("a")).toBe("1");
  });

  test("503 for an item is tried again, and only for that item", async () => {
    write("in.ndjson", lines(10));
    const { attempts } = answering((key, attempt) =>
      key === "k3" && attempt < 4 ? 503 : undefined,
    );
    expect(await platform.run("import", "in.ndjson")).toBe(0);
    expect([attempts.get("k3"), attempts.get("k4")]).toEqual([4, 1]);
    expect(await storedValue("k3")).toBe("v3");
  });

  test("the tries end with their budget: the item is reported and the exit code is 1", async () => {
    write("in.ndjson", lines(3));
    const { attempts } = answering((key) => (key === "k1" ? 503 : undefined));
    expect(await platform.run("import", "in.ndjson", "--retry-seconds", "30")).toBe(1);
    expect(attempts.get("k1")).toBeGreaterThan(5);
    expect(platform.errText()).toContain('line 2: key "k1": no k1 (made_up)');
    expect(platform.errText()).toContain(
      "in.ndjson.gyre-import: the same command goes on from there",
    );
  });

  test("a refusal of one item is final and is not tried again", async () => {
    write("in.ndjson", lines(3));
    const { attempts } = answering((key) => (key === "k1" ? 413 : undefined));
    expect(await platform.run("import", "in.ndjson")).toBe(1);
    expect(attempts.get("k1")).toBe(1);
  });

  test("an import that was cut short goes on after what was acknowledged", async () => {
    write("in.ndjson", lines(100));
    answering((key) => (Number(key.slice(1)) >= 60 ? 503 : undefined));
    expect(
      await platform.run("import", "in.ndjson", "--batch-items", "7", "--retry-seconds", "0"),
    ).toBe(1);
    platform.servers.set(ORIGIN, real);
    world.service.puts.length = 0;
    expect(await platform.run("import", "in.ndjson", "--batch-items", "9")).toBe(0);
    expect(platform.errText()).toContain("going on after 60 items");
    expect(world.service.puts.length).toBe(40);
    expect([...platform.stored.keys()]).toEqual(["in.ndjson"]);
  });

  test("a journal cut in the middle of a line by a crash is still good", async () => {
    write("in.ndjson", lines(20));
    answering((key) => (key === "k19" ? 413 : undefined));
    await platform.run("import", "in.ndjson", "--batch-items", "5");
    const journal = platform.stored.get("in.ndjson.gyre-import") ?? new Uint8Array();
    platform.stored.set("in.ndjson.gyre-import", journal.slice(0, journal.length - 10));
    platform.servers.set(ORIGIN, real);
    world.service.puts.length = 0;
    expect(await platform.run("import", "in.ndjson")).toBe(0);
    expect(world.service.puts.map((put) => put.key.text)).toEqual([
      "k15",
      "k16",
      "k17",
      "k18",
      "k19",
    ]);
  });

  test("a file that was changed in between is noticed", async () => {
    write("in.ndjson", lines(20));
    answering((key) => (key === "k19" ? 413 : undefined));
    await platform.run("import", "in.ndjson");
    write("in.ndjson", lines(20).replace('"v7"', '"w7"'));
    expect(await platform.run("import", "in.ndjson")).toBe(1);
    expect(platform.errText()).toContain("the file has changed");
  });

  test("a journal of another namespace, or no journal at all, is refused", async () => {
    write("in.ndjson", lines(2));
    answering((key) => (key === "k1" ? 413 : undefined));
    await platform.run("import", "in.ndjson", "--resume", "journal");
    expect(await platform.run("import", "in.ndjson", "--resume", "journal", "-n", "other")).toBe(1);
    expect(platform.errText()).toContain("is of an import into the namespace default, not other");
    expect(await platform.run("import", "in.ndjson", "--resume", "in.ndjson")).toBe(1);
    expect(platform.errText()).toContain("Cannot understand the journal in.ndjson");
  });

  test("of two items with one key the later one wins, also when the earlier one fails at first", async () => {
    write(
      "in.ndjson",
      '{"key":"a","value":"old"}\n{"key":"b","value":"1"}\n{"key":"a","value":"new"}\n',
    );
    answering((key, attempt) => (key === "a" && attempt < 3 ? 503 : undefined));
    expect(await platform.run("import", "in.ndjson")).toBe(0);
    expect(await storedValue("a")).toBe("new");
  });

  test("a failed item is not imported later over the newer one of its key", async () => {
    write(
      "in.ndjson",
      '{"key":"a","value":"old"}\n{"key":"a","value":"new"}\n{"key":"b","value":"1"}\n',
    );
    answering((key, attempt) => ((key === "a" && attempt === 1) || key === "b" ? 413 : undefined));
    expect(await platform.run("import", "in.ndjson")).toBe(1);
    expect(await storedValue("a")).toBe("new");
    platform.servers.set(ORIGIN, real);
    expect(await platform.run("import", "in.ndjson")).toBe(0);
    expect(await storedValue("a")).toBe("new");
  });

  test("items whose time is over are counted, not stored", async () => {
    write("in.ndjson", '{"key":"a","value":"1","expiration":1000}\n{"key":"b","value":"2"}\n');
    expect(await platform.run("import", "in.ndjson", "--json")).toBe(0);
    expect(JSON.parse(platform.outText())).toMatchObject({ imported: 1, expired: 1 });
  });

  test("no more batches are under way than allowed", async () => {
    write("in.ndjson", lines(100));
    let now = 0;
    let most = 0;
    platform.servers.set(ORIGIN, async (request) => {
      now += 1;
      most = Math.max(most, now);
      await new Promise((resolve) => setImmediate(resolve));
      now -= 1;
      return await real(request);
    });
    await platform.run("import", "in.ndjson", "--batch-items", "5", "--concurrency", "3");
    expect(most).toBe(3);
  });

  test("SIGINT finishes what is under way, keeps the journal and says how to go on", async () => {
    write("in.ndjson", lines(100));
    platform.servers.set(ORIGIN, async (request) => {
      for (const act of platform.stopListeners) act("SIGINT");
      platform.servers.set(ORIGIN, real);
      return await real(request);
    });
    expect(
      await platform.run("import", "in.ndjson", "--batch-items", "10", "--concurrency", "1"),
    ).toBe(1);
    const done = world.service.puts.length;
    expect(done).toBeGreaterThan(0);
    expect(done).toBeLessThan(100);
    expect(platform.stopListeners.size).toBe(0);
    expect(await platform.run("import", "in.ndjson")).toBe(0);
    expect(world.service.puts.length).toBe(100);
  });

  test("a namespace that does not exist ends the import with the server's reason", async () => {
    write("in.ndjson", lines(5));
    expect(await platform.run("import", "in.ndjson", "-n", "nope")).toBe(1);
    expect(platform.errText()).toContain("namespace_not_found");
  });

  test("nobody there: exit code 1 with every item reported as not acknowledged", async () => {
    write("in.ndjson", lines(2));
    platform.servers.clear();
    expect(await platform.run("import", "in.ndjson", "--retry-seconds", "1")).toBe(1);
    expect(platform.errText()).toContain('key "k0": Cannot reach');
  });

  test("a thousand faults are not a thousand lines", async () => {
    write("in.ndjson", "x\n".repeat(1000));
    expect(await platform.run("import", "in.ndjson")).toBe(1);
    expect(platform.errText()).toContain("... and 980 more");
  });
});
