import type { WireFields } from "../cluster/peer-channel.ts";
import { asFields, readBytes, readString } from "../cluster/wire-read.ts";
import type { PartitionId } from "../core/ids.ts";
import { PARTITIONS_MAX, POLICIES_MAX } from "../core/limits.ts";

const POLICY_CHARACTERS_MAX = 256;

/** A set of units (placement policy, partition), as one bit for each partition. */
export class UnitSet {
  readonly #bits = new Map<string, Uint8Array>();

  get isEmpty(): boolean {
    return this.#bits.size === 0;
  }

  add(policy: string, partition: PartitionId, partitions: number): void {
    let bits = this.#bits.get(policy);
    if (bits === undefined) {
      bits = new Uint8Array(Math.ceil(partitions / 8));
      this.#bits.set(policy, bits);
    }
    bits[partition >> 3] = (bits[partition >> 3] ?? 0) | (1 << (partition & 7));
  }

  has(policy: string, partition: PartitionId): boolean {
    return (((this.#bits.get(policy)?.[partition >> 3] ?? 0) >> (partition & 7)) & 1) === 1;
  }

  /** [policy, bits, policy, bits, ...] */
  encode(): WireFields {
    return [...this.#bits].flat();
  }

  /** @throws BadMessageError */
  static decode(fields: WireFields, index: number, name: string): UnitSet {
    const flat = asFields(fields[index], name, 2 * POLICIES_MAX);
    const set = new UnitSet();
    for (let i = 0; i < flat.length; i += 2) {
      const policy = readString(flat, i, name, POLICY_CHARACTERS_MAX);
      set.#bits.set(policy, readBytes(flat, i + 1, name, PARTITIONS_MAX / 8).slice());
    }
    return set;
  }
}
