import type { Hash64 } from "../core/hasher.ts";
import type { PartitionId } from "../core/ids.ts";
import { RING_PLACES } from "../core/key.ts";
import { powerOfTwo } from "../core/power-of-two.ts";

/** 1,024 leaves of 16 bytes for each unit: with a million rows in 1,024 units a leaf holds one row. */
const LEAF_BITS = 10;
/** Above this many partitions units get fewer leaves, so that all units of a policy on one node take 64 MiB at most. */
const PARTITION_BITS_WIDE = 12;
const LEAF_BITS_NARROW = 8;
const TWO_POW_20 = 2 ** 20;

/** How the ring is cut: into Q partitions, each into groups, each into leaves. The same on all nodes of a cluster. */
export class TreeShape {
  readonly partitions: number;
  readonly partitionBits: number;
  readonly leafBits: number;
  /** Leaves of a unit. */
  readonly leaves: number;
  /** A unit has as many groups of leaves as a group has leaves. */
  readonly fanOut: number;

  /** REQUIRES: Q is a power of two. */
  constructor(partitions: number) {
    this.partitions = partitions;
    this.partitionBits = 31 - Math.clz32(partitions);
    this.leafBits = this.partitionBits <= PARTITION_BITS_WIDE ? LEAF_BITS : LEAF_BITS_NARROW;
    this.leaves = powerOfTwo(this.leafBits);
    this.fanOut = powerOfTwo(this.leafBits / 2);
  }

  partitionOf(hash: Hash64): PartitionId {
    return (hash.hi >>> (32 - this.partitionBits)) as PartitionId;
  }

  leafOf(hash: Hash64): number {
    return (hash.hi << this.partitionBits) >>> (32 - this.leafBits);
  }

  /** The upper half of the hash of a key in that place: all that partitions and leaves go by. */
  hashAt(place: number): Hash64 {
    return { hi: Math.floor(place / TWO_POW_20), lo: 0 };
  }

  /** Places of the partition: from <= place < to. */
  partitionRange(partition: number): { readonly from: number; readonly to: number } {
    const width = RING_PLACES / this.partitions;
    return { from: partition * width, to: (partition + 1) * width };
  }

  /** How many of the highest bits of a place all rows of one leaf have in common. */
  get leafPlaceBits(): number {
    return this.partitionBits + this.leafBits;
  }

  leafStart(partition: number, leaf: number): number {
    return (partition * this.leaves + leaf) * (RING_PLACES / this.partitions / this.leaves);
  }
}
