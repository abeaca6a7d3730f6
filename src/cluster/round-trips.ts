import type { NodeId } from "../core/ids.ts";

/** Weight of the newest observation in the smoothed time (as in TCP, RFC 6298). */
const GAIN = 1 / 8;
/** Guesses before the first answer, in ms: only their order matters. */
const SAME_ZONE_MS = 1;
const SAME_REGION_MS = 2;
const ELSEWHERE_MS = 50;

/** Smoothed round-trip times to peers, in ms. */
export class RoundTrips {
  readonly #smoothed = new Map<NodeId, number>();

  observe(node: NodeId, ms: number): void {
    const before = this.#smoothed.get(node);
    this.#smoothed.set(node, before === undefined ? ms : before + (ms - before) * GAIN);
  }

  of(node: NodeId, sameRegion: boolean, sameZone: boolean): number {
    const measured = this.#smoothed.get(node);
    if (measured !== undefined) return measured;
    if (!sameRegion) return ELSEWHERE_MS;
    return sameZone ? SAME_ZONE_MS : SAME_REGION_MS;
  }
}
