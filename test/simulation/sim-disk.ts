import { type AsideRow, type Disk, DiskFullError, type DiskRow } from "../../src/env/disk.ts";
import { RESTORED_META } from "../../src/storage/meta-names.ts";
import { RESTORED_MARK } from "../../src/storage/restored-tables.ts";
import { SimAside } from "./sim-aside.ts";
import { SimRestored } from "./sim-restored.ts";
import { SimRows } from "./sim-rows.ts";

/** What a process sees of the platter: the Disk port, and how the last process left it. */
export interface SimDiskHandle extends Disk {
  readonly uncleanStop: boolean;
}

/** What the open transaction has changed, by what stood there before. */
interface Undo {
  readonly meta: Map<string, Uint8Array | undefined>;
  readonly sequence: number;
  /** The commit is to be synced whatever the durability. */
  readonly full: boolean;
}

/** All that is on a platter at one moment. Rows are never changed in place, so a copy of the maps is enough. */
export interface DiskImage {
  readonly rows: ReadonlyMap<string, DiskRow>;
  readonly aside: ReadonlyMap<string, AsideRow>;
  readonly meta: ReadonlyMap<string, Uint8Array>;
  readonly sequence: number;
}

/** Where a row rots. A body's damage does not show in its checksum, which is the head's: the values' hashes tell. */
export type RowPart = "head" | "body" | "sum";

/** Commits that a lazy disk may still take back. */
const UNSYNCED_MAX = 8;

/**
 * A disk that outlives the processes of its node: open it again after `crash`. Its handles are fenced, so that a process
 * which has died by the simulator's hand cannot write any more.
 */
export class SimDisk {
  /** So many of the next commits find the disk full. */
  fullCommits = 0;
  /** All of them do. */
  full = false;
  commits = 0;
  /** `durability=process`: what was not committed with FULL may be gone after a power cut. */
  readonly #lazy: boolean;
  /** The states since the last sync, oldest first. */
  #unsynced: DiskImage[] = [];

  readonly #rows = new SimRows();
  readonly #aside = new SimAside();
  readonly #restored = new SimRestored();
  #meta = new Map<string, Uint8Array>();
  #sequence = 0;
  #clean = true;
  #undo: Undo | null = null;
  #handle: SimDiskHandle | null = null;

  /** A transaction is open. */
  get isWriting(): boolean {
    return this.#undo !== null;
  }

  constructor(lazy = false) {
    this.#lazy = lazy;
  }

  /** True when there is no database: never opened, or lost. */
  get empty(): boolean {
    return this.#rows.size === 0 && this.#aside.empty && this.#meta.size === 0;
  }

  /** A process opens the disk. @throws Error while another handle is open. */
  open(): SimDiskHandle {
    if (this.#handle !== null) throw new Error("Cannot open a simulated disk twice: it is locked");
    if (this.#meta.get(RESTORED_META)?.[0] === RESTORED_MARK) this.holdRestored();
    const handle = this.#makeHandle(!this.#clean);
    this.#handle = handle;
    return handle;
  }

  /** The process dies: what it had not committed is gone, and it can reach the disk no more. */
  crash(): void {
    if (this.#undo !== null) this.#rollback();
    this.#handle = null;
  }

  /**
   * One bit of a row rots, so that it cannot be trusted any more: of byte `at`, counted from the end, round and round. False
   * when there is no such row, or no such byte in it. The same bit twice would be none.
   */
  rot(namespace: number, key: Uint8Array, at: number, part: RowPart): boolean {
    const row = this.#rows.get(namespace, key);
    if (row === undefined) return false;
    const name = part === "sum" ? "headSum" : part;
    const bytes = row[name].slice();
    if (bytes.length === 0) return false;
    const index = bytes.length - 1 - (at % bytes.length);
    bytes[index] = (bytes[index] ?? 0) ^ 0x40;
    this.#rows.damage({ ...row, [name]: bytes });
    // What rots has been on the platter for long.
    this.#unsynced = [];
    return true;
  }

  /** One bit of the row's head rots. */
  forget(namespace: number, key: Uint8Array, at = 0): boolean {
    return this.rot(namespace, key, at, "head");
  }

  /** What a backup taken now would hold. */
  image(): DiskImage {
    return {
      rows: this.#rows.image(),
      aside: this.#aside.image(),
      meta: new Map(this.#meta),
      sequence: this.#sequence,
    };
  }

  /** The platter is as it was when the image was taken. REQUIRES: no process has it open. */
  putBack(image: DiskImage): void {
    this.lose();
    this.#rows.putBack(image.rows);
    this.#aside.putBack(image.aside);
    this.#meta = new Map(image.meta);
    this.#sequence = image.sequence;
    this.#clean = false;
  }

  /** A tool writes into the database while no node runs. */
  mark(changes: Readonly<Record<string, Uint8Array | null>>): void {
    for (const [name, value] of Object.entries(changes)) {
      if (value === null) this.#meta.delete(name);
      else this.#meta.set(name, value);
    }
  }

  /** How many commits a power cut could take back. */
  get unsynced(): number {
    return Math.max(0, this.#unsynced.length - 1);
  }

  /** The power fails: the newest `commits` that were not synced are gone. REQUIRES: `crash` before. */
  takeBack(commits: number): void {
    const image = this.#unsynced.at(-1 - Math.min(commits, this.unsynced));
    if (image !== undefined) this.putBack(image);
  }

  /** The whole database is gone. REQUIRES: no process has it open. */
  lose(): void {
    if (this.#handle !== null) throw new Error("Cannot lose a simulated disk under a live process");
    this.#rows.lose();
    this.#aside.lose();
    this.#restored.lose();
    this.#meta = new Map();
    this.#sequence = 0;
    this.#clean = true;
    this.#unsynced = [];
  }

  /** As restored-tables.ts does. */
  holdRestored(): void {
    this.#restored.hold(this.rows(), this.#aside.rows());
    this.#rows.lose();
    this.#aside.lose();
    this.#meta.set(RESTORED_META, new Uint8Array([RESTORED_MARK + 1]));
  }

  /** Every row, those of an open transaction included, in no particular order, for the checkers. */
  rows(): readonly DiskRow[] {
    return this.#rows.all();
  }

  /** Every row kept aside, in no particular order. */
  asideRows(): readonly AsideRow[] {
    return this.#aside.rows();
  }

  row(namespace: number, key: Uint8Array): DiskRow | undefined {
    return this.#rows.get(namespace, key);
  }

  meta(name: string): Uint8Array | undefined {
    return this.#meta.get(name);
  }

  #makeHandle(uncleanStop: boolean): SimDiskHandle {
    const mine = (): void => {
      if (this.#handle !== handle)
        throw new Error("Cannot use a simulated disk after the crash or the close");
    };
    const handle: SimDiskHandle = {
      uncleanStop,
      maintenanceDue: false,
      begin: (full) => {
        mine();
        if (this.#undo !== null) throw new Error("Cannot begin: a transaction is open");
        this.#undo = {
          meta: new Map(),
          sequence: this.#sequence,
          full: full === true,
        };
      },
      commit: () => {
        mine();
        this.#commit();
      },
      rollback: () => {
        mine();
        this.#rollback();
      },
      get: (namespace, key) => {
        mine();
        return this.#rows.get(namespace, key);
      },
      put: (row) => {
        mine();
        this.#requireOpen();
        this.#rows.put(row);
        this.#sequence = Math.max(this.#sequence, row.sequence);
      },
      delete: (namespace, key) => {
        mine();
        this.#requireOpen();
        this.#rows.delete(namespace, key);
      },
      scan: (range) => {
        mine();
        return this.#rows.scan(range);
      },
      scanPlaces: (scan) => {
        mine();
        return this.#rows.scanPlaces(scan);
      },
      putAside: (row) => {
        mine();
        this.#requireOpen();
        this.#aside.put(row);
        this.#sequence = Math.max(this.#sequence, row.sequence);
      },
      deleteAside: (shelf, namespace, key) => {
        mine();
        this.#requireOpen();
        this.#aside.delete(shelf, namespace, key);
      },
      asides: (namespace, key) => {
        mine();
        return this.#aside.ofKey(namespace, key);
      },
      scanAside: (shelf, after, limit) => {
        mine();
        return this.#aside.scan(shelf, after, limit);
      },
      asideUsage: () => this.#aside.usage(),
      restored: (limit) => {
        mine();
        return this.#restored.next(limit);
      },
      deleteRestored: (row) => {
        mine();
        this.#requireOpen();
        this.#restored.delete(row);
      },
      usage: () => ({ rows: this.#rows.size, bytes: this.#rows.bytes }),
      lastSequence: () => this.#undo?.sequence ?? this.#sequence,
      getMeta: (name) => {
        mine();
        return this.#meta.get(name);
      },
      setMeta: (name, value) => {
        mine();
        this.#setMeta(name, value);
      },
      deleteMeta: (name) => {
        mine();
        this.#setMeta(name, undefined);
      },
      metaNames: (prefix) => {
        mine();
        return [...this.#meta.keys()].filter((name) => name.startsWith(prefix)).sort();
      },
      maintain: () => undefined,
      condemn: () => {
        throw new Error("Cannot condemn a simulated disk: it has no pages that break");
      },
      close: () => {
        if (this.#handle !== handle) return;
        if (this.#undo !== null) throw new Error("Cannot close: a transaction is open");
        this.#clean = true;
        this.#handle = null;
      },
    };
    return handle;
  }

  #commit(): void {
    if (this.#undo === null) throw new Error("Cannot commit: no transaction is open");
    if (this.full || this.fullCommits > 0) {
      this.fullCommits = Math.max(0, this.fullCommits - 1);
      throw new DiskFullError("the simulated disk is full");
    }
    this.commits++;
    const { full } = this.#undo;
    this.#undo = null;
    this.#rows.committed();
    this.#aside.committed();
    this.#restored.committed();
    this.#clean = false;
    if (!this.#lazy) return;
    if (full) this.#unsynced = [];
    this.#unsynced.push(this.image());
    if (this.#unsynced.length > UNSYNCED_MAX + 1) this.#unsynced.shift();
  }

  #rollback(): void {
    const undo = this.#undo;
    if (undo === null) throw new Error("Cannot roll back: no transaction is open");
    for (const [name, value] of undo.meta) {
      if (value === undefined) this.#meta.delete(name);
      else this.#meta.set(name, value);
    }
    this.#aside.rolledBack();
    this.#restored.rolledBack();
    this.#rows.rolledBack();
    this.#sequence = undo.sequence;
    this.#undo = null;
  }

  #setMeta(name: string, value: Uint8Array | undefined): void {
    if (this.#undo === null) throw new Error("Cannot write: no transaction is open");
    if (!this.#undo.meta.has(name)) this.#undo.meta.set(name, this.#meta.get(name));
    if (value === undefined) this.#meta.delete(name);
    else this.#meta.set(name, value);
  }

  #requireOpen(): void {
    if (this.#undo === null) throw new Error("Cannot write: no transaction is open");
  }
}
