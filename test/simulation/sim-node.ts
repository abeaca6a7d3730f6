/** One node of the world: what outlives its processes (disk, identity, boot counter) and the process that runs now. */
import { decode } from "@msgpack/msgpack";
import { decodeLayout } from "../../src/cluster/layout-codec.ts";
import { type ClusterId, type NodeId, parseNodeId } from "../../src/core/ids.ts";
import type { DiskRow } from "../../src/env/disk.ts";
import { type DiskImage, SimDisk } from "./sim-disk.ts";
import type { SimProcess } from "./sim-process.ts";

const ACTOR_BYTES = 16;

/** Where a database keeps what it knows of a node's actor. */
export function generationMeta(node: SimNode): string {
  return `actor-of/${node.id}`;
}

export class SimNode {
  readonly index: number;
  readonly id: NodeId;
  readonly region: number;
  readonly role: "storage" | "gateway";
  readonly disk: SimDisk;
  clusterId: ClusterId | undefined;
  incarnation = 0;
  /** The database was lost and no process has found that out yet. */
  forgotten = false;
  /** Its disk was set back to a snapshot, and it may still be told. */
  isSetBack = false;
  process: SimProcess | null = null;
  /** Copies of the disk that somebody took. */
  readonly backups: DiskImage[] = [];
  #jumpedMs = 0;

  /** `lazy`: its commits are not synced. */
  constructor(index: number, region: number, role: "storage" | "gateway", lazy: boolean) {
    this.index = index;
    this.region = region;
    this.role = role;
    this.disk = new SimDisk(lazy);
    // In no order that has to do with the number: placement and tie-breaks go by id.
    const text = ((index * 0x9e3779b1) >>> 0).toString(16).padStart(8, "0");
    this.id = parseNodeId(text.repeat(3) + index.toString(16).padStart(8, "0"));
  }

  get alive(): boolean {
    return this.process?.alive === true;
  }

  /** A lost database that has not heard enough of the others yet; false for one that is down and was whole. */
  get inDoubt(): boolean {
    return this.forgotten || this.disk.meta("in-doubt") !== undefined;
  }

  /** It has forgotten promises and has no say until the layout after the one it found: as an elector it is dead. */
  get abstains(): boolean {
    const through = this.disk.meta("layout/abstains");
    const document = this.disk.meta("layout/document");
    if (document === undefined || this.disk.meta("layout/recovering") !== undefined) return true;
    if (through === undefined) return false;
    return (decode(through) as number) > decodeLayout(document).version;
  }

  /** Of which generation this node's database takes that one's to be (src/replication/actor-book.ts). */
  generationOf(other: SimNode): number {
    const entry = this.disk.meta(generationMeta(other));
    if (entry === undefined) return 0;
    const view = new DataView(entry.buffer, entry.byteOffset, entry.byteLength);
    return view.getUint32(ACTOR_BYTES) * 2 ** 32 + view.getUint32(ACTOR_BYTES + 4);
  }

  /** By how much the machine's wall clock was set forwards, all in all: processes come and go under it. */
  get jumpedMs(): number {
    return this.#jumpedMs;
  }

  jump(byMs: number): void {
    this.#jumpedMs += byMs;
    this.process?.clock.jump(byMs);
  }

  rowOf(key: { readonly namespace: number; readonly bytes: Uint8Array }): DiskRow | undefined {
    return this.disk.row(key.namespace, key.bytes);
  }
}
