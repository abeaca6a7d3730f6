import { describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { createSystemHasher } from "../../runtimes/shared/system-hasher.ts";
import type { Profile } from "./profile.ts";
import { runSeed } from "./run-seed.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
const BIN = fileURLToPath(new URL("../../node_modules/.bin/", import.meta.url));
const RUNTIMES = [["node"], ["bun"], ["deno", "run", "-A"]];
/** With many acts in one turn, with lost databases, with large values. */
const SEEDS = [3, 66, 177];
/** Of the profile `smoke`: another draw of worlds, with things of its own. */
const SMOKE_SEED = 8;

function hashUnder(runtime: readonly string[], seed: number, profile: Profile): string {
  const [program = "", ...flags] = runtime;
  const args = [...flags, MAIN, "--seed", String(seed), "--profile", profile, "--hash"];
  return execFileSync(BIN + program, args, { encoding: "utf8" }).trim();
}

describe("the simulator replays", () => {
  test("a seed twice in one process, with another between", async () => {
    const hasher = await createSystemHasher();
    const [seed = 1, other = 2] = SEEDS;
    const first = await runSeed(seed, hasher);
    await runSeed(other, hasher);
    const second = await runSeed(seed, hasher);
    expect(second.hash).toBe(first.hash);
    expect(second.events).toBe(first.events);
    expect((await runSeed(seed + 1, hasher)).hash).not.toBe(first.hash);
  }, 60_000);

  test("a seed on Node, Bun and Deno alike", () => {
    const runs: readonly (readonly [number, Profile])[] = [
      ...SEEDS.map((seed) => [seed, "full"] as const),
      [SMOKE_SEED, "smoke"],
    ];
    for (const [seed, profile] of runs) {
      const hashes = RUNTIMES.map((runtime) => hashUnder(runtime, seed, profile));
      expect(hashes[0]).toMatch(/^[0-9a-f]{16}$/);
      expect(hashes).toEqual([hashes[0], hashes[0], hashes[0]] as string[]);
    }
  }, 120_000);
});
