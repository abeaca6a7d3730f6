import type { Plant } from "./plant.ts";

/** Imports that run against the direction of the floors: found by project references. */
export function floors(): Plant[] {
  const upward = (wall: string, file: string, from: string): Plant => ({
    wall,
    file,
    text: `import type * as other from "${from}";\nexport type Planted = typeof other;\n`,
    tool: "tsc",
    says: /TS6307|TS6059/,
  });
  return [
    upward("core imports env", "src/core/planted-upward.ts", "../env/clock.ts"),
    upward("env imports storage", "src/env/planted-upward.ts", "../storage/record-store.ts"),
    upward(
      "storage imports its sibling",
      "src/storage/planted-sibling.ts",
      "../cluster/membership.ts",
    ),
    upward(
      "cluster imports its sibling",
      "src/cluster/planted-sibling.ts",
      "../storage/record-store.ts",
    ),
    upward(
      "replication imports http",
      "src/replication/planted-upward.ts",
      "../http/planted-upward.ts",
    ),
    upward("http imports the node", "src/http/planted-upward.ts", "../node-config.ts"),
    upward("the client imports the server", "src/client/planted-server.ts", "../core/ids.ts"),
    upward("a source imports a test", "src/env/planted-test.ts", "../../test/planted-cycle-a.ts"),
  ];
}

/** Platform calls under http: found because the floors are compiled without the platform's types. */
export function fences(): Plant[] {
  const ambient = (name: string, use: string, floor: string): Plant => ({
    wall: `${floor} reaches for ${name}`,
    file: `src/${floor}/planted-${name.toLowerCase().replaceAll(/[^a-z]/g, "-")}.ts`,
    text: `export const planted = (): unknown => ${use};\n`,
    tool: "tsc",
    says: /TS2304|TS2584|TS2591|TS2580/,
  });
  return [
    ambient("fetch", `fetch("http://127.0.0.1")`, "core"),
    ambient("setTimeout", "setTimeout(() => undefined, 1)", "storage"),
    ambient("process", "process.env", "cluster"),
    ambient("console", `console.log("x")`, "replication"),
    ambient("crypto", "crypto.subtle", "cluster"),
    ambient("performance", "performance.now()", "replication"),
    {
      wall: "core imports a platform module",
      file: "src/core/planted-module.ts",
      text: `import { readFileSync } from "node:fs";\n\nexport const planted = readFileSync;\n`,
      tool: "tsc",
      says: /TS2307|TS2591|TS2580/,
    },
  ];
}

/** Skips downwards, which project references let through because they are transitive, and the globals of http. */
export function skips(): Plant[] {
  const skip = (wall: string, file: string, from: string): Plant => ({
    wall,
    file,
    text: `import type * as other from "${from}";\n\nexport type Planted = typeof other;\n`,
    tool: "biome",
    says: /noRestrictedImports/,
  });
  const global = (name: string, use: string): Plant => ({
    wall: `http reaches for ${name}`,
    file: `src/http/planted-${name.toLowerCase()}.ts`,
    text: `export const planted = (): unknown => ${use};\n`,
    tool: "biome",
    says: /noRestrictedGlobals/,
  });
  return [
    skip("http skips to storage", "src/http/planted-skip.ts", "../storage/record-store.ts"),
    skip("runtimes skip to core", "runtimes/planted-skip.ts", "../src/core/ids.ts"),
    skip(
      "runtimes/shared skips to core",
      "runtimes/shared/planted-skip.ts",
      "../../src/core/ids.ts",
    ),
    global("fetch", `fetch("http://127.0.0.1")`),
    global("setTimeout", "setTimeout(() => undefined, 1)"),
    global("Date", "Date.now()"),
    global("crypto", "crypto.subtle"),
  ];
}
