import { describe, expect, test } from "bun:test";
import {
  type DevFlags,
  makePlan,
  nodeOfNumber,
  parseSettings,
  serveFlags,
} from "../../src/cli/dev-plan.ts";
import { resolveServeConfig } from "../../src/config.ts";
import { flagName, SERVE_OPTION_KEYS } from "../../src/config-options.ts";

const NONE: DevFlags = {
  nodes: undefined,
  regions: undefined,
  port: undefined,
  wan: undefined,
  runtime: undefined,
};

/** Reads flags as `gyre serve` does. */
function configOf(flags: readonly string[]) {
  const byKey: Record<string, string | boolean> = {};
  for (let i = 0; i < flags.length; i++) {
    const key = SERVE_OPTION_KEYS.find((each) => `--${flagName(each)}` === flags[i]);
    if (key === undefined) throw new Error(`No such flag: ${flags[i]}`);
    const next = flags[i + 1];
    if (next === undefined || next.startsWith("--")) byKey[key] = true;
    else {
      byKey[key] = next;
      i += 1;
    }
  }
  return resolveServeConfig({ flags: byKey, environment: {}, file: null });
}

describe("the plan of gyre dev", () => {
  test("six nodes are dealt to three regions, each in a zone of its own", () => {
    const { nodes } = makePlan("data", NONE, undefined, "node");
    expect(
      nodes.map(
        (node) =>
          `${node.number} ${node.region} ${node.zone} ${node.url} ${node.peerUrl} ${node.directory}`,
      ),
    ).toEqual([
      "1 eu z1 http://127.0.0.1:7101 http://127.0.0.1:8101 data/1",
      "2 us z1 http://127.0.0.1:7102 http://127.0.0.1:8102 data/2",
      "3 ap z1 http://127.0.0.1:7103 http://127.0.0.1:8103 data/3",
      "4 eu z2 http://127.0.0.1:7104 http://127.0.0.1:8104 data/4",
      "5 us z2 http://127.0.0.1:7105 http://127.0.0.1:8105 data/5",
      "6 ap z2 http://127.0.0.1:7106 http://127.0.0.1:8106 data/6",
    ]);
  });

  test("at the first start node 1 creates the cluster and the others join; later all join", () => {
    const plan = makePlan("data", { ...NONE, nodes: "3" }, undefined, "node");
    const joins = (firstStart: boolean) =>
      plan.nodes.map((node) => configOf(serveFlags(plan, node, firstStart)).node.join.length);
    expect(joins(true)).toEqual([0, 2, 2]);
    expect(joins(false)).toEqual([2, 2, 2]);
  });

  test("gyre serve understands the flags, the delay between regions included", () => {
    const plan = makePlan("data", { ...NONE, nodes: "2", wan: "40" }, undefined, "bun");
    const [first] = plan.nodes;
    if (first === undefined) throw new Error("No node");
    const config = configOf(serveFlags(plan, first, true));
    expect(config.node).toMatchObject({
      region: "eu",
      zone: "z1",
      bootstrapExpect: 2,
      url: first.url,
      peerUrl: first.peerUrl,
    });
    expect(config.untilStdinCloses).toBe(true);
    expect(config.wan?.delayMs).toBe(40);
    expect([...(config.wan?.regions ?? [])]).toEqual([
      ["http://127.0.0.1:8101", "eu"],
      ["http://127.0.0.1:8102", "us"],
    ]);
  });

  test("a later run takes what the first was told; ports and delay may change, the cluster may not", () => {
    const first = makePlan(
      "data",
      { ...NONE, nodes: "4", regions: "a,b", port: "9000" },
      undefined,
      "deno",
    ).settings;
    const created = { ...first, created: true };
    const again = makePlan("data", { ...NONE, port: "9100", wan: "5" }, created, "node");
    expect(again.settings).toMatchObject({ nodes: 4, regions: ["a", "b"], port: 9100, wanMs: 5 });
    expect(() => makePlan("data", { ...NONE, nodes: "5" }, created, "node")).toThrow(
      "has 4 nodes in a,b, not 5 in a,b",
    );
    expect(() => makePlan("data", { ...NONE, regions: "b,a" }, created, "node")).toThrow(
      "has 4 nodes in a,b",
    );
    expect(makePlan("data", { ...NONE, nodes: "5" }, first, "node").nodes.length).toBe(5);
  });

  test("settings come back from their file, and something else is refused", () => {
    const { settings } = makePlan("data", NONE, undefined, "node");
    expect(parseSettings("data", JSON.stringify(settings))).toEqual(settings);
    for (const text of ["", "{}", "null", JSON.stringify({ ...settings, more: 1 })]) {
      expect(() => parseSettings("data", text)).toThrow("Cannot understand data/dev.json");
    }
  });

  test.each([
    [{ nodes: "65" }, "--nodes"],
    [{ nodes: "1.5" }, "--nodes"],
    [{ regions: "eu,eu" }, "--regions"],
    [{ regions: "EU" }, "--regions"],
    [{ port: "65000" }, "would pass 65535"],
    [{ wan: "-1" }, "--wan"],
    [{ runtime: "deno2" }, "--runtime"],
  ])("%j is refused", (flags, message) => {
    expect(() => makePlan("data", { ...NONE, ...flags }, undefined, "node")).toThrow(message);
  });

  test("--only names a node of the plan", () => {
    const plan = makePlan("data", NONE, undefined, "node");
    expect(nodeOfNumber(plan, "6").port).toBe(7106);
    for (const bad of ["0", "7", "two", "06"])
      expect(() => nodeOfNumber(plan, bad)).toThrow("1 to 6");
  });
});
