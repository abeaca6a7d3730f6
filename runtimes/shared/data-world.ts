import type { Platform } from "../../src/cli/platform.ts";
import type { SqliteDriver } from "../../src/env/sqlite.ts";
import { systemClock } from "./system-clock.ts";
import { createSystemFiles } from "./system-files.ts";
import { createSystemHasher } from "./system-hasher.ts";

/** What the commands on data directories need of this process. */
export async function createDataWorld(driver: SqliteDriver): ReturnType<Platform["openDataWorld"]> {
  return {
    files: createSystemFiles(driver),
    driver,
    hasher: await createSystemHasher(),
    clock: systemClock,
  };
}
