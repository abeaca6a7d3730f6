import type { NodeId } from "../core/ids.ts";
import type { Metric } from "../core/metrics.ts";
import type { Trees } from "../storage/trees.ts";

/** What status and metrics tell of anti-entropy on this node. Numbers that only rise, but for `perPeer`. */
export interface AntiEntropyFigures {
  rounds: number;
  roundsFailed: number;
  unitsDiffering: number;
  /** Leaves that differed twice in a row. */
  leavesDiffering: number;
  /** Records that a round of this node gave to the peer, and those that a peer took from here. */
  rowsSent: number;
  /** Records that came from peers and were news. */
  rowsReceived: number;
  /** Of messages of this node's own rounds and their answers, by estimate. */
  bytesSent: number;
  bytesReceived: number;
  scrubs: number;
  rowsHealed: number;
  rowsUnreadable: number;
  /** The last round with each peer that was gone through to its end. */
  readonly perPeer: Map<NodeId, { readonly completedAtMs: number; readonly rows: number }>;
}

export function newAntiEntropyFigures(): AntiEntropyFigures {
  return {
    rounds: 0,
    roundsFailed: 0,
    unitsDiffering: 0,
    leavesDiffering: 0,
    rowsSent: 0,
    rowsReceived: 0,
    bytesSent: 0,
    bytesReceived: 0,
    scrubs: 0,
    rowsHealed: 0,
    rowsUnreadable: 0,
    perPeer: new Map(),
  };
}

/** For `GET /v1/cluster`. */
export interface AntiEntropyView {
  readonly trees: "building" | "built";
  readonly mismatches: number;
  readonly rounds: number;
  readonly rowsSent: number;
  readonly rowsReceived: number;
  /** When this node last finished a round with each peer, in ms since 1970, and how many rows were exchanged in it. */
  readonly peers: readonly {
    readonly id: string;
    readonly completedAtMs: number;
    readonly rows: number;
  }[];
}

export function antiEntropyView(figures: AntiEntropyFigures, trees: Trees): AntiEntropyView {
  const { rounds, rowsSent, rowsReceived } = figures;
  const peers = [...figures.perPeer].map(([id, last]) => ({ id, ...last }));
  return {
    trees: trees.state,
    mismatches: trees.mismatches,
    rounds,
    rowsSent,
    rowsReceived,
    peers,
  };
}

export function antiEntropyMetrics(figures: AntiEntropyFigures, trees: Trees): Metric[] {
  const counted: readonly (readonly [string, string, number])[] = [
    ["rounds", "Rounds of anti-entropy that went to their end.", figures.rounds],
    ["rounds_failed", "Rounds of anti-entropy that were given up.", figures.roundsFailed],
    ["units_differing", "Units whose roots differed.", figures.unitsDiffering],
    ["leaves_differing", "Leaves that differed twice in a row.", figures.leavesDiffering],
    ["rows_sent", "Records that peers got from here.", figures.rowsSent],
    ["rows_received", "Records from peers that were news here.", figures.rowsReceived],
    ["sent_bytes", "Bytes sent by this node's own rounds, estimated.", figures.bytesSent],
    ["received_bytes", "Bytes of the answers to them, estimated.", figures.bytesReceived],
    ["scrubs", "Times that every row was read and found sound or repaired.", figures.scrubs],
    ["scrub_rows_healed", "Bad rows that were written anew from memory.", figures.rowsHealed],
    ["scrub_rows_unreadable", "Bad rows left to other owners.", figures.rowsUnreadable],
    ["tree_mismatches", "Trees that were not as their rows are: must be 0.", trees.mismatches],
    ["tree_rows_scanned", "Rows read to build trees.", trees.rowsScanned],
  ];
  const metrics: Metric[] = counted.map(([name, help, value]) => ({
    type: "counter",
    name: `gyre_anti_entropy_${name}_total`,
    help,
    value,
  }));
  metrics.push(
    {
      type: "gauge",
      name: "gyre_anti_entropy_trees_built",
      help: "1 when all trees are built.",
      value: trees.state === "built" ? 1 : 0,
    },
    {
      type: "gauge",
      name: "gyre_anti_entropy_tree_bytes",
      help: "Memory that the sums take.",
      value: trees.bytes,
    },
  );
  for (const [peer, { completedAtMs }] of figures.perPeer) {
    metrics.push({
      type: "gauge",
      name: "gyre_anti_entropy_last_round_timestamp_seconds",
      help: "When the last round with the peer went to its end.",
      labels: { peer },
      value: completedAtMs / 1000,
    });
  }
  return metrics;
}
