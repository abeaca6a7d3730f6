import { utf8Decode, utf8Encode } from "../core/bytes.ts";
import { SqliteError } from "../env/sqlite.ts";
import { attempt, DataDirectoryError, failure } from "./data-directory-error.ts";
import type { DataDirectoryOptions } from "./data-directory-options.ts";
import type { Identity } from "./identity.ts";
import { NODE_META } from "./meta-names.ts";
import { hasWalResetDefect, NewerSchemaError } from "./schema.ts";
import { openSqliteDisk, type SqliteDisk } from "./sqlite-disk.ts";

/** The file gyre.db with its log, and what becomes of it when it is not what it should be. */
export class DatabaseFile {
  readonly #options: DataDirectoryOptions;
  readonly #identity: Identity;
  readonly #file: string;
  /** Written when a running node finds the file's structure broken; the next start then does not try it again. */
  readonly #condemned: string;

  constructor(options: DataDirectoryOptions, identity: Identity) {
    this.#options = options;
    this.#identity = identity;
    this.#file = `${options.path}/gyre.db`;
    this.#condemned = `${this.#file}.condemned`;
  }

  /** `save` is called with the identity before the old database is given up, so that a crash half-way is no way out. */
  open(save: (identity: Identity) => void): SqliteDisk {
    const present = this.#identity.database === "ready";
    const opened = (present ? this.#visibleDamage() : null) ?? this.#tryOpen(present);
    if (typeof opened !== "string") return opened;
    const aside = this.#unusedName();
    if (present) {
      save({ ...this.#identity, database: "lost" });
      this.#options.logger.error("database-damaged", {
        file: this.#file,
        reason: opened,
        movedTo: aside,
        consequence: "starting empty under a new actor id; rows come back from the other replicas",
      });
    }
    this.#moveAside(aside);
    const fresh = this.#tryOpen(false);
    if (typeof fresh !== "string") return fresh;
    throw new DataDirectoryError(`Cannot create database ${this.#file}: ${fresh}. Check the disk.`);
  }

  /** What shows without opening; SQLite would take an empty file for a new database and remove its log. */
  #visibleDamage(): string | null {
    const { files } = this.#options;
    const condemned = files.read(this.#condemned);
    if (condemned !== undefined) return `found broken while it ran: ${utf8Decode(condemned)}`;
    const bytes = files.sizeBytes(this.#file);
    if (bytes === undefined) return "the file is missing";
    return bytes === 0 ? "the file is empty" : null;
  }

  /** The disk, or how it is damaged. @throws DataDirectoryError when the file is whole and still cannot be opened. */
  #tryOpen(expectData: boolean): SqliteDisk | string {
    const { driver, durability, files, logger } = this.#options;
    let disk: SqliteDisk;
    try {
      disk = openSqliteDisk(driver, this.#file, {
        durability,
        expectData,
        onCorruption: (error) => files.write(this.#condemned, utf8Encode(error.message)),
      });
    } catch (error) {
      if (isDamage(error)) return error.message;
      const remedy =
        error instanceof NewerSchemaError
          ? ""
          : "Make the directory and its files writable for this user.";
      throw failure(`open database ${this.#file}`, remedy, error);
    }
    const owner = disk.getMeta(NODE_META);
    if (expectData && (owner === undefined || utf8Decode(owner) !== this.#identity.nodeId)) {
      disk.close();
      return "it belongs to another node";
    }
    if (hasWalResetDefect(disk.sqliteVersion)) {
      logger.warn("sqlite-version-old", {
        driver: driver.name,
        wanted: "3.51.3",
        reason: "WAL-reset defect",
      });
    }
    return disk;
  }

  #unusedName(): string {
    for (let n = 1; ; n++) {
      const name = `${this.#file}.damaged-${n}`;
      if (["", "-wal", "-shm"].every((suffix) => !this.#options.files.exists(name + suffix)))
        return name;
    }
  }

  /** The log keeps its name's relation to the database, so that SQLite's own tools can still look into the two. */
  #moveAside(aside: string): void {
    const { files } = this.#options;
    attempt(`move ${this.#file} aside`, "Make the directory writable.", () => {
      for (const suffix of ["", "-wal", "-shm"]) {
        if (files.exists(this.#file + suffix)) files.rename(this.#file + suffix, aside + suffix);
      }
      files.remove(this.#condemned);
    });
  }
}

function isDamage(error: unknown): error is SqliteError {
  return (
    error instanceof SqliteError && (error.kind === "corrupt" || error.kind === "not-a-database")
  );
}
