import { beforeEach, describe, expect, test } from "bun:test";
import { ClusterRoutes } from "../../src/http/cluster-routes.ts";
import {
  createHttpWorld,
  type HttpWorld,
  NODE_A,
  NODE_B,
  problemOf,
} from "../support/http-world.ts";

let world: HttpWorld;

beforeEach(async () => {
  world = await createHttpWorld();
});

async function json(path: string): Promise<Record<string, unknown>> {
  const answer = await world.call("GET", path);
  expect(answer.status).toBe(200);
  return (await answer.json()) as Record<string, unknown>;
}

describe("GET /v1/cluster", () => {
  test("has the shape that tools rely on", async () => {
    const cluster = await json("/v1/cluster");
    expect(cluster).toMatchObject({
      clusterId: "c".repeat(32),
      self: NODE_A,
      layout: { version: 3, state: "stable", formed: true },
    });
    const nodes = cluster["nodes"] as Record<string, unknown>[];
    expect(nodes).toHaveLength(2);
    expect(nodes[0]).toEqual({
      id: NODE_A,
      region: "eu",
      zone: "z1",
      role: "storage",
      url: "http://eu.test",
      state: "up",
      incarnation: 4,
      keys: 10,
      bytes: 100,
      inLayout: true,
      clockIsOff: false,
      roundTripMs: 0,
      hints: { count: 3, bytes: 30 },
    });
    expect(nodes[1]).toMatchObject({ id: NODE_B, state: "down", roundTripMs: 12.3 });
  });

  test("answers before there is a layout, for whoever waits for a node to join", async () => {
    world.layout = undefined;
    expect(await json("/v1/cluster")).toMatchObject({
      clusterId: null,
      layout: { version: 0, state: "changing", formed: false },
    });
    const ring = await world.call("GET", "/v1/cluster/ring");
    expect((await problemOf(ring))["code"]).toBe("not_formed");
  });
});

describe("GET /v1/cluster/ring", () => {
  test("names the owners of each partition by their place in the list of nodes", async () => {
    const ring = await json("/v1/cluster/ring");
    expect(ring["nodes"]).toEqual([NODE_A, NODE_B]);
    expect(ring["partitions"]).toBe(16);
    const policies = ring["policies"] as Record<string, { placement: unknown; owners: number[][] }>;
    expect(Object.keys(policies)).toEqual(["default", "eu-only"]);
    expect(policies["default"]?.placement).toEqual({ n: 3 });
    expect(policies["default"]?.owners).toEqual(Array.from({ length: 16 }, () => [0, 1]));
  });
});

describe("GET /v1/cluster/explain", () => {
  test("takes the key from the raw path or ?key=, like a get", async () => {
    const want = { partition: 7, fallbacks: ["b"], hints: [] };
    expect(await json("/v1/cluster/explain/default/a/b%2Fc")).toMatchObject(want);
    expect(await json("/v1/cluster/explain/default?key=..")).toMatchObject(want);
  });

  test("refuses what a get refuses", async () => {
    const bad = [
      ["default/%zz", 400],
      ["default", 400],
      ["default/", 400],
      ["default/a?consistency=one", 400],
      ["nope/a", 404],
      ["default/a/../b", 400],
    ] as const;
    for (const [tail, status] of bad) {
      expect((await world.call("GET", `/v1/cluster/explain/${tail}`)).status).toBe(status);
    }
  });
});

test("no call of the cluster takes options", async () => {
  expect((await world.call("GET", "/v1/cluster?x=1")).status).toBe(400);
  expect((await world.call("GET", "/v1/cluster/ring?policy=default")).status).toBe(400);
  expect(ClusterRoutes.name).toBe("ClusterRoutes");
});
