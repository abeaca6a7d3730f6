/** What membership is given by the composition root. */
import type { ClusterId, NodeId } from "../core/ids.ts";
import type { Env } from "../env/env.ts";
import type { MetaStore } from "../env/meta-store.ts";
import type { MemberEntry } from "./member-entry.ts";
import type { PeerChannel } from "./peer-channel.ts";

/** The part of the node's configuration that membership reads (node-config.ts has the words for users). */
export interface ClusterConfig {
  readonly region: string;
  readonly zone: string;
  readonly weight: number;
  readonly role: "storage" | "gateway";
  readonly url: string;
  readonly peerUrl: string;
  readonly join: readonly string[];
  readonly bootstrapExpect: number;
  readonly partitions: number;
  readonly copies: number;
  readonly gossipIntervalMs: number;
}

export interface ClusterOptions {
  readonly env: Env;
  /** Every `set` is durable (FULL) before it returns, whatever the durability of rows. */
  readonly meta: MetaStore;
  readonly channel: PeerChannel;
  readonly self: NodeId;
  /** From the data directory; undefined while the node belongs to no cluster. */
  readonly clusterId: ClusterId | undefined;
  /** How often this directory was started, as far as the caller knows. */
  readonly incarnation: number;
  readonly config: ClusterConfig;
  readonly load: () => Pick<MemberEntry, "keys" | "bytes" | "hints">;
  /** Uncommitted rows too. */
  readonly hasRows: () => boolean;
  /**
   * This database may have forgotten promises: it was lost, restored, damaged or cloned. An unclean stop alone forgets
   * none, because they are always committed with FULL.
   */
  readonly actorIsNew: boolean;
}
