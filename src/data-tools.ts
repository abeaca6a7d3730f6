/** What the command line does with data directories: it may not reach down to storage itself. */
import { decodeLayout } from "./cluster/layout-codec.ts";
import { DOCUMENT, RECOVERING } from "./cluster/layout-store.ts";
import type { Hasher } from "./core/hasher.ts";
import type { Clock } from "./env/clock.ts";
import type { Files } from "./env/files.ts";
import type { SqliteDriver } from "./env/sqlite.ts";
import { VERSION } from "./node-config.ts";
import { makeBackup } from "./storage/backup.ts";
import { DataDirectoryError } from "./storage/data-directory-error.ts";
import type { Manifest } from "./storage/manifest.ts";
import { restoreBackup } from "./storage/restore.ts";
import {
  type DirectoryReport,
  readingOnly,
  verifyDirectory,
  whileStopped,
} from "./storage/verify-directory.ts";

export type { DirectoryReport, Manifest };

/** The world as these need it. */
export interface DataWorld {
  readonly files: Files;
  readonly driver: SqliteDriver;
  readonly hasher: Hasher;
  readonly clock: Clock;
}

export type OnProgress = (rowsDone: number, rowsTotal: number) => Promise<void>;

/** @throws DataDirectoryError when there is none, or a node runs on it. */
export async function verifyData(
  world: DataWorld,
  path: string,
  onProgress: OnProgress,
): Promise<DirectoryReport> {
  return await whileStopped({ path, files: world.files }, async () => {
    const report = await verifyDirectory({ ...world, path, onProgress });
    const fault = report.database === null ? null : await layoutFault(world, path);
    if (fault === null) return report;
    const finding = { kind: "damage", where: "meta layout/document", what: fault } as const;
    return { ...report, findings: [...report.findings, finding] };
  });
}

/** Why the layout document cannot be read, or null. */
async function layoutFault(world: DataWorld, path: string): Promise<string | null> {
  return await readingOnly({ ...world, path }, (database) => {
    const row = database.prepare("SELECT value FROM meta WHERE name = ?").get(DOCUMENT);
    try {
      if (row?.["value"] instanceof Uint8Array) decodeLayout(row["value"]);
      return Promise.resolve(null);
    } catch (error) {
      return Promise.resolve(error instanceof Error ? error.message : String(error));
    }
  });
}

export interface BackupRequest {
  readonly data: string;
  readonly target: string;
  readonly withSecret: boolean;
}

/** Of a stopped node. @throws DataDirectoryError */
export async function backupData(
  world: DataWorld,
  request: BackupRequest,
  onProgress: OnProgress,
): Promise<Manifest> {
  const { files, clock } = world;
  const { data, target } = request;
  return await whileStopped({ path: data, files }, async () => {
    const before = await verifyDirectory({ ...world, path: data, onProgress });
    const damage = before.findings.find((finding) => finding.kind === "damage");
    if (damage !== undefined || before.identity === null) {
      throw new DataDirectoryError(
        `Cannot back up ${data}: it is damaged (${damage?.where}: ${damage?.what}). \`gyre verify ${data}\` tells all; ` +
          "start the node to have it repaired from its peers.",
      );
    }
    const { nodeId, clusterId, boots } = before.identity;
    return await readingOnly({ ...world, path: data }, (source) =>
      makeBackup({
        ...world,
        ...{ version: VERSION, nowMs: clock.wallMs(), nodeId, clusterId, boots, source, target },
        secretFrom: request.withSecret ? data : null,
        onProgress,
      }),
    );
  });
}

export interface RestoreRequest {
  readonly backup: string;
  readonly data: string;
  readonly wholeCluster: boolean;
}

/** @throws DataDirectoryError */
export function restoreData(world: DataWorld, request: RestoreRequest): Promise<Manifest> {
  const { backup, data: target, wholeCluster } = request;
  return restoreBackup({ ...world, backup, target, wholeCluster, recoveryMarks: [RECOVERING] });
}
