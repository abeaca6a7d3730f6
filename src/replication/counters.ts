/** What replication counts for metrics. Plain numbers: one addition each on the hot path. */
export interface Counters {
  puts: number;
  gets: number;
  lists: number;
  forwards: number;
  putsIndeterminate: number;
  getsWithoutQuorum: number;
  hedgedReads: number;
  sessionReads: number;
  sessionsNotReached: number;
  valueFetches: number;
  readRepairs: number;
  readRepairsDropped: number;
  replicaWrites: number;
  replicaReads: number;
  unknownReads: number;
}

export function newCounters(): Counters {
  return {
    puts: 0,
    gets: 0,
    lists: 0,
    forwards: 0,
    putsIndeterminate: 0,
    getsWithoutQuorum: 0,
    hedgedReads: 0,
    sessionReads: 0,
    sessionsNotReached: 0,
    valueFetches: 0,
    readRepairs: 0,
    readRepairsDropped: 0,
    replicaWrites: 0,
    replicaReads: 0,
    unknownReads: 0,
  };
}
