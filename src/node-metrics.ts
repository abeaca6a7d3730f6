/** The figures of one node as metrics, for whoever scrapes. */

import type { PeerClient } from "./cluster/peer-client.ts";
import type { Metric, MetricSource } from "./core/metrics.ts";
import type { Counters } from "./replication/counters.ts";
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
  replicaWrites: ["replica_writes", "Records merged for other coordinators."],
  replicaReads: ["replica_reads", "Records read for other coordinators."],
  unknownReads: ["unknown_reads", "Reads of rows that cannot be trusted."],
};

export function nodeMetrics(parts: {
  readonly counters: Counters;
  readonly store: Store;
  readonly client: PeerClient;
}): MetricSource {
  return () => [
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

function storeMetrics(store: Store): Metric[] {
  const { rows, bytes } = store.usage();
  const figures = store.counters;
  return [
    gauge("keys", "Rows on this node's disk, tombstones included.", rows),
    gauge("stored_bytes", "Bytes of records on this node's disk.", bytes),
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
