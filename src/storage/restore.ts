import type { Hasher } from "../core/hasher.ts";
import type { Files } from "../env/files.ts";
import type { SqliteDriver } from "../env/sqlite.ts";
import { takeLock } from "./data-directory.ts";
import { attempt, DataDirectoryError } from "./data-directory-error.ts";
import { encodeIdentity, type Identity } from "./identity.ts";
import { IDENTITY_FILES } from "./identity-file.ts";
import { decodeManifest, MANIFEST_FILE, type Manifest } from "./manifest.ts";
import { ACTOR_META, IN_DOUBT_META, RESTORED_META } from "./meta-names.ts";
import { RESTORED_MARK } from "./restored-tables.ts";
import { openSqliteDisk } from "./sqlite-disk.ts";

/**
 * Starts are counted on from far above the backup's count: peers believe the higher one, and the node has been started since.
 * Far below the jump that peers believe (INCARNATION_JUMP_MAX, 2^20).
 */
const BOOTS_SKIPPED = 2 ** 16;
const LOCK_FILE = "lock";

export interface RestoreParts {
  readonly files: Files;
  readonly driver: SqliteDriver;
  readonly hasher: Hasher;
  readonly backup: string;
  readonly target: string;
  /**
   * All nodes of the cluster are restored together: the layout document in the backup is taken for the newest, since nobody
   * is left who could know a newer one.
   */
  readonly wholeCluster: boolean;
  /** Names in `meta` that keep a node from acting by its layout; see `wholeCluster`. */
  readonly recoveryMarks: readonly string[];
}

/**
 * Makes a data directory of a backup. The node keeps its id and takes a new actor id; its rows are held apart until other
 * owners have said what became of them (replication/restored.ts). @throws DataDirectoryError; the target is then as it was
 */
export async function restoreBackup(parts: RestoreParts): Promise<Manifest> {
  const { files, target } = parts;
  const manifest = await checkBackup(parts);
  attempt(`make ${target}`, "Choose another directory.", () => files.makeDirectory(target));
  refuseUnlessEmpty(files, target);
  // A node that is started here meanwhile is refused, instead of finding half a directory.
  const lock = takeLock({ path: target, files });
  try {
    refuseUnlessEmpty(files, target);
    await fill(parts, manifest);
  } finally {
    lock.release();
  }
  return manifest;
}

function refuseUnlessEmpty(files: Files, target: string): void {
  if (files.list(target).every((name) => name === LOCK_FILE)) return;
  throw new DataDirectoryError(
    `Cannot restore into ${target}: it is not empty. Choose another directory, or move its files away.`,
  );
}

async function fill(parts: RestoreParts, manifest: Manifest): Promise<void> {
  const { files, backup, target } = parts;
  /** What this call has made, and alone may take away again. */
  const made: string[] = [];
  try {
    for (const { name } of manifest.files) {
      // Listed first: a copy that fails half-way leaves a part of the file.
      made.push(name);
      await files.copy(`${backup}/${name}`, `${target}/${name}`);
    }
    made.push("gyre.db-wal", "gyre.db-shm");
    markRestored(parts);
    // Last: a directory whose restore was cut short has no identity and is refused.
    const identity: Identity = {
      nodeId: manifest.nodeId,
      clusterId: manifest.clusterId,
      createdAtMs: manifest.createdAtMs,
      boots: manifest.boots + BOOTS_SKIPPED,
      database: parts.wholeCluster ? "ready" : "doubtful",
    };
    for (const name of IDENTITY_FILES) {
      made.push(name);
      files.write(`${target}/${name}`, encodeIdentity(identity));
    }
  } catch (error) {
    for (const name of made) files.remove(`${target}/${name}`);
    throw error;
  }
}

async function checkBackup({ files, backup }: RestoreParts): Promise<Manifest> {
  const file = `${backup}/${MANIFEST_FILE}`;
  const bytes = attempt(`read ${file}`, "", () => files.read(file));
  if (bytes === undefined) {
    throw new DataDirectoryError(
      `Cannot restore ${backup}: it has no ${MANIFEST_FILE}. It is no backup, or one that was never finished.`,
    );
  }
  const manifest = attempt(`understand ${file}`, "", () => decodeManifest(bytes));
  for (const { name, bytes: want, sha256 } of manifest.files) {
    const found = files.sizeBytes(`${backup}/${name}`);
    const isWhole = found === want && (await files.sha256(`${backup}/${name}`)) === sha256;
    if (isWhole) continue;
    throw new DataDirectoryError(
      `Cannot restore ${backup}: ${name} is not what the manifest says (${found ?? 0} bytes, want ${want}). Use another backup.`,
    );
  }
  return manifest;
}

function markRestored({ driver, hasher, target, wholeCluster, recoveryMarks }: RestoreParts): void {
  const disk = openSqliteDisk(driver, `${target}/gyre.db`, {
    durability: "power",
    hasher,
    expectData: true,
  });
  try {
    disk.begin(true);
    disk.deleteMeta(ACTOR_META);
    disk.setMeta(IN_DOUBT_META, new Uint8Array([1]));
    disk.setMeta(RESTORED_META, new Uint8Array([RESTORED_MARK]));
    if (wholeCluster) for (const name of recoveryMarks) disk.deleteMeta(name);
    disk.commit();
  } finally {
    disk.close();
  }
}
