import { createSystemFiles } from "../../runtimes/shared/system-files.ts";
import { createSystemRandom } from "../../runtimes/shared/system-random.ts";
import type { Files } from "../../src/env/files.ts";
import type { SqliteDriver } from "../../src/env/sqlite.ts";
import { type DataDirectory, openDataDirectory } from "../../src/storage/data-directory.ts";
import { createTestHasher } from "./hasher.ts";
import { recordingLogger, TurnClock } from "./store-bench.ts";

const hasher = await createTestHasher();

export interface OpenedDirectory extends DataDirectory {
  readonly logger: ReturnType<typeof recordingLogger>;
}

/** A data directory on the real file system. */
export function openTestDirectory(
  driver: SqliteDriver,
  path: string,
  durability: "power" | "process" = "power",
  files: Files = createSystemFiles(driver),
): OpenedDirectory {
  const logger = recordingLogger();
  const directory = openDataDirectory({
    path,
    files,
    driver,
    random: createSystemRandom(),
    // Backups let turns pass; they are real ones here.
    clock: Object.assign(new TurnClock(), {
      endOfTurn: (act: () => void) => void setImmediate(act),
    }),
    logger,
    durability,
    hasher,
    vitalMeta: ["layout/document"],
  });
  return Object.assign(Object.create(directory), { logger }) as OpenedDirectory;
}
