import { createSystemFiles } from "../../runtimes/shared/system-files.ts";
import { createSystemRandom } from "../../runtimes/shared/system-random.ts";
import type { SqliteDriver } from "../../src/env/sqlite.ts";
import { type DataDirectory, openDataDirectory } from "../../src/storage/data-directory.ts";
import { recordingLogger, TurnClock } from "./store-bench.ts";

export interface OpenedDirectory extends DataDirectory {
  readonly logger: ReturnType<typeof recordingLogger>;
}

/** A data directory on the real file system. */
export function openTestDirectory(
  driver: SqliteDriver,
  path: string,
  durability: "power" | "process" = "power",
): OpenedDirectory {
  const logger = recordingLogger();
  const directory = openDataDirectory({
    path,
    files: createSystemFiles(driver),
    driver,
    random: createSystemRandom(),
    clock: new TurnClock(),
    logger,
    durability,
  });
  return Object.assign(Object.create(directory), { logger }) as OpenedDirectory;
}
