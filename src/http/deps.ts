/** What http is built from. Everything of the node that it may touch stands here. */
import type { Membership } from "../cluster/membership.ts";
import type { NamespaceSettingsStore } from "../cluster/namespace-settings.ts";
import type { MetricSource } from "../core/metrics.ts";
import type { Env } from "../env/env.ts";
import type { AntiEntropyView } from "../replication/anti-entropy-figures.ts";
import type { QuarantinePage } from "../replication/quarantine.ts";
import type { ReapingView } from "../replication/reaping.ts";
import type { KeyValueService } from "../replication/requests.ts";
import type { TokenKeys } from "./tokens.ts";

/** This node's own figures, which gossip does not carry. */
export interface NodeInfo {
  /** Of the program, such as `0.1.0`. */
  readonly version: string;
  /** Such as `node 24.21.0`; "" when unknown. */
  readonly runtime: string;
  readonly antiEntropy: AntiEntropyView;
  readonly reaping: ReapingView;
}

/** The part of the node's configuration that shows in answers. */
export interface HttpConfig {
  /** Client-facing base address as the node advertises it. */
  readonly url: string;
  readonly corsOrigins: readonly string[];
  readonly requestTimeoutMs: number;
  readonly durability: "power" | "process";
}

export interface HttpDeps {
  readonly env: Env;
  readonly membership: Membership;
  readonly settings: NamespaceSettingsStore;
  readonly service: KeyValueService;
  readonly keyring: TokenKeys;
  readonly config: HttpConfig;
  /** This node's wall clock, null while it is not known to be near those of others. */
  readonly confirmedWallMs: () => number | null;
  readonly nodeInfo: () => NodeInfo;
  readonly ready: () => { readonly ready: boolean; readonly reason?: string };
  readonly counters: readonly MetricSource[];
  /** Makes a backup on this node's disk; null where the node has none. The manifest is shown as it is. */
  readonly backup: (() => Promise<{ readonly path: string; readonly manifest: object }>) | null;
  /** Undefined when the cursor is none of ours. */
  readonly quarantine: (cursor: string | null) => QuarantinePage | undefined;
  /**
   * Pulls the newest layout from peers. Asked before a namespace is called unknown: it may have been created elsewhere a
   * moment ago (counterexample 9).
   */
  readonly refreshLayout: () => Promise<void>;
}
