/** Short runs of the storage campaigns; `npm run campaign:power` and `campaign:corrupt` are the long ones. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { corruptions } from "./corruptions.ts";
import { powerCuts } from "./power-cuts.ts";
import { E2E_RUNTIME } from "./serve-cluster.ts";

setDefaultTimeout(240_000);

const HAS_COMPILER = spawnSync("cc", ["--version"]).status === 0;

describe("power cuts in the middle of 64 writers", () => {
  // The shim that loses what was not synced is C, and works under Node.
  test.skipIf(!HAS_COMPILER || E2E_RUNTIME !== "node")(
    "lose nothing that was acknowledged with durability=power",
    async () => {
      const figures = await powerCuts({ cuts: 3, nodes: 1, durability: "power", seed: 5 });
      expect(figures.missing).toEqual([]);
      // A cut that took nothing back would show nothing.
      expect(figures.lostWrites).toBeGreaterThan(0);
      expect(figures.acknowledged).toBeGreaterThan(3);
    },
  );

  test.skipIf(!HAS_COMPILER || E2E_RUNTIME !== "node")(
    "do lose what was acknowledged with durability=process: that is what the setting says",
    async () => {
      const figures = await powerCuts({ cuts: 1, nodes: 1, durability: "process", seed: 3 });
      expect(figures.missing.length).toBeGreaterThan(0);
    },
  );
});

describe("damage to the files of one of three replicas", () => {
  test("is never served, and repaired from the others", async () => {
    const figures = await corruptions({ trials: 4, seed: 3, runtime: E2E_RUNTIME });
    expect(figures.faults).toEqual([]);
    expect(figures.noticed).toBeGreaterThan(0);
  });
});
