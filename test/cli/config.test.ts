import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import {
  type ConfigSources,
  parseSecrets,
  resolveServeConfig,
  type ServeConfig,
} from "../../src/config.ts";
import { environmentName, flagName, SERVE_OPTION_KEYS } from "../../src/config-options.ts";
import { VERSION } from "../../src/node-config.ts";

function resolve(sources: Partial<ConfigSources>): ServeConfig {
  return resolveServeConfig({ flags: {}, environment: {}, file: null, ...sources });
}

function file(content: unknown): ConfigSources["file"] {
  return { path: "gyre.json", text: JSON.stringify(content) };
}

describe("configuration of serve", () => {
  test("flags win over the environment, the environment over the file, the file over the default", () => {
    const flags = { region: "from-flag" };
    const environment = { GYRE_REGION: "from-env", GYRE_ZONE: "z-env" };
    const inFile = file({ region: "from-file", zone: "z-file", copies: 5 });
    const { node } = resolve({ flags, environment, file: inFile });
    expect([node.region, node.zone, node.copies, node.partitions]).toEqual([
      "from-flag",
      "z-env",
      5,
      1024,
    ]);
  });

  test("an empty environment variable is one that is not set", () => {
    expect(resolve({ environment: { GYRE_REGION: "" } }).node.region).toBe("local");
  });

  test("the defaults make a node that only this machine can reach", () => {
    const config = resolve({});
    expect(config.listen).toEqual({ host: "127.0.0.1", port: 7070 });
    expect(config.node.url).toBe("http://127.0.0.1:7070");
    expect(config.node.peerUrl).toBe("http://127.0.0.1:7071");
    expect(config.node.join).toEqual([]);
    expect(config.node.durability).toBe("power");
  });

  test("a refused value is named with its flag, where it came from and what is wanted", () => {
    expect(() => resolve({ flags: { copies: "many" } })).toThrow(
      'Cannot use --copies "many", want a whole number from 1 to 16',
    );
    expect(() => resolve({ environment: { GYRE_PARTITIONS: "1000" } })).toThrow(
      'Cannot use --partitions "1000" (from GYRE_PARTITIONS), want a power of two from 16 to 16384',
    );
    expect(() => resolve({ file: file({ peerListen: 7071 }) })).toThrow(
      'Cannot use --peer-listen 7071 (from "peerListen" in gyre.json), want HOST:PORT',
    );
  });

  test("a key of the file that no option has is refused", () => {
    expect(() => resolve({ file: file({ regoin: "eu" }) })).toThrow('Unknown key "regoin"');
    expect(() => resolve({ file: file([]) })).toThrow("want one JSON object");
    expect(() => resolve({ file: { path: "gyre.json", text: "{" } })).toThrow("as JSON");
  });

  test.each([
    ["1048576", 1_048_576],
    ["64MiB", 67_108_864],
    ["2GiB", 2_147_483_648],
  ])("a cache of %s is %d bytes", (given, bytes) => {
    expect(resolve({ flags: { cacheBytes: given } }).node.cacheBytes).toBe(bytes);
  });

  test.each(["64mb", "-1", "1.5GiB", "", "0", "64 MiB"])("a cache of %j is refused", (given) => {
    expect(() => resolve({ flags: { cacheBytes: given } })).toThrow("--cache-bytes");
  });

  test("a client listener beyond loopback needs the operator to accept anonymous clients", () => {
    const flags = { listen: "0.0.0.0:7070", advertise: "http://10.0.0.1:7070" };
    expect(() => resolve({ flags })).toThrow("--insecure-allow-anonymous");
    expect(resolve({ flags: { ...flags, insecureAllowAnonymous: true } }).node.url).toBe(
      "http://10.0.0.1:7070",
    );
  });

  test("a peer listener beyond loopback, and joining, need a shared secret", () => {
    const peerListen = "10.0.0.1:7071";
    expect(() => resolve({ flags: { peerListen } })).toThrow("--cluster-secret-file");
    expect(() => resolve({ flags: { join: "http://10.0.0.2:7071" } })).toThrow(
      "--cluster-secret-file",
    );
    const flags = { peerListen, join: "http://10.0.0.2:7071", clusterSecretFile: "/run/secret" };
    expect(resolve({ flags }).node.join).toEqual(["http://10.0.0.2:7071"]);
  });

  test("an address that stands for every interface is not advertised", () => {
    const flags = { peerListen: "[::]:7071", clusterSecretFile: "s" };
    expect(() => resolve({ flags })).toThrow("--advertise-peer");
  });

  test("loopback is told from what looks like it", () => {
    expect(resolve({ flags: { listen: "[::1]:7070" } }).node.url).toBe("http://[::1]:7070");
    expect(() => resolve({ flags: { listen: "127.0.0.1.example.org:7070" } })).toThrow(
      "--insecure-allow-anonymous",
    );
  });

  test.each(["ftp://a:1", "http://a/path", "http://u:p@a", "10.0.0.1:7071", "http://a:7071,,"])(
    "%s is no address to join",
    (join) => {
      expect(() => resolve({ flags: { join, clusterSecretFile: "s" } })).toThrow(
        "Cannot use --join",
      );
    },
  );

  test("one port cannot serve clients and peers", () => {
    expect(() => resolve({ flags: { listen: "127.0.0.1:7071" } })).toThrow("two different ports");
  });
});

describe("cluster secret file", () => {
  const good = "ab".repeat(32);

  test("holds one secret a line, the first signs", () => {
    const secrets = parseSecrets("f", `${good}\n\n${"CD".repeat(40)}\n`);
    expect(secrets.map((secret) => [secret.length, secret[0]])).toEqual([
      [32, 0xab],
      [40, 0xcd],
    ]);
  });

  test("a short or odd secret is refused without being shown", () => {
    for (const bad of ["ab".repeat(31), `${good}a`, "x".repeat(64)]) {
      expect(() => parseSecrets("f", `${good}\n${bad}\n`)).toThrow("line 2");
      expect(messageOf(() => parseSecrets("f", bad))).not.toContain(bad);
    }
    expect(() => parseSecrets("f", "\n")).toThrow("empty");
  });
});

describe("documentation", () => {
  test("docs/configuration.md has a row for each option with its three names", () => {
    const document = readFileSync(new URL("../../docs/configuration.md", import.meta.url), "utf8");
    for (const key of SERVE_OPTION_KEYS) {
      const row = document
        .split("\n")
        .find((line) => line.startsWith(`| \`--${flagName(key)}\` |`));
      expect(row).toContain(`\`${environmentName(key)}\``);
      expect(row).toContain(`\`${key}\``);
    }
  });

  test("the version of the program is that of the package", () => {
    const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
    expect((JSON.parse(text) as { version: string }).version).toBe(VERSION);
  });
});

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return String(error);
  }
  throw new Error("It did not throw");
}
