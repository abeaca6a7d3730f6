import process from "node:process";
import { runCli } from "../../src/cli/main.ts";
import { createPlatform } from "./platform.ts";
import type { Program } from "./platform-spawn.ts";
import type { RuntimeParts } from "./start-node.ts";

/** Runs one command line to its end and ends the process with its exit code. */
export async function runProgram(
  program: Program,
  argv: readonly string[],
  loadParts: () => Promise<RuntimeParts>,
): Promise<never> {
  const platform = createPlatform(program, {
    startNode: async (config) => {
      // Only `serve` needs the node and its drivers: a get should not wait for them to load.
      const [{ startNode }, parts] = await Promise.all([import("./start-node.ts"), loadParts()]);
      return await startNode(parts, config);
    },
    openDataWorld: async () => {
      const [{ createDataWorld }, parts] = await Promise.all([
        import("./data-world.ts"),
        loadParts(),
      ]);
      return await createDataWorld(await parts.loadSqlite());
    },
  });
  process.exit(await runCli(argv, platform));
}
