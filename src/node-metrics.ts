/** The figures of one node as metrics, for whoever scrapes. */

import type { ClockWatch } from "./cluster/clock-watch.ts";
import type { PeerClient } from "./cluster/peer-client.ts";
import type { Metric, MetricSource } from "./core/metrics.ts";
import type { Counters } from "./replication/counters.ts";
import { hintUsage } from "./replication/hint-rows.ts";
import type { Store } from "./storage/store.ts";

const COUNTED: Readonly<Record<keyof Counters, readonly [name: string, help: string]>> = {
  puts: ["puts", "Puts and deletes that this node took in or coordinated."],
  gets: ["gets", "Gets that this node coordinated."],
  lists: ["lists", "Pages of keys that this node gathered."],
  forwards: ["forwards", "Puts handed to a home replica."],
  putsIndeterminate: ["puts_indeterminate", "Puts that did not reach their quorum in time."],
  getsWithoutQuorum: ["gets_without_quorum", "Gets that did not reach their quorum in time."],
  hedgedReads: ["hedged_reads", "Homes asked in addition because one was slow."],
  sessionReads: ["session_reads", "Homes asked in addition because a session has seen more."],
  sessionsNotReached: ["sessions_not_reached", "Gets that found less than their session has seen."],
  valueFetches: ["value_fetches", "Values fetched after a digest read."],
  readRepairs: ["read_repairs", "Records sent to replicas that a read found behind."],
  readRepairsDropped: ["read_repairs_dropped", "Read repairs left to a later read."],
  hintsSent: ["hints_sent", "Records sent to stand-ins because a home was away."],
  hintsStored: ["hints_stored", "Hints taken or renewed here for homes that were away."],
  hintsRefused: ["hints_refused", "New hints refused because the budget was used up."],
  hintsPushed: [
    "hints_pushed",
    "Hints given to owners other than their home, who did not have them.",
  ],
  hintsDelivered: ["hints_delivered", "Hints that their home has taken over."],
  hintsRerouted: [
    "hints_rerouted",
    "Hints that owners took over because their home is none any more.",
  ],
  hintsDegraded: ["hints_degraded", "Hints left to anti-entropy: enough owners hold them."],
  hintsUnreadable: ["hints_unreadable", "Hints dropped because their row was damaged."],
  custodiesEnded: [
    "hint_custodies_ended",
    "Hints that as many owners as their put asked for hold.",
  ],
  standInReads: ["stand_in_reads", "Reads answered from hints."],
  standInCoordinations: ["stand_in_coordinations", "Puts coordinated here in the place of a home."],
  replicaWrites: ["replica_writes", "Records merged for other coordinators."],
  replicaReads: ["replica_reads", "Records read for other coordinators."],
  unknownReads: ["unknown_reads", "Reads of rows that cannot be trusted."],
  doubtsEnded: ["doubts_ended", "Times that a lost database had heard enough of its co-owners."],
  rowsRecovered: ["rows_recovered", "Rows in doubt that were settled with their co-owners."],
  actorsSuperseded: ["acks_superseded", "Acks not counted because their database is gone."],
  tombstonesReaped: ["rows_reaped", "Tombstones and expired values forgotten here, by proof."],
  reapsPostponed: ["reaps_postponed", "Reap rounds that wait for a member that cannot be asked."],
  contextsCompacted: [
    "contexts_compacted",
    "Records whose contexts were shortened here, by proof.",
  ],
  restoredMerged: ["restored_rows_merged", "Rows of a restored backup that nobody else had."],
  restoredDropped: ["restored_rows_dropped", "Rows of a restored backup that other owners know."],
  quarantined: ["quarantined_rows", "Rows of a restored backup that may have been deleted since."],
  actorsRenewed: ["actors_renewed", "Times that this database was found to be a copy of another."],
  actorsTaken: [
    "actors_taken",
    "Starts that minted before every member knew of their epochs, under an actor of their own.",
  ],
  diskFull: ["disk_full", "Writes refused because the disk was full."],
};

export function nodeMetrics(parts: {
  readonly counters: Counters;
  readonly store: Store;
  readonly client: PeerClient;
  readonly clocks: ClockWatch;
}): MetricSource {
  return () => [
    ...clockMetrics(parts.clocks),
    ...replicationMetrics(parts.counters),
    ...storeMetrics(parts.store),
    ...parts.client.metrics(),
  ];
}

function counter(name: string, help: string, value: number): Metric {
  return { type: "counter", name: `gyre_${name}_total`, help, value };
}

function gauge(name: string, help: string, value: number): Metric {
  return { type: "gauge", name: `gyre_${name}`, help, value };
}

function replicationMetrics(counters: Counters): Metric[] {
  const metrics: Metric[] = [];
  for (const [key, [name, help]] of Object.entries(COUNTED)) {
    metrics.push(counter(name, help, counters[key as keyof Counters]));
  }
  return metrics;
}

function clockMetrics(clocks: ClockWatch): Metric[] {
  return [
    gauge(
      "clock_offset_milliseconds",
      "Median of the peers' wall clocks minus this node's; 0 while no peer has answered.",
      Math.round(clocks.offsetMs() ?? 0),
    ),
    gauge(
      "clock_is_off",
      "1 while this node's clock is more than 5 s from the median of its peers'.",
      clocks.isOff ? 1 : 0,
    ),
  ];
}

function storeMetrics(store: Store): Metric[] {
  const { rows, bytes } = store.usage();
  const hints = hintUsage(store);
  const figures = store.counters;
  return [
    gauge("keys", "Rows on this node's disk, tombstones included.", rows),
    gauge("stored_bytes", "Bytes of records on this node's disk.", bytes),
    gauge("hints", "Writes kept here for members that are away.", hints.count),
    gauge("hint_bytes", "Bytes of the writes kept here for members that are away.", hints.bytes),
    counter("cache_hits", "Reads answered from memory.", figures.cacheHits),
    counter("cache_misses", "Reads that went to the disk.", figures.cacheMisses),
    gauge("cache_records", "Decoded records in memory.", figures.cachedRecords),
    gauge("cache_bytes", "Bytes of decoded records in memory, estimated.", figures.cachedBytes),
    counter("commits", "Transactions made durable.", figures.commits),
    counter("commit_milliseconds", "Time spent in commits.", figures.commitMs),
    counter(
      "rolled_back_turns",
      "Transactions undone because the disk was full.",
      figures.rollbacks,
    ),
    counter("rows_written", "Rows written.", figures.rowsWritten),
    counter("written_bytes", "Bytes of records written.", figures.bytesWritten),
  ];
}
