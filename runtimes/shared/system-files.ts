import { createHash } from "node:crypto";
import {
  closeSync,
  constants,
  createReadStream,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { chmod, copyFile } from "node:fs/promises";
import { dirname } from "node:path";
import { type Files, LockedError } from "../../src/env/files.ts";
import { type SqliteDatabase, type SqliteDriver, SqliteError } from "../../src/env/sqlite.ts";

const OWNER_DIRECTORY = 0o700;
const OWNER_FILE = 0o600;
/** The first round makes the file, the second locks it; more are needed only in a race with a process that stops. */
const LOCK_ROUNDS_MAX = 16;

/** The files of a data directory, through node:fs, which all three runtimes have. */
export function createSystemFiles(driver: SqliteDriver): Files {
  return {
    makeDirectory: (path) => {
      mkdirSync(path, { recursive: true, mode: OWNER_DIRECTORY });
    },
    exists: (path) => existsSync(path),
    sizeBytes: (path) => statSync(path, { throwIfNoEntry: false })?.size,
    read: readIfThere,
    readStart,
    write: writeDurably,
    openMark,
    list: (path) => (existsSync(path) ? readdirSync(path).sort() : []),
    sync: syncFile,
    sha256: sha256Of,
    copy: async (from, to) => {
      await copyFile(from, to, constants.COPYFILE_EXCL);
      await chmod(to, OWNER_FILE);
      syncFile(to);
      syncDirectory(dirname(to));
    },
    rename: (from, to) => {
      renameSync(from, to);
      syncDirectory(dirname(to));
    },
    remove: (path) => {
      rmSync(path, { force: true });
    },
    lock: (path) => takeLock(driver, path),
  };
}

function readIfThere(path: string): Uint8Array | undefined {
  try {
    return new Uint8Array(readFileSync(path));
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

function readStart(path: string, bytesMax: number): Uint8Array | undefined {
  if (!existsSync(path)) return undefined;
  const file = openSync(path, "r");
  try {
    const bytes = new Uint8Array(bytesMax);
    return bytes.subarray(0, readSync(file, bytes, 0, bytesMax, 0));
  } finally {
    closeSync(file);
  }
}

/** Readers see the old file or the new one, also after a power cut: the name changes only once the bytes are on the disk. */
function writeDurably(path: string, bytes: Uint8Array): void {
  const temporary = `${path}.new`;
  const file = openSync(temporary, "w", OWNER_FILE);
  try {
    writeFileSync(file, bytes);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
  syncDirectory(dirname(path));
}

function openMark(path: string): { write(bytes: Uint8Array): void; close(): void } {
  const file = openSync(path, constants.O_RDWR | constants.O_CREAT, OWNER_FILE);
  return {
    write: (bytes) => {
      writeSync(file, bytes, 0, bytes.byteLength, 0);
    },
    close: () => closeSync(file),
  };
}

function syncFile(path: string): void {
  const file = openSync(path, "r+");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
  return hash.digest("hex");
}

/** A new name is durable only when its directory is. */
function syncDirectory(path: string): void {
  const directory = openSync(path, "r");
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}

/**
 * node:fs has no flock, and a file with a process id in it outlives a kill -9 and deceives after the id is reused. SQLite
 * takes a kernel lock, which ends with the process however it ends; so the lock is an empty database held in an
 * exclusive transaction. (Nothing else in this process may open the file: closing any descriptor of it would drop a POSIX
 * lock, https://www.sqlite.org/howtocorrupt.html section 2.2.)
 * @throws LockedError when another process, or this one, holds it.
 */
function takeLock(driver: SqliteDriver, path: string): { release(): void } {
  for (let round = 0; round < LOCK_ROUNDS_MAX; round++) {
    const before = inodeOf(path);
    const database = driver.open(path);
    try {
      if (before !== undefined) {
        holdExclusively(database, path);
        // The holder before us may have removed the file as we opened it: then we have locked a file without a name,
        // and the next process would lock another one.
        if (before === inodeOf(path)) return held(database, path);
      }
    } catch (error) {
      database.close();
      throw error;
    }
    database.close();
  }
  throw new LockedError(`Cannot lock ${path}: it is made and removed by others all the time`);
}

function holdExclusively(database: SqliteDatabase, path: string): void {
  try {
    database.exec(
      "PRAGMA busy_timeout=0; PRAGMA journal_mode=MEMORY; PRAGMA locking_mode=EXCLUSIVE; BEGIN EXCLUSIVE",
    );
  } catch (error) {
    if (error instanceof SqliteError && error.kind === "busy") {
      throw new LockedError(`Cannot lock ${path}: another process holds it`, { cause: error });
    }
    throw error;
  }
}

function held(database: SqliteDatabase, path: string): { release(): void } {
  return {
    release: () => {
      // Removed while it is still ours: who opens the old file now finds out by the check in takeLock.
      rmSync(path, { force: true });
      database.close();
    },
  };
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function isNotFound(error: unknown): boolean {
  return (error as { readonly code?: unknown }).code === "ENOENT";
}
