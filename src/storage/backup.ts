import type { Hasher } from "../core/hasher.ts";
import type { ClusterId, NodeId } from "../core/ids.ts";
import type { Files } from "../env/files.ts";
import { type SqliteDatabase, type SqliteDriver, SqliteError } from "../env/sqlite.ts";
import { attempt, DataDirectoryError, failure } from "./data-directory-error.ts";
import { type BackedUpFile, encodeManifest, MANIFEST_FILE, type Manifest } from "./manifest.ts";
import { RESTORED_META } from "./meta-names.ts";
import { RESTORED_SHELF } from "./shelves.ts";
import { type DatabaseFigures, type Finding, verifyDatabase } from "./verify-database.ts";

const DATABASE_FILE = "gyre.db";
const SECRET_FILE = "secret";

export interface BackupParts {
  readonly files: Files;
  readonly driver: SqliteDriver;
  readonly hasher: Hasher;
  /** Of the program. */
  readonly version: string;
  readonly nowMs: number;
  readonly nodeId: NodeId;
  readonly clusterId: ClusterId | undefined;
  readonly boots: number;
  /** The database to be copied, by the connection that is open on it. */
  readonly source: Pick<SqliteDatabase, "backupTo">;
  /** A directory that is empty or not there yet. */
  readonly target: string;
  /** The data directory whose `secret` goes along; null leaves it out. */
  readonly secretFrom: string | null;
  readonly onProgress: (rowsDone: number, rowsTotal: number) => Promise<void>;
}

/**
 * A consistent copy of one node's database, with a manifest. The copy is read back, every row of it, before the manifest is
 * written. Never a copy of the file itself: without its log it would be of no time at all. @throws DataDirectoryError
 */
export async function makeBackup(parts: BackupParts): Promise<Manifest> {
  const { files, source, target, secretFrom } = parts;
  attempt(`make ${target}`, "Choose another directory.", () => files.makeDirectory(target));
  if (files.list(target).length > 0) {
    throw new DataDirectoryError(
      `Cannot back up to ${target}: it is not empty. Choose another one.`,
    );
  }
  const copy = `${target}/${DATABASE_FILE}`;
  try {
    await source.backupTo(copy);
    files.sync(copy);
  } catch (error) {
    for (const name of files.list(target)) files.remove(`${target}/${name}`);
    throw failure(`copy the database to ${copy}`, "Make room, or choose another disk.", error);
  }
  refuseUndecided(parts, copy);
  const figures = await readBack(parts, copy);
  const names = [DATABASE_FILE];
  if (secretFrom !== null && files.exists(`${secretFrom}/${SECRET_FILE}`)) {
    await files.copy(`${secretFrom}/${SECRET_FILE}`, `${target}/${SECRET_FILE}`);
    names.push(SECRET_FILE);
  }
  const listed: BackedUpFile[] = [];
  for (const name of names) {
    const file = `${target}/${name}`;
    listed.push({ name, bytes: files.sizeBytes(file) ?? 0, sha256: await files.sha256(file) });
  }
  const manifest: Manifest = {
    gyre: parts.version,
    createdAtMs: Math.floor(parts.nowMs),
    nodeId: parts.nodeId,
    clusterId: parts.clusterId,
    boots: parts.boots,
    sequence: figures.sequence,
    rows: figures.rows,
    files: listed,
  };
  files.write(`${target}/${MANIFEST_FILE}`, encodeManifest(manifest));
  return manifest;
}

/**
 * A node that was restored itself holds rows apart until its co-owners have told of them. Restored once more, such a row and
 * the node's own newer one of the same key would be taken for one, and one of them be lost.
 */
function refuseUndecided({ driver, files, target }: BackupParts, copy: string): void {
  const database = driver.open(copy, { readOnly: true });
  let isUndecided: boolean;
  try {
    isUndecided =
      database.prepare("SELECT 1 FROM meta WHERE name = ?").get(RESTORED_META) !== undefined ||
      database.prepare("SELECT 1 FROM aside WHERE shelf = ? LIMIT 1").get(RESTORED_SHELF) !==
        undefined;
  } finally {
    database.close();
  }
  if (!isUndecided) return;
  for (const name of files.list(target)) files.remove(`${target}/${name}`);
  throw new DataDirectoryError(
    "Cannot back up now: the node was restored, and some of its rows wait until their other owners have told of them. " +
      "Try again when `restoredRows` of `/v1/cluster` is 0, and keep the backup that it was restored from until then.",
  );
}

/** @throws DataDirectoryError when the copy is not sound: the database is damaged, or the disk of the backup is. */
async function readBack(parts: BackupParts, copy: string): Promise<DatabaseFigures> {
  const { driver, hasher, files, onProgress } = parts;
  const faults: Finding[] = [];
  let figures: DatabaseFigures | null = null;
  try {
    const database = driver.open(copy, { readOnly: true });
    try {
      figures = await verifyDatabase({
        database,
        hasher,
        onFinding: (finding) => {
          if (finding.kind === "damage") faults.push(finding);
        },
        onProgress,
        structure: false,
      });
    } finally {
      database.close();
    }
  } catch (error) {
    if (!(error instanceof SqliteError)) throw error;
    faults.push({ kind: "damage", where: DATABASE_FILE, what: error.message });
  }
  for (const suffix of ["-wal", "-shm"]) files.remove(copy + suffix);
  const [fault] = faults;
  if (fault === undefined && figures !== null) return figures;
  throw new DataDirectoryError(
    `Cannot vouch for the backup ${copy}: ${faults.length} faults, the first in ${fault?.where}: ${fault?.what}. ` +
      "It is kept without a manifest; `gyre verify` tells whether the node's own files are damaged.",
  );
}
