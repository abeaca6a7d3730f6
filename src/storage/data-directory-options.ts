import type { Hasher } from "../core/hasher.ts";
import type { Clock } from "../env/clock.ts";
import type { Files } from "../env/files.ts";
import type { Logger } from "../env/logger.ts";
import type { Random } from "../env/random.ts";
import type { SqliteDriver } from "../env/sqlite.ts";
import type { Durability } from "./schema.ts";

export interface DataDirectoryOptions {
  readonly path: string;
  readonly files: Files;
  readonly driver: SqliteDriver;
  readonly random: Random;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly durability: Durability;
  readonly hasher: Hasher;
  /** Names in `meta` without which nothing can be made of the rows; the others can be done without. */
  readonly vitalMeta?: readonly string[];
  /** Where `backup` puts its directories; `backups` in the data directory when it is not given. */
  readonly backupDirectory?: string;
}
