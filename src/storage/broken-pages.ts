import type { Disk } from "../env/disk.ts";
import type { Env } from "../env/env.ts";
import type { Logger } from "../env/logger.ts";
import { SqliteError } from "../env/sqlite.ts";

/**
 * Reads that go over many pages and meet a broken one. Nothing else would ever mend it: no tree can be built, no round goes to
 * its end, and a co-owner in doubt is never answered. So it ends the process as a write into a broken page does, and the
 * next start sets the file aside and fills the node from its co-owners. Where there are none the file is the only copy: what
 * of it can be read goes on being served.
 */
export class BrokenPages {
  readonly #disk: Disk;
  readonly #logger: Logger;
  readonly #failStop: Env["failStop"];
  readonly #isHeldElsewhere: () => boolean;
  #told = false;

  constructor(parts: {
    readonly disk: Disk;
    readonly logger: Logger;
    readonly failStop: Env["failStop"];
    readonly isHeldElsewhere?: () => boolean;
  }) {
    this.#disk = parts.disk;
    this.#logger = parts.logger;
    this.#failStop = parts.failStop;
    this.#isHeldElsewhere = parts.isHeldElsewhere ?? (() => false);
  }

  /** What `read` returns. @throws SqliteError for a broken page in the only copy. */
  met<T>(read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (!isBroken(error)) throw error;
      if (this.#isHeldElsewhere()) {
        this.#disk.condemn(error.message);
        return this.#failStop("the database's structure is broken", error);
      }
      if (!this.#told) {
        this.#logger.error("database-broken", {
          reason: error.message,
          consequence:
            "this is the only copy: what can be read is served, lists and scans fail, and nothing repairs it",
          advice: "make a copy of the directory, then restore the newest backup",
        });
      }
      this.#told = true;
      throw error;
    }
  }
}

function isBroken(error: unknown): error is SqliteError {
  return (
    error instanceof SqliteError && (error.kind === "corrupt" || error.kind === "not-a-database")
  );
}
