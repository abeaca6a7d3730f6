/**
 * Reap horizons: for each unit the highest stamp that was ever reaped in it. Durable before anything is forgotten, kept by all
 * owners, merged by the higher. It is what tells a restored row that was deleted and forgotten since from one that only the
 * backup still has (core/restored.ts).
 */
import type { ActiveLayout } from "../core/active-layout.ts";
import type { PartitionId } from "../core/ids.ts";
import type { Stamp } from "../core/version.ts";
import type { MetaStore, MetaValues } from "../env/meta-store.ts";

/** Followed by the partition, a slash and the policy's name. The value: 8 bytes, big-endian. */
const META_PREFIX = "reap-horizon/";
const HORIZON_BYTES = 8;
const TWO_POW_32 = 2 ** 32;

export interface Horizon {
  readonly policy: string;
  readonly partition: PartitionId;
  readonly stamp: Stamp;
}

export class Horizons {
  readonly #meta: MetaStore;
  readonly #known = new Map<string, Horizon>();
  /** How often any has risen here since the start. */
  #raises = 0;
  /** The owners of this layout all know what was known here after so many raises. */
  #shared: { readonly layout: ActiveLayout; readonly raises: number } | null = null;

  constructor(meta: MetaStore) {
    this.#meta = meta;
    for (const name of meta.names(META_PREFIX)) {
      const [number = "", ...policy] = name.slice(META_PREFIX.length).split("/");
      const partition = Number(number) as PartitionId;
      const stamp = decode(meta.get(name));
      this.#known.set(name, { policy: policy.join("/"), partition, stamp });
    }
  }

  /** 0 where nothing was reaped. */
  of(policy: string, partition: PartitionId): Stamp {
    return this.#known.get(nameOf(policy, partition))?.stamp ?? 0;
  }

  all(): readonly Horizon[] {
    return [...this.#known.values()];
  }

  get raises(): number {
    return this.#raises;
  }

  /** Every other owner was told and asked under this layout, and nothing has risen since. */
  areShared(layout: ActiveLayout): boolean {
    return this.#shared?.layout === layout && this.#shared.raises === this.#raises;
  }

  /** `raises`: of the moment in which what the owners were told was read. */
  noteShared(layout: ActiveLayout, raises: number): void {
    this.#shared = { layout, raises };
  }

  /** All in one commit: each costs a sync of the disk. Durable when it returns. @throws DiskFullError */
  raise(told: readonly Horizon[]): void {
    this.raiseWith(told, (values) => this.#meta.setAll(values));
  }

  /** `commit` makes what it is given durable, with what else it does, before it returns, or throws. */
  raiseWith<T>(told: readonly Horizon[], commit: (values: MetaValues) => T): T {
    const risen = new Map<string, Horizon>();
    for (const { policy, partition, stamp } of told) {
      const name = nameOf(policy, partition);
      const before = risen.get(name)?.stamp ?? this.of(policy, partition);
      if (stamp > before) risen.set(name, { policy, partition, stamp });
    }
    const done = commit(new Map([...risen].map(([name, { stamp }]) => [name, encode(stamp)])));
    for (const [name, horizon] of risen) this.#known.set(name, horizon);
    if (risen.size > 0) this.#raises++;
    return done;
  }
}

function nameOf(policy: string, partition: PartitionId): string {
  return `${META_PREFIX}${partition}/${policy}`;
}

function encode(stamp: Stamp): Uint8Array {
  const bytes = new Uint8Array(HORIZON_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, Math.floor(stamp / TWO_POW_32));
  view.setUint32(4, stamp % TWO_POW_32);
  return bytes;
}

/** What cannot be read is above everything: it can only keep a restored row out that might have been let in. */
function decode(bytes: Uint8Array | undefined): Stamp {
  if (bytes?.length !== HORIZON_BYTES) return Number.MAX_SAFE_INTEGER;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return view.getUint32(0) * TWO_POW_32 + view.getUint32(4);
}
