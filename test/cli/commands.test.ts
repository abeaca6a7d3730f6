import { beforeEach, describe, expect, test } from "bun:test";
import { checkArguments } from "../../src/cli/command.ts";
import { createFakePlatform, type FakePlatform, serverOf } from "../support/cli-platform.ts";
import { createHttpWorld, type HttpWorld, ORIGIN } from "../support/http-world.ts";

let platform: FakePlatform;
let world: HttpWorld;

beforeEach(async () => {
  platform = createFakePlatform();
  world = await createHttpWorld();
  platform.servers.set(ORIGIN, serverOf(world));
});

describe("the command line", () => {
  test("help is on stdout and done, nothing at all is a usage error", async () => {
    expect(await platform.run("--help")).toBe(0);
    expect(platform.outText()).toContain("USAGE  gyre <command>");
    expect(await platform.run()).toBe(2);
    expect(await platform.run("--version")).toBe(0);
    expect(platform.outText()).toMatch(/0\.1\.0\n$/);
  });

  test("every command has help that names its flags, without colour codes when nobody looks", async () => {
    const names = [
      "serve",
      "dev",
      "get",
      "put",
      "delete",
      "list",
      "status",
      "explain",
      "import",
      "export",
      "completions",
    ];
    for (const name of names) expect(await platform.run(name, "--help")).toBe(0);
    expect(platform.outText()).toContain("--peer-listen");
    expect(platform.outText()).not.toContain("--wan-map");
    expect(platform.outText()).not.toContain("\u001b[");
  });

  test.each([
    [["fetch"], 'Unknown command "fetch"'],
    [["get"], "Missing KEY"],
    [["get", "a", "b"], "Too many operands"],
    [["get", "a", "--jsn"], "Unknown flag --jsn"],
    [["get", "a", "--no-json"], "Unknown flag --no-json"],
    [["get", "a", "--url"], "--url needs a value"],
    [["get", "a", "--json=yes"], "--json takes no value"],
    [["get", "a", "--url", "u", "--url", "v"], "--url is given twice"],
    [["get", "a", "--consistency", "most"], "Invalid value for argument: --consistency (most)"],
    [["get", "a", "--r", "two"], 'Cannot use --r "two"'],
    [["get", "a", "--url", "7070"], "Cannot use the endpoint"],
    [["put", "a", "v", "--ttl", "1h"], 'Cannot use --ttl "1h"'],
    [["put", "a", "v", "--metadata", "{"], "want JSON"],
    [["put", "a", "v", "--file", "f"], "at once"],
    [["delete"], "Missing KEY"],
    [["completions", "tcsh"], 'Cannot complete for "tcsh"'],
    [["serve", "--copies", "0"], "Cannot use --copies"],
    [["serve", "--config", "nowhere.json"], "Cannot find the configuration file nowhere.json"],
    [["dev", "--nodes", "0"], 'Cannot use --nodes "0"'],
    [["dev", "--only", "3"], "Cannot start node 3 alone"],
  ])("%j is a usage error that says what is wrong", async (argv, message) => {
    expect(await platform.run(...argv)).toBe(2);
    expect(platform.errText()).toContain(message);
    expect(platform.errText()).not.toContain("\u001b[");
    expect(platform.outText()).toBe("");
  });

  test("operands behind -- may begin with dashes", async () => {
    expect(() =>
      checkArguments(["--", "--json"], { key: { type: "positional", required: true } }),
    ).not.toThrow();
    expect(await platform.run("put", "--", "--key", "--value")).toBe(0);
    expect(await platform.run("get", "--", "--key")).toBe(0);
    expect(platform.outText()).toBe("--value");
  });

  test("a closed pipe on stdout is the end, not an error", async () => {
    const closed = Object.assign(new Error("write EPIPE"), { code: "EPIPE" });
    const deaf = {
      ...platform,
      stdout: { isTerminal: false, write: () => Promise.reject(closed) },
    };
    const { runCli } = await import("../../src/cli/main.ts");
    expect(await runCli(["--help"], deaf)).toBe(0);
  });
});

describe("data commands", () => {
  test("put takes stdin byte by byte and get gives back the same bytes without a newline", async () => {
    const bytes = Uint8Array.from({ length: 256 }, (_, i) => i);
    platform.stdinBytes = bytes;
    expect(await platform.run("put", "k", "-")).toBe(0);
    expect(platform.out().length).toBe(0);
    expect(await platform.run("get", "k")).toBe(0);
    expect(platform.out()).toEqual(bytes);
    expect(platform.errText()).toBe("");
  });

  test("put --json tells size, etag, context and siblings; get --json metadata and type", async () => {
    const flags = [
      "--metadata",
      '{"a":1}',
      "--content-type",
      "text/plain",
      "--ttl",
      "60",
      "--json",
    ];
    expect(await platform.run("put", "k", "vé", ...flags)).toBe(0);
    expect(JSON.parse(platform.outText())).toMatchObject({ key: "k", bytes: 3, siblings: 1 });
    const again = createFakePlatform();
    again.servers.set(ORIGIN, serverOf(world));
    expect(await again.run("get", "k", "--json")).toBe(0);
    expect(JSON.parse(again.outText())).toMatchObject({
      value: "vé",
      contentType: "text/plain",
      metadata: { a: 1 },
      expires: 1_767_225_660,
    });
  });

  test("a missing key is failure 1, an unreachable cluster 3, and both are told on stderr", async () => {
    expect(await platform.run("get", "nothing")).toBe(1);
    expect(platform.errText()).toContain('There is no key "nothing"');
    expect(await platform.run("get", "k", "--url", "http://127.0.0.1:9")).toBe(3);
    expect(platform.errText()).toContain(
      "Cannot reach http://127.0.0.1:9: connect ECONNREFUSED 127.0.0.1:9",
    );
    expect(platform.outText()).toBe("");
  });

  test("a quorum that is not reached is 3, with code and request id", async () => {
    const acks = { primary: 1, fallback: 0, of: 3 };
    const failure = { status: "quorum-not-reached", acks, needed: 2, indeterminate: true } as const;
    for (let i = 0; i < 9; i++) world.service.failures.push(failure);
    expect(await platform.run("put", "k", "v")).toBe(3);
    expect(platform.errText()).toMatch(/quorum_not_reached, request \S+\)/);
  });

  test("a namespace that does not exist is not a missing key", async () => {
    expect(await platform.run("get", "k", "-n", "nope")).toBe(1);
    expect(platform.errText()).toContain("namespace_not_found");
  });

  test("GYRE_URL and GYRE_NAMESPACE stand in for the flags", async () => {
    platform.servers.set("http://10.0.0.1:1", serverOf(world));
    platform.servers.delete(ORIGIN);
    platform.environment["GYRE_URL"] = "http://10.0.0.9:1,http://10.0.0.1:1";
    expect(await platform.run("put", "k", "v")).toBe(0);
    platform.environment["GYRE_NAMESPACE"] = "nope";
    expect(await platform.run("get", "k")).toBe(1);
  });

  test.each([
    "a/../b",
    "..",
    "/lead",
    "trail/",
    "a//b",
    "back\\slash",
    "per%cent",
    "plus+plus",
    "ü/日本",
    "q?a=b#c",
    " ",
  ])("the key %j reaches the store unchanged", async (key) => {
    expect(await platform.run("put", "--", key, "v")).toBe(0);
    expect(await platform.run("list", "--json")).toBe(0);
    expect(JSON.parse(platform.outText())).toMatchObject({ name: key });
  });

  test("--session keeps a session in a file, over commands and over failures", async () => {
    expect(await platform.run("put", "k", "v", "--session", "s")).toBe(0);
    const first = new TextDecoder().decode(platform.stored.get("s"));
    expect(first).toMatch(/^[\w-]{40,}\n$/);
    expect(await platform.run("get", "k", "--session", "s")).toBe(0);
    expect(world.service.gets.at(-1)?.session?.minimum?.dots).toHaveLength(1);
    world.service.failures.push({ status: "overloaded" }, { status: "overloaded" });
    const before = platform.stored.get("s");
    expect(await platform.run("delete", "k", "--session", "s", "--timeout-ms", "1")).toBe(3);
    expect(platform.stored.get("s")).toEqual(before);
    expect(await platform.run("delete", "k", "--session", "s")).toBe(0);
    expect(await platform.run("get", "k", "--session", "s")).toBe(1);
    expect(world.service.gets.at(-1)?.session?.minimum?.goneFromMs).toBe(0);
    await platform.run("get", "k");
    expect(world.service.gets.at(-1)?.session).toBeNull();
  });

  test("list stops at its limit and goes over pages", async () => {
    for (const key of ["a1", "a2", "a3", "b1"]) await platform.run("put", key, "v");
    expect(await platform.run("list", "--prefix", "a", "--limit", "2")).toBe(0);
    expect(platform.outText()).toBe("a1\na2\n");
  });

  test("delete of one key asks nothing; of a prefix without a terminal it wants --yes", async () => {
    for (const key of ["a1", "a2", "b1"]) await platform.run("put", key, "v");
    expect(await platform.run("delete", "b1")).toBe(0);
    expect(await platform.run("delete", "--prefix", "a")).toBe(2);
    expect(platform.errText()).toContain(
      'Would delete 2 keys of the namespace default that begin with "a"',
    );
    expect(await platform.run("list")).toBe(0);
    expect(platform.outText()).toBe("a1\na2\n");
    expect(await platform.run("delete", "--prefix", "a", "--yes")).toBe(0);
    expect(platform.errText()).toMatch(/deleted 2 of 2 keys\n$/);
  });

  test("on a terminal the question decides", async () => {
    await platform.run("put", "a1", "v");
    platform.stdinIsTerminal = true;
    expect(await platform.run("delete", "--prefix", "a")).toBe(1);
    platform.confirms = true;
    expect(await platform.run("delete", "--prefix", "a")).toBe(0);
    expect(await platform.run("get", "a1")).toBe(1);
  });

  test("status shows nodes by region, and which one is down", async () => {
    expect(await platform.run("status")).toBe(0);
    const lines = platform.outText().split("\n");
    expect(lines[1]).toContain("1 of 2 nodes up in 2 regions; layout version 3, stable");
    expect(lines[4]).toMatch(/^eu +z1 +up +storage +http:\/\/eu\.test +4 +10 +100 B/);
    expect(lines[5]).toMatch(/^us +z1 +down /);
    expect(platform.outText()).toContain("Namespaces: default");
    expect(lines).toContain("Hints: 6 writes wait for nodes that are away (60 B)");
    expect(platform.outText()).toContain(
      "Repair by this node: trees built; 3 rounds with 1 co-owners, 1 records sent, 2 received\n",
    );
  });

  test("explain shows partition and replicas", async () => {
    expect(await platform.run("explain", "a/b")).toBe(0);
    expect(platform.outText()).toContain("is in partition 7, 1 of 1 replicas answered and agree");
  });

  test.each(["bash", "zsh", "fish"])(
    "completions for %s name every command and no internal flag",
    async (shell) => {
      expect(await platform.run("completions", shell)).toBe(0);
      for (const word of ["serve", "dev", "import", "peer-listen", "each-quorum"]) {
        expect(platform.outText()).toContain(word);
      }
      expect(platform.outText()).not.toContain("wan-map");
    },
  );
});
