import type { Key } from "../core/key.ts";
import type { PlacedRow, RecordStore, RowWatcher } from "./record-store.ts";
import type { RowDigest, RowDigester } from "./row-digest.ts";
import { RangeScan, TableScan, type TreeScan } from "./tree-scan.ts";
import { TreeShape } from "./tree-shape.ts";
import { LOW_BYTES, UnitTree, ZERO_DIGEST } from "./unit-tree.ts";

/** What the floors above know of the ring, as far as trees need it. */
export interface TreeWorld {
  /** Another one than before: namespaces may have gone, or have another policy. */
  readonly version: number;
  /** Q; it never changes in a cluster. */
  readonly partitions: number;
  /** The policy of a namespace that exists. */
  policyOf(namespace: number): string | undefined;
  /** Ids of the namespaces that exist, rising. */
  namespaces(): readonly number[];
}

export interface TreesOptions {
  readonly store: Pick<RecordStore, "scanHeads" | "scanPlaces" | "watchRows">;
  readonly digester: RowDigester;
  /** Null until there is a layout: until then there are no rows either. */
  readonly world: () => TreeWorld | null;
  /** Told of each row that a scan for a tree could not trust. It is in no tree. */
  readonly onUnreadable: (row: {
    readonly namespace: number;
    readonly keyBytes: Uint8Array;
  }) => void;
}

type Units = Map<string, (UnitTree | undefined)[]>;

/** Rows that could not be read, by name, with the partition in which the scan met them: they are in no sum. */
type LeftOut = Map<string, number>;

/** A scan of rows into trees of its own, which replace the kept ones when it has ended. */
interface Build {
  readonly scan: TreeScan;
  /** Null for all. */
  readonly partition: number | null;
  readonly units: Units;
  /** Partitions in which a row was replaced that could not be read: whether it is in the sums is not known. */
  readonly broken: Set<number>;
  readonly unreadable: Set<number>;
  readonly leftOut: LeftOut;
  /** Whether the kept trees must be the same. */
  readonly compares: boolean;
}

/**
 * The Merkle trees of all units of which this node has rows, in memory, always as the rows are, uncommitted ones included:
 * whoever lets a sum leave the node waits for the commit. Built by a scan in the background while writes go on, since a
 * process that ends takes them with it.
 */
export class Trees implements RowWatcher {
  /** Units whose kept tree differed from the one made anew from their rows. Anything but 0 is a bug, or memory that rots. */
  mismatches = 0;
  rowsScanned = 0;

  readonly #options: TreesOptions;
  readonly #policies = new Map<number, string>();
  #shape: TreeShape | null = null;
  #units: Units = new Map();
  /** False until the first scan of everything has ended. */
  #built = false;
  /** Partitions whose sums cannot be trusted any more and wait for a scan of their own. */
  #broken = new Set<number>();
  #leftOut: LeftOut = new Map();
  #build: Build | null = null;
  #onWork: () => void = () => undefined;
  /** Of the world that #policies was last compared with. */
  #version = 0;

  constructor(options: TreesOptions) {
    this.#options = options;
    options.store.watchRows(this);
  }

  /** Told whenever something is to be built that was built before. A new layout is for `step` to notice. */
  watchWork(listener: () => void): void {
    this.#onWork = listener;
  }

  /** Null until there is a layout. */
  get shape(): TreeShape | null {
    if (this.#shape === null) {
      const world = this.#options.world();
      if (world !== null) this.#shape = new TreeShape(world.partitions);
    }
    return this.#shape;
  }

  /** The sums of the partition may be compared with those of others. */
  isBuilt(partition: number): boolean {
    return this.#built && !this.#broken.has(partition);
  }

  /** What status shows. */
  get state(): "building" | "built" {
    return this.#built && this.#broken.size === 0 ? "built" : "building";
  }

  /** Bytes of memory that the kept sums take. */
  get bytes(): number {
    let bytes = 0;
    for (const units of this.#units.values()) {
      for (const unit of units) bytes += unit?.bytes ?? 0;
    }
    return bytes;
  }

  /** REQUIRES isBuilt(partition). */
  root(policy: string, partition: number): RowDigest {
    return this.#units.get(policy)?.[partition]?.root() ?? ZERO_DIGEST;
  }

  /** The sum of a range of the unit's leaves. REQUIRES isBuilt(partition). */
  sum(policy: string, partition: number, fromLeaf: number, toLeaf: number): RowDigest {
    return this.#units.get(policy)?.[partition]?.sum(fromLeaf, toLeaf) ?? ZERO_DIGEST;
  }

  /** See UnitTree.lowSums. REQUIRES isBuilt(partition). */
  lowSums(
    policy: string,
    partition: number,
    from: number,
    count: number,
    width: number,
  ): Uint8Array {
    const unit = this.#units.get(policy)?.[partition];
    return unit?.lowSums(from, count, width) ?? new Uint8Array(count * LOW_BYTES);
  }

  digestOf(row: Extract<PlacedRow, { state: "record" }>): RowDigest {
    return this.#options.digester.digest(row.namespace, row.keyBytes, row.head);
  }

  /** The policy whose trees the namespace's rows are in; undefined when there is no such namespace. */
  policyOf(namespace: number): string | undefined {
    const known = this.#policies.get(namespace);
    if (known !== undefined) return known;
    const policy = this.#options.world()?.policyOf(namespace);
    if (policy !== undefined) this.#policies.set(namespace, policy);
    return policy;
  }

  changed(key: Key, before: RowDigest | null, after: RowDigest | null): void {
    const shape = this.#shape;
    if (shape === null) return;
    const partition = shape.partitionOf(key.hash);
    const isBuilt = this.isBuilt(partition);
    const isInBuild = this.#buildFollows(partition, key);
    if (!isBuilt && !isInBuild) return;
    // A good copy in the cache knows what the row was, but that is not in the sums.
    if (this.#wasLeftOut(key)) {
      this.lost(key);
      return;
    }
    const policy = this.policyOf(key.namespace);
    if (policy === undefined) return;
    const leaf = shape.leafOf(key.hash);
    if (isBuilt) replace(unitOf(this.#units, shape, policy, partition), leaf, before, after);
    if (isInBuild && this.#build !== null) {
      replace(unitOf(this.#build.units, shape, policy, partition), leaf, before, after);
    }
  }

  lost(key: Key): void {
    const shape = this.#shape;
    if (shape === null) return;
    const partition = shape.partitionOf(key.hash);
    if (this.#built) this.#broken.add(partition);
    if (this.#buildFollows(partition, key)) this.#build?.broken.add(partition);
    this.#onWork();
  }

  /** Answers once: then the partition is built anew, with the row as it is by now. */
  #wasLeftOut(key: Key): boolean {
    const ofBuild = this.#build?.leftOut;
    if (this.#leftOut.size === 0 && (ofBuild === undefined || ofBuild.size === 0)) return false;
    const name = nameOf(key.namespace, key.bytes);
    const wasKept = this.#leftOut.delete(name);
    return ofBuild?.delete(name) === true || wasKept;
  }

  /** Makes the trees anew from the rows and compares: those that were kept must be the same. A scan under way is given up. */
  startScrub(): void {
    this.#build = this.#newBuild(null, true);
    this.#onWork();
  }

  get isBuilding(): boolean {
    return this.#build !== null;
  }

  /**
   * Builds what is missing, by at most `limit` rows. False when there is nothing to do.
   * @throws SqliteError when pages cannot be read; the scan then begins anew.
   */
  step(limit: number): boolean {
    const world = this.#options.world();
    if (world === null || this.shape === null) return false;
    if (world.version !== this.#version) this.#follow(world);
    this.#build ??= this.#nextBuild();
    const build = this.#build;
    if (build === null) return false;
    let rows: readonly PlacedRow[] | null;
    try {
      rows = build.scan.next(limit);
    } catch (error) {
      this.#build = null;
      throw error;
    }
    if (rows === null) this.#finish(build);
    else for (const row of rows) this.#take(build, row);
    return true;
  }

  #nextBuild(): Build | null {
    if (!this.#built) return this.#newBuild(null, false);
    for (const partition of this.#broken) return this.#newBuild(partition, false);
    return null;
  }

  /** The rows of a namespace that is gone, or has moved to another policy, are to leave the sums they are in. */
  #follow(world: TreeWorld): void {
    this.#version = world.version;
    let changed = false;
    for (const [namespace, policy] of this.#policies) {
      if (world.policyOf(namespace) === policy) continue;
      this.#policies.delete(namespace);
      changed = true;
    }
    if (changed) this.#build = this.#newBuild(null, false);
  }

  #newBuild(partition: number | null, compares: boolean): Build {
    const { store, world } = this.#options;
    const scan =
      partition === null
        ? new TableScan(store, () => world()?.namespaces() ?? [])
        : new RangeScan(store, (this.#shape as TreeShape).partitionRange(partition));
    const [broken, unreadable] = [new Set<number>(), new Set<number>()];
    return { scan, partition, units: new Map(), broken, unreadable, leftOut: new Map(), compares };
  }

  #take(build: Build, row: PlacedRow): void {
    this.rowsScanned++;
    const shape = this.#shape as TreeShape;
    const hash = shape.hashAt(row.place);
    if (row.state === "unknown") {
      // Its place may be what rots; then the partition it is missing from shows a difference that is no bug.
      const partition = shape.partitionOf(hash);
      build.unreadable.add(partition);
      build.leftOut.set(nameOf(row.namespace, row.keyBytes), partition);
      this.#options.onUnreadable(row);
      return;
    }
    const policy = this.policyOf(row.namespace);
    if (policy === undefined) return;
    const unit = unitOf(build.units, shape, policy, shape.partitionOf(hash));
    unit.add(shape.leafOf(hash), this.digestOf(row));
  }

  /** Rows written behind the scan are its own business: it follows them from then on. */
  #buildFollows(partition: number, key: Key): boolean {
    const build = this.#build;
    if (build === null || (build.partition !== null && build.partition !== partition)) return false;
    return build.scan.hasPassed(key);
  }

  #finish(build: Build): void {
    this.#build = null;
    this.#compare(build);
    const { partition } = build;
    if (partition === null) {
      this.#units = build.units;
      this.#broken = build.broken;
      this.#leftOut = build.leftOut;
      this.#built = true;
      return;
    }
    for (const units of this.#units.values()) units[partition] = undefined;
    for (const [policy, units] of build.units) {
      const unit = units[partition];
      if (unit !== undefined) unitsOf(this.#units, policy)[partition] = unit;
    }
    for (const [name, at] of this.#leftOut) if (at === partition) this.#leftOut.delete(name);
    for (const [name, at] of build.leftOut) this.#leftOut.set(name, at);
    if (!build.broken.has(partition)) this.#broken.delete(partition);
  }

  #compare(build: Build): void {
    if (!build.compares || !this.#built || build.unreadable.size > 0) return;
    for (const policy of new Set([...this.#units.keys(), ...build.units.keys()])) {
      for (let p = 0; p < (this.#shape as TreeShape).partitions; p++) {
        if (!this.isBuilt(p) || build.broken.has(p)) continue;
        const kept = this.#units.get(policy)?.[p];
        const fresh = build.units.get(policy)?.[p];
        if (!areEqual(kept, fresh)) this.mismatches++;
      }
    }
  }
}

function nameOf(namespace: number, keyBytes: Uint8Array): string {
  return `${namespace}/${String.fromCharCode(...keyBytes)}`;
}

function areEqual(a: UnitTree | undefined, b: UnitTree | undefined): boolean {
  if (a === undefined) return b === undefined || b.isZero;
  return b === undefined ? a.isZero : a.equals(b);
}

function replace(
  unit: UnitTree,
  leaf: number,
  before: RowDigest | null,
  after: RowDigest | null,
): void {
  if (before !== null) unit.subtract(leaf, before);
  if (after !== null) unit.add(leaf, after);
}

function unitsOf(units: Units, policy: string): (UnitTree | undefined)[] {
  let ofPolicy = units.get(policy);
  if (ofPolicy === undefined) {
    ofPolicy = [];
    units.set(policy, ofPolicy);
  }
  return ofPolicy;
}

function unitOf(units: Units, shape: TreeShape, policy: string, partition: number): UnitTree {
  const ofPolicy = unitsOf(units, policy);
  let unit = ofPolicy[partition];
  if (unit === undefined) {
    unit = new UnitTree(shape.leaves);
    ofPolicy[partition] = unit;
  }
  return unit;
}
