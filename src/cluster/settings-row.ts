/** One namespace's settings as a last-writer-wins row: its order, and its bytes on disk and between peers. */
import type { ConflictPolicy } from "../core/conflict.ts";
import { type NamespaceId, type NodeId, parseNamespaceId } from "../core/ids.ts";
import { VALUE_BYTES_MAX } from "../core/limits.ts";
import { readNodeId } from "./member-entry.ts";
import type { NamespaceSettings } from "./namespace-settings.ts";
import type { WireFields, WireValue } from "./peer-channel.ts";
import { asFields, readBoolean, readInt, readNumber } from "./wire-read.ts";

export interface SettingsRow {
  readonly namespace: NamespaceId;
  /** Microseconds since 1970, above that of the row it replaced; equal stamps are ordered by node. */
  readonly stamp: number;
  readonly node: NodeId;
  readonly settings: NamespaceSettings;
}

const CONFLICTS: readonly ConflictPolicy[] = ["majority", "latest", "siblings"];
const CONSISTENCIES = ["one", "local-quorum", "quorum", "each-quorum", "all"] as const;
const SECONDS_MAX = 2 ** 40;

/** Whether `a` wins over `b`. */
export function isLater(a: SettingsRow, b: SettingsRow): boolean {
  return a.stamp > b.stamp || (a.stamp === b.stamp && a.node > b.node);
}

export function encodeRow(row: SettingsRow): WireFields {
  const { settings } = row;
  return [
    row.namespace,
    row.stamp,
    row.node,
    CONFLICTS.indexOf(settings.conflict),
    CONSISTENCIES.indexOf(settings.consistency),
    settings.defaultTtlSeconds,
    settings.valueBytesMax,
    settings.maxAgeSeconds,
    settings.strict,
  ];
}

/** @throws BadMessageError */
export function decodeRow(value: WireValue | undefined): SettingsRow {
  const fields = asFields(value, "settings", 9);
  const conflict = readInt(fields, 3, "settings.conflict", 0, CONFLICTS.length - 1);
  const consistency = readInt(fields, 4, "settings.consistency", 0, CONSISTENCIES.length - 1);
  return {
    namespace: parseNamespaceId(readInt(fields, 0, "settings.namespace", 1, 0xffff_ffff)),
    stamp: readInt(fields, 1, "settings.stamp", 0, Number.MAX_SAFE_INTEGER - 1),
    node: readNodeId(fields, 2, "settings.node"),
    settings: {
      conflict: CONFLICTS[conflict] ?? "majority",
      consistency: CONSISTENCIES[consistency] ?? "quorum",
      defaultTtlSeconds: readNumber(fields, 5, "settings.defaultTtl", 0, SECONDS_MAX),
      valueBytesMax: readInt(fields, 6, "settings.valueBytesMax", 0, VALUE_BYTES_MAX),
      maxAgeSeconds:
        fields[7] === null ? null : readInt(fields, 7, "settings.maxAge", 0, SECONDS_MAX),
      strict: readBoolean(fields, 8, "settings.strict"),
    },
  };
}
