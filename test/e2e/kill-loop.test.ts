/** A short run of kill-loop.ts; `npm run e2e:kill` is the long one. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { killLoop } from "./kill-loop.ts";
import { E2E_RUNTIME } from "./serve-cluster.ts";

setDefaultTimeout(180_000);

const ROUNDS = 3;

describe("kill -9 in the middle of 64 writers", () => {
  for (const nodes of [1, 3] as const) {
    test(`loses no acknowledged write of ${nodes === 1 ? "a single node" : "three nodes"}`, async () => {
      const figures = await killLoop({ rounds: ROUNDS, nodes, runtime: E2E_RUNTIME, seed: 7 });
      expect(figures.missing).toEqual([]);
      // The last round has kills during the start as well.
      expect(figures.kills).toBeGreaterThan(ROUNDS);
      // A kill that met no writer in the middle of its put would show nothing.
      expect(figures.indeterminate).toBeGreaterThan(0);
      expect(figures.acknowledged).toBeGreaterThan(ROUNDS);
    });
  }
});
