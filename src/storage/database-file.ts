import { equalBytes, utf8Decode, utf8Encode } from "../core/bytes.ts";
import { SqliteError } from "../env/sqlite.ts";
import { attempt, DataDirectoryError, failure } from "./data-directory-error.ts";
import type { DataDirectoryOptions } from "./data-directory-options.ts";
import type { HighWater } from "./high-water.ts";
import type { DatabaseState, Identity } from "./identity.ts";
import { hidesCommits } from "./log-scan.ts";
import { NODE_META, RESTORED_META } from "./meta-names.ts";
import { RESTORED_MARK } from "./restored-tables.ts";
import { hasWalResetDefect, NewerSchemaError } from "./schema.ts";
import { openSqliteDisk, type SqliteDisk } from "./sqlite-disk.ts";

export interface OpenedDatabase {
  readonly disk: SqliteDisk;
  /** Where the database stands now: `lost` and `doubtful` ask for a new actor id and doubt. */
  readonly state: DatabaseState;
}

/** The file gyre.db with its log, and what becomes of it when it is not what it should be. */
export class DatabaseFile {
  readonly #options: DataDirectoryOptions;
  readonly #owner: Pick<Identity, "nodeId" | "onlyCopy">;
  readonly #file: string;
  readonly #highWater: HighWater;
  /** Told before a database is given up or doubted, so that a crash half-way is no way out. */
  readonly #save: (state: DatabaseState) => void;
  /** Written when a running node finds the file's structure broken; the next start then does not try it again. */
  readonly #condemned: string;

  constructor(
    options: DataDirectoryOptions,
    owner: Pick<Identity, "nodeId" | "onlyCopy">,
    highWater: HighWater,
    save: (state: DatabaseState) => void,
  ) {
    this.#options = options;
    this.#owner = owner;
    this.#file = `${options.path}/gyre.db`;
    this.#highWater = highWater;
    this.#save = save;
    this.#condemned = `${this.#file}.condemned`;
  }

  open(state: DatabaseState): OpenedDatabase {
    switch (state) {
      case "none": {
        // Nothing was ever answered from what a first start has left behind.
        const disk = this.#tryOpen(false);
        return { disk: typeof disk === "string" ? this.#replace() : disk, state };
      }
      case "lost":
        return { disk: this.#replace(), state };
      case "ready":
      case "doubtful":
      case "dropped":
        return this.#openExisting(state);
    }
  }

  #openExisting(before: "ready" | "doubtful" | "dropped"): OpenedDatabase {
    const damage = this.#visibleDamage();
    if (damage !== null) return this.#giveUp(damage);
    let state = before;
    if (state !== "doubtful" && this.#logHidesCommits()) {
      state = this.#doubt("the log is damaged and committed rows stand behind the damage");
    }
    const onDropped = (names: readonly string[]): void => {
      // Doubt is more: it stays until the rows were held apart.
      if (state !== "doubtful") state = "dropped";
      this.#onDropped(state, names);
    };
    const disk = this.#tryOpen(true, onDropped);
    if (typeof disk === "string") return this.#giveUp(disk);
    try {
      return this.#judge(disk, state);
    } catch (error) {
      disk.abandon();
      throw error;
    }
  }

  /** What becomes of one that could be opened. */
  #judge(disk: SqliteDisk, found: "ready" | "doubtful" | "dropped"): OpenedDatabase {
    let state = found;
    if (state !== "doubtful" && disk.lastCommit < this.#highWater.found) {
      state = this.#doubt(
        `its newest commit is number ${disk.lastCommit}, and ${this.#highWater.found} had been made`,
      );
    }
    if (state !== "doubtful") {
      // The rows are as they were, whatever was dropped: nothing of them needs to be asked for.
      if (disk.isMetaComplete) return { disk, state };
      disk.abandon();
      return this.#giveUp("small values are missing, or older than they were");
    }
    // What is left may be of two times: pages moved from the log before the damage, and pages from before those.
    if (!disk.verify()) {
      disk.abandon();
      return this.#giveUp("its structure is broken");
    }
    return { disk: this.#holdApart(disk), state };
  }

  /**
   * Opens it anew as a restored backup. The log may reach back days, so a delete that is among what was lost may have been
   * reaped everywhere since, and a row of what is left would bring the value back.
   */
  #holdApart(disk: SqliteDisk): SqliteDisk {
    attempt(`write to database ${this.#file}`, "Make room on the disk.", () => {
      try {
        disk.begin(true);
        disk.setMeta(RESTORED_META, new Uint8Array([RESTORED_MARK]));
        disk.commit();
      } finally {
        disk.close();
      }
    });
    const reopened = this.#tryOpen(true);
    if (typeof reopened !== "string") return reopened;
    throw new DataDirectoryError(`Cannot open database ${this.#file}: ${reopened}. Start again.`);
  }

  #doubt(reason: string): "doubtful" {
    const { files, logger } = this.#options;
    const evidence = `${this.#unusedName()}-wal`;
    const log = files.read(`${this.#file}-wal`);
    this.#save("doubtful");
    attempt(`copy the log to ${evidence}`, "Make room on the disk.", () => {
      if (log !== undefined) files.write(evidence, log);
    });
    logger.error("database-lost-commits", {
      file: this.#file,
      reason,
      consequence:
        "going on under a new actor id; what is left is held apart until the other replicas were asked about it",
    });
    return "doubtful";
  }

  /**
   * @throws DataDirectoryError where rows are on no other node: nothing is then changed. Where the file is missing there is nothing
   * to protect, and who has moved it away has decided.
   */
  #giveUp(reason: string): OpenedDatabase {
    const { path, files } = this.#options;
    if (this.#owner.onlyCopy === true && files.exists(this.#file)) {
      throw new DataDirectoryError(
        `Cannot use database ${this.#file}: ${reason}. Some of its rows are on no other node, so it was left as it is. ` +
          `See with \`gyre verify ${path}\` what is whole, and \`gyre restore\` the newest backup into an empty directory. ` +
          "A node with co-owners goes on without the rows that only it had when gyre.db has been moved away.",
      );
    }
    this.#save("lost");
    this.#options.logger.error("database-damaged", {
      file: this.#file,
      reason,
      movedTo: this.#unusedName(),
      consequence: "starting empty under a new actor id; rows come back from the other replicas",
    });
    return { disk: this.#replace(), state: "lost" };
  }

  /** Moves aside what is there and makes a new database. */
  #replace(): SqliteDisk {
    this.#moveAside(this.#unusedName());
    const fresh = this.#tryOpen(false);
    if (typeof fresh !== "string") return fresh;
    throw new DataDirectoryError(`Cannot create database ${this.#file}: ${fresh}. Check the disk.`);
  }

  #logHidesCommits(): boolean {
    const log = attempt(`read ${this.#file}-wal`, "Make it readable for this user.", () =>
      this.#options.files.read(`${this.#file}-wal`),
    );
    return log !== undefined && hidesCommits(log);
  }

  /** What shows without opening; SQLite would take an empty file for a new database and remove its log. */
  #visibleDamage(): string | null {
    const { files } = this.#options;
    const condemned = files.read(this.#condemned);
    if (condemned !== undefined) return `found broken while it ran: ${utf8Decode(condemned)}`;
    const bytes = files.sizeBytes(this.#file);
    if (bytes === undefined) return "the file is missing";
    if (bytes === 0) return "the file is empty";
    // With a log the missing pages may be there.
    const isAlone = (files.sizeBytes(`${this.#file}-wal`) ?? 0) === 0;
    const wanted = bytesByHeader(files.readStart(this.#file, HEADER_BYTES));
    return isAlone && bytes < wanted ? `it has ${bytes} bytes, its header says ${wanted}` : null;
  }

  /** Small values are about to be dropped: said in the identity first, so that a crash half-way is no way out. */
  #onDropped(state: "doubtful" | "dropped", names: readonly string[]): void {
    this.#save(state);
    this.#options.logger.error("small-values-dropped", {
      file: this.#file,
      names: names.join(" "),
      consequence:
        "they are damaged, and some rows are on no other node: going on with these under a new actor id; " +
        "settings of a namespace among them are the usual ones again",
    });
  }

  /**
   * The disk, or how it is damaged. @throws DataDirectoryError when the file is whole and still cannot be opened.
   *
   * @param onDropped told the names of small values before they are dropped; not given, none may be.
   */
  #tryOpen(
    expectData: boolean,
    onDropped?: (names: readonly string[]) => void,
  ): SqliteDisk | string {
    const { driver, durability, files, hasher, logger, vitalMeta = [] } = this.#options;
    const mayDrop = this.#owner.onlyCopy === true && onDropped !== undefined;
    let disk: SqliteDisk | null = null;
    let owner: Uint8Array | undefined;
    try {
      disk = openSqliteDisk(driver, this.#file, {
        ...{ durability, hasher, expectData, vitalMeta },
        ...(mayDrop ? { onDroppedMeta: onDropped } : {}),
        onCommit: (commit) => this.#highWater.write(commit),
        onCorruption: (reason) => files.write(this.#condemned, utf8Encode(reason)),
      });
      owner = disk.getMeta(NODE_META);
    } catch (error) {
      disk?.abandon();
      if (isDamage(error)) return error.message;
      const remedy =
        error instanceof NewerSchemaError
          ? ""
          : "Make the directory and its files writable for this user.";
      throw failure(`open database ${this.#file}`, remedy, error);
    }
    if (expectData && (owner === undefined || utf8Decode(owner) !== this.#owner.nodeId)) {
      disk.abandon();
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

const HEADER_BYTES = 100;
const MAGIC = utf8Encode("SQLite format 3");

/**
 * How long a database file must be by its own header, 0 where that does not say (https://www.sqlite.org/fileformat2.html
 * section 1.3). SQLite finds a missing page only when it wants it, and then calls it a failure of the disk.
 */
function bytesByHeader(header: Uint8Array | undefined): number {
  if (header === undefined || header.length < HEADER_BYTES) return 0;
  if (!equalBytes(header.subarray(0, MAGIC.length), MAGIC)) return 0;
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  const isCurrent = view.getUint32(24) === view.getUint32(92);
  const pageBytes = view.getUint16(16);
  return isCurrent ? view.getUint32(28) * (pageBytes === 1 ? 65_536 : pageBytes) : 0;
}

function isDamage(error: unknown): error is SqliteError {
  return (
    error instanceof SqliteError && (error.kind === "corrupt" || error.kind === "not-a-database")
  );
}
