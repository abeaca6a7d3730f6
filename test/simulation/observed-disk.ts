/** Lets the ledger see every row a node writes, also those whose commit never comes. */
import type { DiskRow } from "../../src/env/disk.ts";
import type { SimDiskHandle } from "./sim-disk.ts";

export interface DiskObserver {
  /** `old` is what stood there, committed or not. */
  wrote(row: DiskRow, old: DiskRow | undefined): void;
  committed(): void;
  rolledBack(): void;
}

export function observedDisk(disk: SimDiskHandle, observer: DiskObserver): SimDiskHandle {
  return {
    uncleanStop: disk.uncleanStop,
    maintenanceDue: disk.maintenanceDue,
    begin: (full) => disk.begin(full),
    commit: () => {
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
    delete: (namespace, key) => disk.delete(namespace, key),
    scan: (range) => disk.scan(range),
    scanPlaces: (scan) => disk.scanPlaces(scan),
    putAside: (row) => disk.putAside(row),
    deleteAside: (shelf, namespace, key) => disk.deleteAside(shelf, namespace, key),
    asides: (namespace, key) => disk.asides(namespace, key),
    scanAside: (shelf, after, limit) => disk.scanAside(shelf, after, limit),
    asideUsage: () => disk.asideUsage(),
    usage: () => disk.usage(),
    lastSequence: () => disk.lastSequence(),
    getMeta: (name) => disk.getMeta(name),
    setMeta: (name, value) => disk.setMeta(name, value),
    deleteMeta: (name) => disk.deleteMeta(name),
    metaNames: (prefix) => disk.metaNames(prefix),
    maintain: () => disk.maintain(),
    close: () => disk.close(),
  };
}
