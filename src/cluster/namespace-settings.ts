/** Settings of a namespace that move no data: small last-writer-wins rows on every node. Implemented by settings-store.ts. */
import type { ConflictPolicy } from "../core/conflict.ts";
import type { NamespaceId } from "../core/ids.ts";

export interface NamespaceSettings {
  readonly conflict: ConflictPolicy;
  readonly consistency: "one" | "local-quorum" | "quorum" | "each-quorum" | "all";
  /** Seconds; 0 for none. A request's ttl=0 overrides it. */
  readonly defaultTtlSeconds: number;
  /** At most VALUE_BYTES_MAX. */
  readonly valueBytesMax: number;
  /** `Cache-Control: max-age` on 200; null for `private, no-cache`. */
  readonly maxAgeSeconds: number | null;
  /** Makes sloppy=false the default on both sides and refuses sloppy=true. */
  readonly strict: boolean;
}

export const DEFAULT_NAMESPACE_SETTINGS_WITHOUT_LIMITS: Omit<NamespaceSettings, "valueBytesMax"> = {
  conflict: "majority",
  consistency: "quorum",
  defaultTtlSeconds: 0,
  maxAgeSeconds: null,
  strict: false,
};

export interface NamespaceSettingsStore {
  get(namespace: NamespaceId): NamespaceSettings;
  /** Stores and spreads the whole row; resolves when a majority of the storage members have stored it durably. */
  set(namespace: NamespaceId, settings: NamespaceSettings): Promise<"stored" | "unavailable">;
}
