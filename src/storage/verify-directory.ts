import type { Hasher } from "../core/hasher.ts";
import { type Files, LockedError } from "../env/files.ts";
import { type SqliteDatabase, type SqliteDriver, SqliteError } from "../env/sqlite.ts";
import { DataDirectoryError, failure } from "./data-directory-error.ts";
import { decodeHighWater } from "./high-water.ts";
import type { DatabaseState, Identity } from "./identity.ts";
import { findIdentity, IDENTITY_FILES } from "./identity-file.ts";
import { hidesCommits } from "./log-scan.ts";
import { NODE_META } from "./meta-names.ts";
import { type DatabaseFigures, type Finding, verifyDatabase } from "./verify-database.ts";

export interface DirectoryReport {
  readonly identity: Identity | null;
  /** Null when the database could not be opened. */
  readonly database: DatabaseFigures | null;
  readonly databaseBytes: number;
  readonly logBytes: number;
  readonly findings: readonly Finding[];
}

export interface VerifyParts {
  readonly path: string;
  readonly files: Files;
  readonly driver: SqliteDriver;
  readonly hasher: Hasher;
  readonly onProgress: (rowsDone: number, rowsTotal: number) => Promise<void>;
}

/** By the state of the database in the identity. */
const UNFINISHED: Partial<Record<DatabaseState, string>> = {
  lost: "it had given the database up",
  doubtful: "it had found commits of the database missing",
  dropped: "it was dropping damaged small values",
};

/** Takes the lock of a stopped node's directory for as long as `run` takes. @throws DataDirectoryError */
export async function whileStopped<T>(
  { path, files }: Pick<VerifyParts, "path" | "files">,
  run: () => Promise<T>,
): Promise<T> {
  if (!files.exists(`${path}/gyre.db`) && !IDENTITY_FILES.some((f) => files.exists(`${path}/${f}`)))
    throw new DataDirectoryError(`Cannot find a data directory at ${path}`);
  let lock: { release(): void };
  try {
    lock = files.lock(`${path}/lock`);
  } catch (cause) {
    if (!(cause instanceof LockedError)) {
      throw failure(`lock ${path}`, "Make it readable and writable for this user.", cause);
    }
    const message = `Cannot use ${path}: a node is running on it. Stop the node first.`;
    throw new DataDirectoryError(message, { cause });
  }
  try {
    return await run();
  } finally {
    lock.release();
  }
}

/** Reads every file and row of a data directory, and changes none. REQUIRES: the caller holds its lock (whileStopped). */
export async function verifyDirectory(parts: VerifyParts): Promise<DirectoryReport> {
  const findings: Finding[] = [];
  const identity = verifyIdentity(parts, findings);
  verifyLog(parts, findings);
  const database = await verifyTables(parts, identity, findings);
  const { path, files } = parts;
  verifyHighWater(parts, database, findings);
  for (const name of files.list(path)) {
    if (!name.startsWith("gyre.db.") || name.endsWith("-wal") || name.endsWith("-shm")) continue;
    findings.push({ kind: "note", where: name, what: "a start has left this behind as evidence" });
  }
  const databaseBytes = files.sizeBytes(`${path}/gyre.db`) ?? 0;
  const logBytes = files.sizeBytes(`${path}/gyre.db-wal`) ?? 0;
  return { identity, database, databaseBytes, logBytes, findings };
}

function verifyIdentity({ path, files }: VerifyParts, findings: Finding[]): Identity | null {
  let newest: Identity | null = null;
  for (const name of IDENTITY_FILES) {
    const found = findIdentity(files, `${path}/${name}`);
    if (found.state !== "whole") {
      const what = found.state === "damaged" ? found.reason : "it is missing";
      findings.push({ kind: "damage", where: name, what });
    } else if (newest === null || found.identity.boots > newest.boots) newest = found.identity;
  }
  const unfinished = newest === null ? undefined : UNFINISHED[newest.database];
  if (unfinished !== undefined) {
    const what = `the last start did not end: ${unfinished}`;
    findings.push({ kind: "note", where: IDENTITY_FILES[0], what });
  }
  return newest;
}

function verifyLog({ path, files }: VerifyParts, findings: Finding[]): void {
  const log = files.read(`${path}/gyre.db-wal`);
  if (log === undefined || !hidesCommits(log)) return;
  const what = "commits that were acknowledged stand behind a damaged frame, and would be dropped";
  findings.push({ kind: "damage", where: "gyre.db-wal", what });
}

function verifyHighWater(
  { path, files }: VerifyParts,
  database: DatabaseFigures | null,
  findings: Finding[],
): void {
  const bytes = files.read(`${path}/high-water`);
  const mark = decodeHighWater(bytes);
  if (bytes !== undefined && mark === 0) {
    const what = "it is torn or empty: the next start makes it again";
    findings.push({ kind: "note", where: "high-water", what });
  }
  if (database === null || database.commits >= mark) return;
  const what = `its newest commit is number ${database.commits}, and ${mark} had been made`;
  findings.push({ kind: "damage", where: "gyre.db", what });
}

async function verifyTables(
  parts: VerifyParts,
  identity: Identity | null,
  findings: Finding[],
): Promise<DatabaseFigures | null> {
  const { path, files, driver, hasher, onProgress } = parts;
  const file = `${path}/gyre.db`;
  const bytes = files.sizeBytes(file);
  if (bytes === undefined || bytes === 0) {
    const what = bytes === 0 ? "it is empty" : "it is missing";
    if (identity?.database !== "none") findings.push({ kind: "damage", where: "gyre.db", what });
    return null;
  }
  try {
    return await readingOnly({ path, files, driver }, async (database) => {
      const figures = await verifyDatabase({
        database,
        hasher,
        onFinding: (finding) => findings.push(finding),
        onProgress,
        structure: true,
      });
      verifyOwner(database, identity, findings);
      return figures;
    });
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error;
    findings.push({ kind: "damage", where: "gyre.db", what: error.message });
    return null;
  }
}

/** Opens the database of a stopped node for reading. A connection that only reads still makes files beside it: away with them. */
export async function readingOnly<T>(
  { path, files, driver }: Pick<VerifyParts, "path" | "files" | "driver">,
  run: (database: SqliteDatabase) => Promise<T>,
): Promise<T> {
  const file = `${path}/gyre.db`;
  const made = ["-wal", "-shm"].filter((suffix) => !files.exists(file + suffix));
  const database = driver.open(file, { readOnly: true });
  try {
    return await run(database);
  } finally {
    database.close();
    for (const suffix of made) files.remove(file + suffix);
  }
}

function verifyOwner(
  database: SqliteDatabase,
  identity: Identity | null,
  findings: Finding[],
): void {
  const row = database.prepare("SELECT value FROM meta WHERE name = ?").get(NODE_META);
  const value = row?.["value"];
  if (!(value instanceof Uint8Array) || identity === null) return;
  let owner = "";
  for (const byte of value) owner += String.fromCharCode(byte);
  if (owner === identity.nodeId) return;
  const what = `it belongs to node ${owner.slice(0, 8)}, the directory to ${identity.nodeId.slice(0, 8)}`;
  findings.push({ kind: "damage", where: "gyre.db", what });
}
