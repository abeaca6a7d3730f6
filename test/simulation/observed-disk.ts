/** Lets the ledger see every row a node writes, also those whose commit never comes. */
import type { AsideRow, DiskRow } from "../../src/env/disk.ts";
import type { SimDiskHandle } from "./sim-disk.ts";

export interface DiskObserver {
  /** `old` is what stood there, committed or not. */
  wrote(row: DiskRow, old: DiskRow | undefined): void;
  wroteAside(row: AsideRow, old: AsideRow | undefined): void;
  deleted(row: DiskRow): void;
  deletedAside(row: AsideRow): void;
  /** One of the small values was set. */
  noted(name: string): void;
  committed(): void;
  rolledBack(): void;
}

/** `beforeCommit` may throw: then the process has died on the way. */
export function observedDisk(
  disk: SimDiskHandle,
  observer: DiskObserver,
  beforeCommit: () => void,
): SimDiskHandle {
  return {
    uncleanStop: disk.uncleanStop,
    maintenanceDue: disk.maintenanceDue,
    begin: (full) => disk.begin(full),
    commit: () => {
      beforeCommit();
      disk.commit();
      observer.committed();
    },
    rollback: () => {
      disk.rollback();
      observer.rolledBack();
    },
    get: (namespace, key) => disk.get(namespace, key),
    put: (row) => {
      const old = disk.get(row.namespace, row.key);
      disk.put(row);
      observer.wrote(row, old);
    },
    delete: (namespace, key) => {
      const old = disk.get(namespace, key);
      disk.delete(namespace, key);
      if (old !== undefined) observer.deleted(old);
    },
    scan: (range) => disk.scan(range),
    scanPlaces: (scan) => disk.scanPlaces(scan),
    putAside: (row) => {
      const old = disk.asides(row.namespace, row.key).find((one) => one.shelf === row.shelf);
      disk.putAside(row);
      observer.wroteAside(row, old);
    },
    deleteAside: (shelf, namespace, key) => {
      const old = disk.asides(namespace, key).find((one) => one.shelf === shelf);
      disk.deleteAside(shelf, namespace, key);
      if (old !== undefined) observer.deletedAside(old);
    },
    asides: (namespace, key) => disk.asides(namespace, key),
    scanAside: (shelf, after, limit) => disk.scanAside(shelf, after, limit),
    asideUsage: () => disk.asideUsage(),
    restored: (limit) => disk.restored(limit),
    deleteRestored: (row) => disk.deleteRestored(row),
    usage: () => disk.usage(),
    lastSequence: () => disk.lastSequence(),
    getMeta: (name) => disk.getMeta(name),
    setMeta: (name, value) => {
      disk.setMeta(name, value);
      observer.noted(name);
    },
    deleteMeta: (name) => disk.deleteMeta(name),
    metaNames: (prefix) => disk.metaNames(prefix),
    maintain: () => disk.maintain(),
    condemn: (reason) => disk.condemn(reason),
    close: () => disk.close(),
  };
}
