import { byteString, compareBytes } from "../../src/core/bytes.ts";
import {
  type AsideRow,
  type Disk,
  DiskFullError,
  type DiskRow,
  type DiskRowHead,
  type DiskScan,
  type PlaceScan,
} from "../../src/env/disk.ts";
import { RESTORED_META } from "../../src/storage/meta-names.ts";
import { RESTORED_MARK } from "../../src/storage/restored-tables.ts";
import { comparePlaces, cursorOf, SimAside } from "./sim-aside.ts";
import { SimRestored } from "./sim-restored.ts";

/** What a process sees of the platter: the Disk port, and how the last process left it. */
export interface SimDiskHandle extends Disk {
  readonly uncleanStop: boolean;
}

/** What the open transaction has changed, by what stood there before. */
interface Undo {
  readonly rows: Map<string, DiskRow | undefined>;
  readonly meta: Map<string, Uint8Array | undefined>;
  readonly bytes: number;
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

  #rows = new Map<string, DiskRow>();
  /** Keys by namespace, in byte order. */
  #keys = new Map<number, Uint8Array[]>();
  readonly #aside = new SimAside();
  readonly #restored = new SimRestored();
  #meta = new Map<string, Uint8Array>();
  #bytes = 0;
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
    const id = rowId(namespace, key);
    const row = this.#rows.get(id);
    if (row === undefined) return false;
    const name = part === "sum" ? "headSum" : part;
    const bytes = row[name].slice();
    if (bytes.length === 0) return false;
    const index = bytes.length - 1 - (at % bytes.length);
    bytes[index] = (bytes[index] ?? 0) ^ 0x40;
    this.#rows.set(id, { ...row, [name]: bytes });
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
      rows: new Map(this.#rows),
      aside: this.#aside.image(),
      meta: new Map(this.#meta),
      sequence: this.#sequence,
    };
  }

  /** The platter is as it was when the image was taken. REQUIRES: no process has it open. */
  putBack(image: DiskImage): void {
    this.lose();
    for (const [id, row] of image.rows) {
      this.#rows.set(id, row);
      this.#list(row.namespace, row.key);
      this.#bytes += rowBytes(row);
    }
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
    this.#rows = new Map();
    this.#keys = new Map();
    this.#aside.lose();
    this.#restored.lose();
    this.#meta = new Map();
    this.#bytes = 0;
    this.#sequence = 0;
    this.#clean = true;
    this.#unsynced = [];
  }

  /** As restored-tables.ts does. */
  holdRestored(): void {
    this.#restored.hold(this.rows(), this.#aside.rows());
    this.#rows = new Map();
    this.#keys = new Map();
    this.#aside.lose();
    this.#bytes = 0;
    this.#meta.set(RESTORED_META, new Uint8Array([RESTORED_MARK + 1]));
  }

  /** Every row, those of an open transaction included, in no particular order, for the checkers. */
  rows(): readonly DiskRow[] {
    return [...this.#rows.values()];
  }

  /** Every row kept aside, in no particular order. */
  asideRows(): readonly AsideRow[] {
    return this.#aside.rows();
  }

  row(namespace: number, key: Uint8Array): DiskRow | undefined {
    return this.#rows.get(rowId(namespace, key));
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
          rows: new Map(),
          meta: new Map(),
          bytes: this.#bytes,
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
        return this.#rows.get(rowId(namespace, key));
      },
      put: (row) => {
        mine();
        this.#put(row);
      },
      delete: (namespace, key) => {
        mine();
        this.#delete(namespace, key);
      },
      scan: (range) => {
        mine();
        return this.#scan(range);
      },
      scanPlaces: (scan) => {
        mine();
        return this.#scanPlaces(scan);
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
      usage: () => ({ rows: this.#rows.size, bytes: this.#bytes }),
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
    for (const [id, row] of undo.rows) {
      const now = this.#rows.get(id);
      if (row === undefined) {
        this.#rows.delete(id);
        if (now !== undefined) this.#unlist(now.namespace, now.key);
      } else {
        this.#rows.set(id, row);
        if (now === undefined) this.#list(row.namespace, row.key);
      }
    }
    for (const [name, value] of undo.meta) {
      if (value === undefined) this.#meta.delete(name);
      else this.#meta.set(name, value);
    }
    this.#aside.rolledBack();
    this.#restored.rolledBack();
    this.#bytes = undo.bytes;
    this.#sequence = undo.sequence;
    this.#undo = null;
  }

  #put(row: DiskRow): void {
    const id = rowId(row.namespace, row.key);
    const old = this.#rows.get(id);
    this.#remember(id, old);
    // As with SQLite, an overwrite leaves the row where it stands.
    this.#rows.set(id, old === undefined ? row : { ...row, place: old.place });
    if (old === undefined) this.#list(row.namespace, row.key);
    this.#bytes += rowBytes(row) - (old === undefined ? 0 : rowBytes(old));
    this.#sequence = Math.max(this.#sequence, row.sequence);
  }

  #delete(namespace: number, key: Uint8Array): void {
    const id = rowId(namespace, key);
    const old = this.#rows.get(id);
    this.#remember(id, old);
    if (old === undefined) return;
    this.#rows.delete(id);
    this.#unlist(namespace, key);
    this.#bytes -= rowBytes(old);
  }

  #remember(id: string, old: DiskRow | undefined): void {
    if (this.#undo === null) throw new Error("Cannot write: no transaction is open");
    if (!this.#undo.rows.has(id)) this.#undo.rows.set(id, old);
  }

  #setMeta(name: string, value: Uint8Array | undefined): void {
    if (this.#undo === null) throw new Error("Cannot write: no transaction is open");
    if (!this.#undo.meta.has(name)) this.#undo.meta.set(name, this.#meta.get(name));
    if (value === undefined) this.#meta.delete(name);
    else this.#meta.set(name, value);
  }

  #scan(range: DiskScan): DiskRowHead[] {
    const keys = this.#keys.get(range.namespace) ?? [];
    const from = lowerBound(keys, range.start);
    const to = range.end === null ? keys.length : Math.max(from, lowerBound(keys, range.end));
    const found = range.reverse
      ? keys.slice(Math.max(from, to - range.limit), to).reverse()
      : keys.slice(from, Math.min(to, from + range.limit));
    return found.map((key) => {
      const { body: _, ...head } = this.#rows.get(rowId(range.namespace, key)) as DiskRow;
      return head;
    });
  }

  #scanPlaces({ from, to, after, limit }: PlaceScan): DiskRowHead[] {
    return this.rows()
      .filter(({ place }) => place >= from && place < to)
      .filter((row) => after === null || comparePlaces(cursorOf(row), after) > 0)
      .sort((a, b) => comparePlaces(cursorOf(a), cursorOf(b)))
      .slice(0, limit)
      .map(({ body: _, ...head }) => head);
  }

  #requireOpen(): void {
    if (this.#undo === null) throw new Error("Cannot write: no transaction is open");
  }

  #list(namespace: number, key: Uint8Array): void {
    const keys = this.#keys.get(namespace);
    if (keys === undefined) this.#keys.set(namespace, [key]);
    else keys.splice(lowerBound(keys, key), 0, key);
  }

  #unlist(namespace: number, key: Uint8Array): void {
    const keys = this.#keys.get(namespace) ?? [];
    keys.splice(lowerBound(keys, key), 1);
  }
}

function rowId(namespace: number, key: Uint8Array): string {
  return `${namespace}/${byteString(key)}`;
}

function rowBytes(row: DiskRow): number {
  return row.head.length + row.body.length;
}

/** The index of the first key that is not below `key`. */
function lowerBound(keys: readonly Uint8Array[], key: Uint8Array): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes(keys[middle] as Uint8Array, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
