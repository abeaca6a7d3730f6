/**
 * The table that an assignment is worked out on: who owns which partition, how much of its share each node holds, and whether
 * one more owner of a partition still leaves room to obey the policy.
 *
 * The test is one sum. A zone *needs* the larger of what it holds and its lower bound; a region the larger of its lower bound and
 * what its zones need; a partition what its regions need. A set of owners can be completed exactly if no bound from above is passed
 * and the partition needs no more than the policy's copies: then the free slots are at least the unmet lower bounds. Such sets
 * are the independent sets of a matroid (bounds on nested groups), which is why owners may be taken greedily, one by one, and
 * why chains of single swaps reach every balanced assignment (placement-chain.ts).
 */
import { assert } from "./assert.ts";
import type { Shape, ShapeRegion, ShapeZone } from "./placement-shape.ts";

export const NOBODY = -1;

export class Board {
  readonly shape: Shape;
  readonly partitions: number;
  /** Slots owned, by node. */
  readonly loads: Int32Array;
  /** Owners of partition p: rows[p * copies] .. rows[p * copies + held[p] - 1], in no order. */
  readonly rows: Int32Array;
  readonly held: Uint8Array;
  readonly #zoneHeld: Uint8Array;
  readonly #regionNeed: Uint8Array;
  readonly #need: Uint8Array;

  constructor(shape: Shape, partitions: number) {
    this.shape = shape;
    this.partitions = partitions;
    this.loads = new Int32Array(shape.members.length);
    this.rows = new Int32Array(partitions * shape.copies).fill(NOBODY);
    this.held = new Uint8Array(partitions);
    this.#zoneHeld = new Uint8Array(partitions * shape.zones.length);
    this.#regionNeed = new Uint8Array(partitions * shape.regions.length);
    this.#need = new Uint8Array(partitions);
    let need = 0;
    for (const [r, region] of shape.regions.entries()) {
      need += region.low;
      let zonesNeed = 0;
      for (const zone of region.zones) zonesNeed += (shape.zones[zone] as ShapeZone).low;
      for (let p = 0; p < partitions; p++)
        this.#regionNeed[p * shape.regions.length + r] = zonesNeed;
    }
    this.#need.fill(need);
  }

  owns(partition: number, node: number): boolean {
    const start = partition * this.shape.copies;
    const end = start + (this.held[partition] as number);
    for (let i = start; i < end; i++) if (this.rows[i] === node) return true;
    return false;
  }

  isFull(partition: number): boolean {
    return this.held[partition] === this.shape.copies;
  }

  /** Whether the node, which does not own the partition, may join its owners without making the policy unreachable. */
  fits(partition: number, node: number): boolean {
    const { shape } = this;
    const z = shape.zoneOf[node] as number;
    if (z === NOBODY) return false;
    const zone = shape.zones[z] as ShapeZone;
    const zoneHeld = this.#zoneHeld[partition * shape.zones.length + z] as number;
    if (zoneHeld >= zone.high) return false;
    if (zoneHeld < zone.low) return true;
    const region = shape.regions[zone.region] as ShapeRegion;
    const regionNeed = this.#regionNeed[partition * shape.regions.length + zone.region] as number;
    if (regionNeed < region.low) return true;
    return regionNeed < region.high && (this.#need[partition] as number) < shape.copies;
  }

  place(partition: number, node: number): void {
    const held = this.held[partition] as number;
    this.rows[partition * this.shape.copies + held] = node;
    this.held[partition] = held + 1;
    this.loads[node] = (this.loads[node] as number) + 1;
    this.#count(partition, node, 1);
  }

  remove(partition: number, node: number): void {
    const start = partition * this.shape.copies;
    const last = start + (this.held[partition] as number) - 1;
    let at = start;
    while (at < last && this.rows[at] !== node) at++;
    assert(this.rows[at] === node, "who is removed owns the partition");
    this.rows[at] = this.rows[last] as number;
    this.rows[last] = NOBODY;
    this.held[partition] = (this.held[partition] as number) - 1;
    this.loads[node] = (this.loads[node] as number) - 1;
    this.#count(partition, node, -1);
  }

  /** Whether `to` may take the place of the owner `from`. */
  canSwap(partition: number, from: number, to: number): boolean {
    if (this.owns(partition, to)) return false;
    if (this.shape.zoneOf[from] === this.shape.zoneOf[to]) return true;
    this.#count(partition, from, -1);
    const fits = this.fits(partition, to);
    this.#count(partition, from, 1);
    return fits;
  }

  swap(partition: number, from: number, to: number): void {
    this.remove(partition, from);
    this.place(partition, to);
  }

  /** Keeps the needs of zone, region and partition while the zone's count goes up or down by one. */
  #count(partition: number, node: number, step: 1 | -1): void {
    const { shape } = this;
    const z = shape.zoneOf[node] as number;
    const zone = shape.zones[z] as ShapeZone;
    const region = shape.regions[zone.region] as ShapeRegion;
    const zoneAt = partition * shape.zones.length + z;
    const before = this.#zoneHeld[zoneAt] as number;
    this.#zoneHeld[zoneAt] = before + step;
    if (Math.max(before, before + step) <= zone.low) return;
    const regionAt = partition * shape.regions.length + zone.region;
    const needBefore = this.#regionNeed[regionAt] as number;
    this.#regionNeed[regionAt] = needBefore + step;
    if (Math.max(needBefore, needBefore + step) <= region.low) return;
    this.#need[partition] = (this.#need[partition] as number) + step;
  }
}
