/** What every part of replication is handed. */

import type { Membership } from "../cluster/membership.ts";
import type { PeerChannel } from "../cluster/peer-channel.ts";
import type { HybridClock } from "../core/clock.ts";
import type { NodeId, RegionId } from "../core/ids.ts";
import type { Env } from "../env/env.ts";
import type { RecordStore } from "../storage/record-store.ts";
import type { ActorBook } from "./actor-book.ts";
import type { Counters } from "./counters.ts";
import type { Doubt } from "./doubt.ts";
import type { Hints } from "./hints.ts";
import type { Replica } from "./replica.ts";
import type { Sweeper } from "./sweeper.ts";

export interface Replication {
  readonly env: Env;
  readonly self: NodeId;
  readonly region: RegionId;
  readonly membership: Membership;
  readonly channel: PeerChannel;
  readonly store: RecordStore;
  readonly replica: Replica;
  readonly clock: HybridClock;
  readonly sweeper: Sweeper;
  readonly counters: Counters;
  readonly doubt: Doubt;
  /** D, see MESSAGE_LIFE_MS: what was heard from others longer ago must not be merged anywhere any more. */
  readonly lifeMs: number;
  readonly hints: Hints;
  readonly actors: ActorBook;
  /** This node's clock is far from its peers': another home should stamp what is put, if one can be had. */
  readonly clockIsOff: () => boolean;
  /** Nobody was asked yet whether this database is a copy of another, which mints the dots that it would mint. */
  readonly mayBeCopy: () => boolean;
  /** How long a home may take before another one is asked as well: max(2 x its p99, 150 ms). */
  readonly patienceMs: (node: NodeId) => number;
  /** Adopts the newer document that a `stale_layout` refusal carries. Never throws. */
  readonly adoptRefusal: (detail: unknown) => void;
  /** Asks `holder`, who is known to have one, or else some peers for a newer document; resolves when that was tried. */
  readonly refreshLayout: (holder?: NodeId) => Promise<void>;
}
