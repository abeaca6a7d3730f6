/**
 * The states that make a run worth its time ("sometimes" assertions, as Antithesis calls them). Each must be reached in at
 * least one of a hundred seeds; one that is not says that the generator has gone blind there. Names are those of counts: of
 * faults (faults/), of what the world saw, `node ...` from the nodes' own counters, `log ...` from their logs.
 */
export interface StateGroup {
  readonly title: string;
  /** By what the table calls it. */
  readonly states: Readonly<Record<string, string>>;
}

/** Below this share of seeds a state counts as not covered. */
export const COVERED_SHARE = 0.01;

export const STATE_GROUPS: readonly StateGroup[] = [
  {
    title: "faults",
    states: {
      "message lost": "message lost",
      "answer lost": "answer lost",
      "message delayed": "message delayed twentyfold",
      "message duplicated": "message duplicated",
      "partition lone": "partition: one node alone",
      "partition region": "partition: a region",
      "partition half": "partition: by coin",
      "partition uniform-size": "partition: of any size",
      "partition pair": "partition: two nodes from each other",
      "partition one way": "partition in one direction",
      "flapping link": "flapping link",
      "slow node": "slow node",
      crash: "crash",
      "crash before-commit-of-dot": "crash before the commit of an own write",
      "crash before-commit-of-row": "crash before any commit",
      "crash after-commit": "crash between commit and answer",
      "crash after-send": "crash between two sends",
      "crash during start": "crash during start",
      "crash soon after start": "crash soon after start",
      stall: "event loop stalled",
      "clock jump": "wall clock jumped",
      "row made unreadable in its head": "rot in a row's head",
      "row made unreadable in its body": "rot in a row's values",
      "row made unreadable in its sum": "rot in a row's checksum",
      "database lost": "database lost",
      "backup restored": "older backup restored, marked",
      "newest commits lost": "newest commits lost",
      "disk rolled back": "older copy put back, unmarked",
      "copy ended itself": "rolled back database noticed, held apart",
      "disk full": "disk full for some commits",
      "disk full for a time": "disk full for a time",
      "start refused by a full disk": "start refused by a full disk",
      "power cut": "power cut (durability=process)",
      "power cut took a row back": "power cut that took a row back",
    },
  },
  {
    title: "states",
    states: {
      siblings: "siblings stored",
      "answer with siblings": "siblings answered (300)",
      "tombstone won": "tombstone won a read",
      forwarded: "put forwarded",
      "write indeterminate": "write of unknown outcome",
      "write repeated": "write repeated under its key",
      "repeat executed again": "repeat executed again elsewhere",
      "write acknowledged by stand-ins": "acknowledged with stand-ins",
      "write acknowledged by stand-ins alone": "acknowledged by stand-ins alone",
      "read of a session": "read in a session",
      "new epoch on a row that existed": "new epoch on a row that existed",
      "unreadable row written anew": "unreadable row written anew",
      "row deleted": "row deleted from a disk",
      "write refused disk_full": "put refused: disk full",
      "read refused session_not_reached": "session not reached",
      "node hintsStored": "hint stored",
      "node hintsDelivered": "hint delivered",
      "node hintsPushed": "hint brought to another owner",
      "node hintsDegraded": "hint degraded to anti-entropy",
      "node custodiesEnded": "custody ended",
      "node standInReads": "read answered by a stand-in",
      "node standInCoordinations": "put coordinated by a stand-in",
      "node readRepairs": "read repair",
      "node hedgedReads": "hedged read",
      "node unknownReads": "answer `unknown`",
      "node doubtsEnded": "doubt ended",
      "node rowsRecovered": "row recovered from peers",
      "node actorsSuperseded": "actor superseded",
      "node actorsRenewed": "actor renewed",
      "node tombstonesReaped": "tombstone reaped",
      "node reapsPostponed": "reap postponed",
      "node contextsCompacted": "context compacted",
      "node restoredMerged": "restored row merged",
      "node restoredDropped": "restored row dropped",
      "node quarantined": "row quarantined",
      "node sessionReads": "session asked further replicas",
      "node rounds": "anti-entropy round",
      "node rowsSent": "row sent by anti-entropy",
      "node rowsReceived": "row learned by anti-entropy",
      "node scrubs": "scrub gone through",
      "node rowsHealed": "row healed by the scrub",
      "log layout-recovered": "layout found again",
      "log member-suspected": "member suspected",
      "log member-down": "member believed down",
    },
  },
];
