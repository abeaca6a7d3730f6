import { utf8Encode } from "../core/bytes.ts";
import type { ClusterId, NodeId } from "../core/ids.ts";
import type { Disk } from "../env/disk.ts";
import { type Files, LockedError } from "../env/files.ts";
import type { Random } from "../env/random.ts";
import { makeBackup } from "./backup.ts";
import { attempt, DataDirectoryError, failure } from "./data-directory-error.ts";
import type { DataDirectoryOptions } from "./data-directory-options.ts";
import { DatabaseFile, type OpenedDatabase } from "./database-file.ts";
import { HighWater } from "./high-water.ts";
import type { DatabaseState, Identity } from "./identity.ts";
import { IdentityFile } from "./identity-file.ts";
import type { Manifest } from "./manifest.ts";
import { ACTOR_META, IN_DOUBT_META, NODE_META } from "./meta-names.ts";
import type { Durability } from "./schema.ts";
import type { SqliteDisk } from "./sqlite-disk.ts";

/** One node's data directory, locked for as long as it is open. */
export interface DataDirectory {
  readonly nodeId: NodeId;
  readonly clusterId: ClusterId | undefined;
  /** Durable when it returns. */
  setClusterId(id: ClusterId): void;
  /** Whether some of its rows are on no other node, so that a later start knows. Durable when it returns. */
  setOnlyCopy(isOnlyCopy: boolean): void;
  readonly disk: Disk;
  /** How often this directory has been opened, this time included. */
  readonly incarnation: number;
  /** The database is new although the node is not: rows, dots and promises may be forgotten. */
  readonly forgotten: boolean;
  /** The secret of a node that was given none: 32 random bytes, made on the first call and kept (0600). */
  ownSecret(): Uint8Array;
  /**
   * A backup of the open database in a new directory below `backups`. One at a time. @throws DataDirectoryError
   */
  backup(version: string): Promise<BackedUp>;
  /** Closes the disk, if the store has not, and gives up the lock. A second call does nothing. */
  close(): void;
}

export interface BackedUp {
  readonly path: string;
  readonly manifest: Manifest;
}

const SECRET_BYTES = 32;

/**
 * Makes, locks and opens a data directory. A database that is empty, missing or damaged beside an identity that says there
 * is one is never served as empty: it is moved aside, and the new one starts in doubt under a new actor id. One that has
 * lost its newest commits goes on like a restored backup: in doubt, under a new actor id, its rows held apart. Where some
 * rows are on no other node, a damaged database is not moved aside: the start fails, or drops the small values that are damaged.
 * @throws DataDirectoryError
 */
export function openDataDirectory(options: DataDirectoryOptions): DataDirectory {
  const { path, files } = options;
  attempt(`make data directory ${path}`, "Choose another directory, or make it writable.", () =>
    files.makeDirectory(path),
  );
  const lock = takeLock(options);
  try {
    return openLocked(options, lock);
  } catch (error) {
    lock.release();
    throw error;
  }
}

function openLocked(options: DataDirectoryOptions, lock: { release(): void }): DataDirectory {
  const { path, files, random } = options;
  const file = new IdentityFile(options);
  const highWater = attempt(
    `open ${path}/high-water`,
    "Make it readable and writable.",
    () => new HighWater(files, options.logger, `${path}/high-water`),
  );
  const { disk, state } = openDisk(options, file.identity, highWater, (database) =>
    file.save(database === "ready" ? { database, boots: file.identity.boots + 1 } : { database }),
  );
  let closed = false;
  let backingUp = false;
  return {
    nodeId: file.identity.nodeId,
    get clusterId() {
      return file.identity.clusterId;
    },
    setClusterId: (clusterId) => file.save({ clusterId }),
    setOnlyCopy: (isOnlyCopy) => {
      if (isOnlyCopy === (file.identity.onlyCopy === true)) return;
      file.save({ onlyCopy: isOnlyCopy || undefined });
    },
    disk,
    incarnation: file.identity.boots,
    forgotten: mayHaveForgotten(state),
    ownSecret: () => ownSecret(files, random, `${path}/secret`),
    backup: async (version) => {
      if (backingUp) throw new DataDirectoryError("Cannot back up now: a backup is being made");
      backingUp = true;
      try {
        const { clock } = options;
        const nowMs = clock.wallMs();
        const pause = (): Promise<void> => new Promise((resolve) => clock.endOfTurn(resolve));
        const source = { backupTo: (copy: string) => copyBetweenTurns(disk, copy, pause) };
        const target = `${options.backupDirectory ?? `${path}/backups`}/backup-${Math.floor(nowMs)}`;
        const { nodeId, clusterId, boots } = file.identity;
        const manifest = await makeBackup({
          ...{ files, driver: options.driver, hasher: options.hasher, version, nowMs, target },
          ...{ nodeId, clusterId, boots, source, secretFrom: null },
          onProgress: pause,
        });
        return { path: target, manifest };
      } finally {
        backingUp = false;
      }
    },
    close: () => {
      if (closed) return;
      closed = true;
      disk.close();
      highWater.close();
      lock.release();
    },
  };
}

function openDisk(
  options: DataDirectoryOptions,
  identity: Identity,
  highWater: HighWater,
  save: (state: DatabaseState) => void,
): OpenedDatabase {
  let disk: SqliteDisk | null = null;
  try {
    const file = new DatabaseFile(options, identity, highWater, save);
    const opened = file.open(identity.database);
    disk = opened.disk;
    attempt(`write to database ${options.path}/gyre.db`, "Make room on the disk.", () =>
      prepareDisk(opened.disk, identity.nodeId, opened.state, options.durability),
    );
    highWater.write(disk.lastCommit);
    save("ready");
    return opened;
  } catch (error) {
    // Whether the last stop was unclean is still to be acted on.
    disk?.abandon();
    highWater.close();
    throw error;
  }
}

function mayHaveForgotten(state: DatabaseState): boolean {
  return state === "lost" || state === "doubtful" || state === "dropped";
}

/** @throws DataDirectoryError while another process holds it. */
export function takeLock({ path, files }: Pick<DataDirectoryOptions, "path" | "files">): {
  release(): void;
} {
  try {
    return files.lock(`${path}/lock`);
  } catch (cause) {
    if (cause instanceof LockedError) {
      throw new DataDirectoryError(
        `Cannot open data directory ${path}: another process is using it. Stop that one, or choose another directory.`,
        { cause },
      );
    }
    throw failure(
      `lock data directory ${path}`,
      "Make it readable and writable for this user.",
      cause,
    );
  }
}

/** What must be in the database before anyone uses it. */
function prepareDisk(
  disk: SqliteDisk,
  owner: NodeId,
  state: DatabaseState,
  durability: Durability,
): void {
  const forgotten = mayHaveForgotten(state);
  disk.begin(true);
  disk.setMeta(NODE_META, utf8Encode(owner));
  if (forgotten) disk.setMeta(IN_DOUBT_META, new Uint8Array([1]));
  // A power cut may also have undone commits that were answered: no dot in them may be minted again.
  if (forgotten || (durability === "process" && disk.uncleanStop)) disk.deleteMeta(ACTOR_META);
  disk.commit();
}

/** The writes of the present turn have to be committed before a copy can begin. */
async function copyBetweenTurns(
  disk: SqliteDisk,
  path: string,
  pause: () => Promise<void>,
): Promise<void> {
  for (;;) {
    const copying = disk.backupTo(path);
    if (copying !== null) return copying;
    await pause();
  }
}

function ownSecret(files: Files, random: Random, file: string): Uint8Array {
  const stored = attempt(`read ${file}`, "Make it readable for this user.", () => files.read(file));
  if (stored === undefined) {
    const fresh = random.bytes(SECRET_BYTES);
    attempt(`write ${file}`, "Make the directory writable.", () => files.write(file, fresh));
    return fresh;
  }
  if (stored.length === SECRET_BYTES) return stored;
  throw new DataDirectoryError(
    `Cannot use secret ${file}, want ${SECRET_BYTES} bytes: ${stored.length}. Restore it from a backup.`,
  );
}
